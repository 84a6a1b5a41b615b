"""Images of a dataset on the disk, each packed by itself so that any of them is read in microseconds."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import zstandard

from smp_bringup.errors import BagError
from smp_bringup.types import ImageArray

_LEVEL = 3
"""Of Zstandard. Level 9 makes the files a tenth smaller and takes five times as long."""


def plain_array(path: Path) -> np.ndarray:
    """Return the array of an .npy file; raises ValueError for a pickle, an archive, or anything else."""
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{path.name} is no .npy file")
    return found


def packed(images: ImageArray) -> Iterator[bytes]:
    """Yield each of the images (N, h, w, C), packed without loss."""
    packer = zstandard.ZstdCompressor(level=_LEVEL)
    for image in images:
        yield packer.compress(np.ascontiguousarray(image).tobytes())


class PackedWriter:
    """Writes the images of one camera, in order."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name, self._ends = folder, name, [0]
        self._file: BinaryIO = (folder / f"{name}.zst").open("wb")

    def append(self, image: bytes) -> None:
        """Write one packed image."""
        self._file.write(image)
        self._ends.append(self._ends[-1] + len(image))

    def close(self) -> None:
        """Write where each image ends."""
        self._file.close()
        np.save(self._folder / f"{self._name}.npy", np.array(self._ends, np.int64))


class _Unpackers(threading.local):
    """One for each thread: two cannot unpack with the same."""

    def __init__(self) -> None:
        self.mine = zstandard.ZstdDecompressor()


class PackedImages:
    """The images (N, h, w, C) of one camera, unpacked where they are asked for; the file need not fit into memory."""

    def __init__(self, folder: Path, name: str, like: ImageArray) -> None:
        """Open what `PackedWriter` wrote; `like` (h, w, C) tells shape and type.

        Raises:
            OSError, ValueError: the files are not there, or damaged.
        """
        self._ends = plain_array(folder / f"{name}.npy")
        self._data = np.memmap(folder / f"{name}.zst", np.uint8, "r")
        if self._ends.ndim != 1 or self._ends[-1] != len(self._data) or (np.diff(self._ends) <= 0).any():
            raise ValueError(f"{name}.zst is not what {name}.npy tells")
        self._name = f"{folder}/{name}.zst"
        self._like, self._unpackers = like, _Unpackers()

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, h, w, C)."""
        return (len(self._ends) - 1, *self._like.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels."""
        return self._like.dtype

    def __len__(self) -> int:
        """Return N."""
        return len(self._ends) - 1

    def __getitem__(self, at: int | np.ndarray) -> ImageArray:
        """Return the image (h, w, C) of an index, or the images (..., h, w, C) of indices (...); none is negative.

        Raises:
            BagError: an image is damaged.
        """
        if isinstance(at, np.ndarray) and at.ndim:
            out = np.empty((at.size, *self._like.shape), self._like.dtype)
            for place, index in enumerate(at.flat):
                out[place] = self[index]
            return out.reshape(*at.shape, *self._like.shape)
        first, end = self._ends[at], self._ends[at + 1]
        try:
            raw = self._unpackers.mine.decompress(self._data[first:end].data, max_output_size=self._like.nbytes)
        except zstandard.ZstdError as error:
            raise BagError(f"{self._name} of the cache is damaged at image {at}: remove it, it is made anew") from error
        return np.frombuffer(raw, self._like.dtype).reshape(self._like.shape)
