"""The images of a LeRobotDataset: frames of videos, or PNG and JPEG in the tables."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from smp_bringup.documents import open_regular
from smp_bringup.errors import BagError, one_line
from smp_bringup.exchange.dataset import Dataset, Episode, Rows, frame_times
from smp_bringup.exchange.foreign_files import inside, reading
from smp_bringup.exchange.video import VideoReader
from smp_bringup.types import ImageArray

_IN_TABLE, _VIDEO = "image", "video"
_FORMATS = ("PNG", "JPEG")
_MODES = ("RGB", "RGBA", "L", "P")
"""Eight bits a channel; others would lose what they hold."""


class Pictures:
    """The images of one camera of a dataset."""

    def __init__(self, dataset: Dataset, key: str, size: tuple[int, int]) -> None:
        """Take a feature that holds images of (height, width); raises BagError where it holds something else."""
        kind = dataset.features[key].get("dtype")
        if kind not in (_IN_TABLE, _VIDEO):
            raise BagError(f"dataset '{dataset.root}': {key} has dtype {one_line(kind)[:40]}, expected image or video")
        self._dataset, self._key, self._size = dataset, key, size
        self._reader = VideoReader(size) if kind == _VIDEO else None

    @property
    def filmed(self) -> bool:
        """Whether they come out of a video."""
        return self._reader is not None

    @property
    def columns(self) -> Sequence[str]:
        """What of the tables is needed."""
        return () if self._reader else (self._key,)

    def of(self, episode: Episode, rows: Rows) -> Iterator[ImageArray]:
        """Yield the RGB image (H, W, 3) of each row; raises BagError for one that is missing or cannot be read."""
        if self._reader is None:
            return self._in_table(rows)
        path, start_s = self._dataset.video(episode, self._key)
        return self._reader.images(path, *frame_times(self._dataset, start_s, rows))

    def require_own_frames(self) -> None:
        """Raise BagError where two episodes would be shown by the same frames of a video."""
        if self._reader is not None:
            self._dataset.require_own_frames(self._key)

    def close(self) -> None:
        """Close what is open."""
        if self._reader is not None:
            self._reader.close()

    def _in_table(self, rows: Rows) -> Iterator[ImageArray]:
        column = rows.table[self._key]
        if not pa.types.is_struct(column.type):
            raise BagError(f"'{rows.path}': {self._key} holds {column.type}, expected images as bytes and path")
        for row, value in enumerate(column):
            said = value.as_py() or {}
            data, name = said.get("bytes"), said.get("path")
            path, where = rows.path, f"{self._key}, row {row}"
            if data is None and isinstance(name, str):
                path = inside(self._dataset.root, name)
                with reading(path):
                    data = _content(path)
            if not isinstance(data, bytes):
                raise BagError(f"'{rows.path}': {where} has no image")
            yield _decoded(path, where, data, self._size)


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


def _decoded(path: Path, where: str, data: bytes, size: tuple[int, int]) -> ImageArray:
    with reading(path), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if (image.height, image.width) != size or image.mode not in _MODES:
            raise BagError(
                f"'{path}': {where} is {image.width} x {image.height} px {image.mode}, "
                f"expected {size[1]} x {size[0]} RGB"
            )
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
