"""Writes a dataset by LeRobot's own writer; run in LeRobot's environment, of today (v3.0) or of before (v2.1).

`python write_dataset.py SETTINGS.json ROOT`; the settings hold the values, an episode a list of frames.
"""

import inspect
import json
import sys
from pathlib import Path

import numpy as np

try:
    from lerobot.datasets import LeRobotDataset
except ImportError:  # before 0.6
    from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(settings, root):
    said = json.loads(Path(settings).read_text())
    vector = {"dtype": "float32", "shape": (len(said["names"]),), "names": said["names"]}
    features = {"observation.state": vector, "action": vector}
    for name in said["cameras"]:
        kind = "video" if said["video"] else "image"
        shape = (said["size"], said["size"], 3)
        features[f"observation.images.{name}"] = {
            "dtype": kind,
            "shape": shape,
            "names": ["height", "width", "channels"],
        }
    data = LeRobotDataset.create("local/told", said["fps"], features, root=root, use_videos=said["video"])
    alone = "task" in inspect.signature(data.add_frame).parameters
    for episode in said["episodes"]:
        for state, action, colour in episode:
            image = np.full((said["size"], said["size"], 3), colour, np.uint8)
            frame = {"observation.state": np.float32(state), "action": np.float32(action)}
            frame |= {f"observation.images.{name}": image for name in said["cameras"]}
            if alone:
                data.add_frame(frame, task=said["task"])
            else:
                data.add_frame({**frame, "task": said["task"]})
        data.save_episode()
    if hasattr(data, "finalize"):
        data.finalize()


if __name__ == "__main__":
    main(*sys.argv[1:])
