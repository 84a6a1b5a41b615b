"""Small LeRobotDatasets v3.0 as others write them: every choice that the format leaves them, or that they take."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

TASK = "put the cup away"
DATA, EPISODES = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"


@dataclass
class Foreign:
    """A dataset; what is asked of it is in terms of the robot, how it is stored in its own."""

    robot: Any
    episodes: int = 2
    frames: int = 6
    fps: int = 25
    state_names: Any = None
    action_names: Any = None
    state_order: Any = None
    """(D,) which joint of the robot each entry holds; those of the robot, if None."""
    action_order: Any = None
    scale: float = 1.0
    images: bool = False
    channel_first: bool = False
    codec: tuple[str, str] = ("libx264", "yuv420p")
    first_s: float = 0.0
    tasks: bool = True
    drop: tuple[int, ...] = ()
    """Rows that the table lacks."""
    info: dict[str, Any] = field(default_factory=dict)
    prefix: str = "observation.images."

    def state(self, episode: int, k: int) -> np.ndarray:
        """Return what the joints (J,) measure; each joint has its own value."""
        home = self.robot.joint_array("home")
        return home + (1e-4 * np.arange(self.robot.dof) + 1e-3 * k + 1e-2 * episode) * np.where(
            self.robot.turning, 1, 0.1
        )

    def action(self, episode: int, k: int) -> np.ndarray:
        """Return what the joints (J,) are told."""
        return self.state(episode, k) + np.where(self.robot.turning, 0.02, 0.002)

    def image(self, camera: Any, episode: int, k: int) -> np.ndarray:
        """Return a picture (H, W, 3) that tells episode and frame, also after a lossy codec."""
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        image[...] = 20 + 40 * (episode % 5), 8 * k % 250, 100
        return image

    def write(self, root: Path) -> Path:
        """Write the dataset; return its folder."""
        for name in (DATA, EPISODES):
            (root / name).parent.mkdir(parents=True)
        numbers = [(e, k) for e in range(self.episodes) for k in range(self.frames)]
        state = [self._stored(self.state(*n), self.state_order) for n in numbers]
        action = [self._stored(self.action(*n), self.action_order) for n in numbers]
        columns = {
            "observation.state": pa.array(state, pa.list_(pa.float32())),
            "action": pa.array(action, pa.list_(pa.float32())),
            "timestamp": pa.array([self.first_s + k / self.fps for _, k in numbers], pa.float32()),
            "frame_index": pa.array([k for _, k in numbers]),
            "episode_index": pa.array([e for e, _ in numbers]),
            "index": pa.array(range(len(numbers))),
            "task_index": pa.array([0] * len(numbers)),
        }
        features: dict[str, Any] = {
            "observation.state": {"dtype": "float32", "shape": [len(state[0])], "names": self.state_names},
            "action": {"dtype": "float32", "shape": [len(action[0])], "names": self.action_names},
        }
        for camera in self.robot.cameras:
            key, frames = self.prefix + camera.name, [self.image(camera, *n) for n in numbers]
            size, axes = [camera.height, camera.width, 3], ["height", "width", "channels"]
            if self.channel_first:
                size, axes = [size[2], *size[:2]], [axes[2], *axes[:2]]
            features[key] = {"dtype": "image" if self.images else "video", "shape": size, "names": axes}
            if self.images:
                columns[key] = pa.array([{"bytes": png(f), "path": "x.png"} for f in frames])
            else:
                self._video(root / f"videos/{key}/chunk-000/file-000.mp4", frames)
        keep = [i for i in range(len(numbers)) if i not in self.drop]
        pq.write_table(pa.table(columns).take(keep), root / DATA)
        pq.write_table(pa.Table.from_pylist([self._row(e) for e in range(self.episodes)]), root / EPISODES)
        pq.write_table(pa.table({"task_index": [0], "task": [TASK]}), root / "meta/tasks.parquet")
        info = {
            "codebase_version": "v3.0",
            "total_episodes": self.episodes,
            "fps": self.fps,
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            "features": features,
        }
        (root / "meta/info.json").write_text(json.dumps(info | self.info))
        return root

    def _stored(self, joints: np.ndarray, order: Any) -> list[float]:
        return list((joints if order is None else joints[np.array(order)]) * self.scale)

    def _row(self, episode: int) -> dict[str, Any]:
        row: dict[str, Any] = {
            "episode_index": episode,
            "length": self.frames - sum(i // self.frames == episode for i in self.drop),
            "data/chunk_index": 0,
            "data/file_index": 0,
        }
        if self.tasks:
            row["tasks"] = [TASK]
        for camera in self.robot.cameras if not self.images else ():
            head, length_s = f"videos/{self.prefix}{camera.name}", self.frames / self.fps
            row |= {f"{head}/chunk_index": 0, f"{head}/file_index": 0}
            row |= {f"{head}/from_timestamp": episode * length_s, f"{head}/to_timestamp": (episode + 1) * length_s}
        return row

    def _video(self, path: Path, frames: list[np.ndarray]) -> None:
        path.parent.mkdir(parents=True)
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(self.codec[0], rate=self.fps)
            stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], self.codec[1]
            for image in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())


def png(image: np.ndarray) -> bytes:
    """Return an image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
