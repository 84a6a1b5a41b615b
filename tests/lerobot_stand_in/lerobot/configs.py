import json
from pathlib import Path
from types import SimpleNamespace


class PreTrainedConfig:
    @staticmethod
    def from_pretrained(checkpoint):
        said = json.loads((Path(checkpoint) / "config.json").read_text())
        steps, kind = said["n_obs_steps"], said["type"]
        seen = None if kind == "act" else list(range(1 - steps, 1))
        return SimpleNamespace(type=kind, n_obs_steps=steps, observation_delta_indices=seen, device="cpu")
