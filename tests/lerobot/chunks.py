"""What LeRobot's own pipeline says for frames of a dataset; run in LeRobot's environment.

`python chunks.py PRETRAINED_MODEL DATASET OUT.npz`; the frames lie beside the chunks, as a robot would give them.
"""

import sys

import numpy as np
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.datasets import LeRobotDataset
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.utils.import_utils import register_third_party_plugins

FRAMES = (0, 4, 9)


def main(checkpoint, dataset, out):
    register_third_party_plugins()
    config = PreTrainedConfig.from_pretrained(checkpoint)
    policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
    before, after = make_pre_post_processors(config, checkpoint)
    data = LeRobotDataset("local/told", root=dataset, video_backend="pyav")
    arrays = {}
    for i in FRAMES:
        frame = {key: value for key, value in data[i].items() if key.startswith("observation.")}
        torch.manual_seed(0)
        policy.reset()
        timed = config.observation_delta_indices is not None  # as the frames that it was trained on
        seen = {key: value[None] if timed else value for key, value in frame.items()}
        arrays[f"chunk_{i}"] = after(policy.predict_action_chunk(before({k: v[None] for k, v in seen.items()})))[
            0
        ].numpy()
        for key, value in frame.items():
            image = "images" in key
            pixels = (value * 255).round().to(torch.uint8).permute(1, 2, 0) if image else value
            arrays[f"{key}_{i}"] = pixels.numpy()
    torch.manual_seed(0)
    policy.reset()
    action = after(policy.select_action(before({k: v for k, v in data[0].items() if k.startswith("observation.")})))
    np.savez(out, action=action[0].numpy(), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
