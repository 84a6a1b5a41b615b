import json
from pathlib import Path
from types import SimpleNamespace


class PreTrainedConfig:
    @staticmethod
    def from_pretrained(checkpoint):
        said = json.loads((Path(checkpoint) / "config.json").read_text())
        return SimpleNamespace(type=said["type"], n_obs_steps=said["n_obs_steps"], device="cpu")
