"""Runs one policy of LeRobot for a parent that is no part of LeRobot's environment: `python FOLDER FD`.

The folder of this file is all of smp_bringup that is seen here. Requests come over the inherited socket FD, one at a
time; the process ends when the parent does, also in the middle of an inference.
"""

import os
import select
import socket
import sys
import threading
import time
from typing import Any

import framing
import numpy as np


class Worker:
    """The policy of one checkpoint, with what LeRobot runs before and after it."""

    def load(self, checkpoint: str, device: str) -> dict[str, Any]:
        """Load a checkpoint from this machine and return what it is."""
        import lerobot
        import torch
        from lerobot.configs import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
        from lerobot.utils.import_utils import register_third_party_plugins

        register_third_party_plugins()
        config = PreTrainedConfig.from_pretrained(checkpoint)
        config.device = device
        if getattr(config, "pretrained_backbone_weights", None):
            config.pretrained_backbone_weights = None  # they are in the checkpoint, and would be downloaded
        policy_class = get_policy_class(config.type)
        self._policy = policy_class.from_pretrained(checkpoint, config=config, strict=True)
        self._before, self._after = make_pre_post_processors(
            config, checkpoint, preprocessor_overrides={"device_processor": {"device": device}}
        )
        self._has_time, self._torch = config.observation_delta_indices is not None, torch
        return {"type": config.type, "lerobot": lerobot.__version__, "parameters": self._parameters()}

    def infer(self, arrays: dict[str, np.ndarray], seed: int, task: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return times [ms] and the chunk (T, D) for vectors (To, D) and images (To, H, W, 3)."""
        torch, start = self._torch, time.perf_counter()
        torch.manual_seed(seed)
        self._policy.reset()
        batch = {key: self._tensor(array)[None] for key, array in arrays.items()}
        with torch.inference_mode():
            seen = self._before({**batch, "task": [task]})
            before = time.perf_counter()
            chunk = self._policy.predict_action_chunk(seen)
            acted = time.perf_counter()
            out = self._after(chunk)[0].float().cpu().numpy()
        done = time.perf_counter()
        times = {"encode": before - start, "denoise": acted - before, "decode": done - acted}
        return {"ms": {name: value * 1e3 for name, value in times.items()}}, {"action": out}

    def _tensor(self, array: np.ndarray) -> Any:
        """Return what LeRobot's data loader gave in training of To observations: ACT's have no axis of time.

        Diffusion's have one, also where it sees a single observation.
        """
        tensor = self._torch.from_numpy(array.copy())
        if array.dtype == np.uint8:
            tensor = tensor.movedim(-1, -3).float() / 255
        return tensor if self._has_time else tensor[-1]

    def _parameters(self) -> int:
        return sum(p.numel() for p in self._policy.parameters())


def end_with_parent(pipe: socket.socket) -> None:
    """End this process as soon as the other end of the socket is closed."""
    poll = select.poll()
    poll.register(pipe, select.POLLRDHUP)
    poll.poll()
    os._exit(0)


def serve(pipe: socket.socket) -> None:
    """Answer requests until the parent is gone."""
    worker = Worker()
    while True:
        try:
            request, arrays = framing.receive(pipe)
        except EOFError:
            return
        out: dict[str, np.ndarray] = {}
        try:
            if request["do"] == "load":
                answer = worker.load(request["checkpoint"], request["device"])
            else:
                answer, out = worker.infer(arrays, request["seed"], request["task"])
        except Exception as error:  # the parent decides what becomes of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        framing.send(pipe, answer, out)


if __name__ == "__main__":
    os.dup2(2, 1)  # what LeRobot prints is no answer of a command
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()
        serve(parent)
