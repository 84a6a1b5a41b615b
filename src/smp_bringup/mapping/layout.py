"""The layout of a LeRobotDataset, version 3.0: where its files are and what they are called."""

VERSION = "v3.0"
OLD_VERSION = "v2.1"
"""Read, not written: a file for each episode, and lists in JSON."""
OLD_EPISODES, OLD_TASKS = "meta/episodes.jsonl", "meta/tasks.jsonl"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
ORIGIN = "meta/smp_bringup.json"
"""Ours: the settings that travel in our bags."""
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES = f"meta/episodes/{_FILE}.parquet"
DATA = f"data/{_FILE}.parquet"
VIDEO = f"videos/{{video_key}}/{_FILE}.mp4"
FILES_PER_CHUNK = 1000
WIDEST = 4096
"""Entries of a vector."""

STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
VECTORS = "observation.vectors."
"""Ours: a vector of the robot file, named by its fields."""
STAMP = "stamp_ns"
"""Ours: the stamp of the reference camera's frame, which the nominal `timestamp` of a frame only approximates."""
TIMESTAMP, FRAME, EPISODE, TASK = "timestamp", "frame_index", "episode_index", "task_index"
INDEX_FEATURES = {TIMESTAMP: "float32", FRAME: "int64", EPISODE: "int64", "index": "int64", TASK: "int64"}


def place(pattern: str, number: int, video_key: str = "") -> str:
    """Return the path of the `number`-th file of a kind."""
    chunk, file = divmod(number, FILES_PER_CHUNK)
    return pattern.format(chunk_index=chunk, file_index=file, video_key=video_key)
