"""Files that somebody else wrote: read within bounds, and refused in one line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smp_bringup.documents import json_value, open_regular
from smp_bringup.errors import BagError, SmpError, one_line
from smp_bringup.types import FloatArray

_MAX_JSON = 64 << 20
_MAX_ENTRIES = 100_000_000
"""Numbers, texts and images that one table may hold: days of recording."""
_MAX_TABLE = 4 << 30
_SHOWN = 400
"""Characters of foreign lists that a message quotes."""
_LFS = b"version https://git-lfs"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged or hostile file makes of its readers into one line that names it.

    Raises:
        BagError: the file cannot be read.
    """
    try:
        yield
    except SmpError:
        raise
    except Exception as error:  # foreign bytes
        raise BagError(f"'{path}' cannot be read: {_cause(path, error)}") from error


def _cause(path: Path, error: Exception) -> str:
    try:
        with open_regular(path) as file:
            if file.read(len(_LFS)) == _LFS:
                return "it is the pointer of a file in Git LFS: git lfs pull fetches the file itself"
    except OSError as missing:
        return str(missing.strerror).lower()
    return one_line(error)[:200] or type(error).__name__


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raises BagError."""
    with reading(path):
        if path.stat().st_size > _MAX_JSON:
            raise BagError(f"'{path}' has {path.stat().st_size} bytes, at most {_MAX_JSON} are read")
        with open_regular(path) as file:
            data = json_value(file.read().decode("utf-8"))
    if not isinstance(data, dict):
        raise BagError(f"'{path}' does not hold a JSON object")
    return data


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects in a file, one a line; raises BagError."""
    with reading(path):
        if path.stat().st_size > _MAX_JSON:
            raise BagError(f"'{path}' has {path.stat().st_size} bytes, at most {_MAX_JSON} are read")
        with open_regular(path) as file:
            rows = [json_value(line) for line in file.read().decode("utf-8").splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise BagError(f"'{path}' does not hold a JSON object a line")
    return rows


def columns_of(path: Path) -> list[str]:
    """Return the names of the columns of a table; raises BagError."""
    with reading(path), open_regular(path) as content, pq.ParquetFile(content) as file:
        return list(file.schema_arrow.names)


def read_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """Return columns of a Parquet file; raises BagError for one that is damaged, lacks a column or is too large."""
    with (
        reading(path),
        open_regular(path) as content,
        pq.ParquetFile(content, page_checksum_verification=True) as file,
    ):
        missing = [name for name in columns if name not in file.schema_arrow.names]
        if missing:
            there = one_line(", ".join(file.schema_arrow.names))[:_SHOWN]
            raise BagError(f"'{path}' lacks {one_line(', '.join(missing))[:_SHOWN]}; it has {there}")
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        parts = [group.column(i) for group in groups for i in range(group.num_columns)]
        mine = [part for part in parts if any(_within(part.path_in_schema, name) for name in columns)]
        entries, size = sum(part.num_values for part in mine), sum(part.total_uncompressed_size for part in mine)
        if not (0 <= entries <= _MAX_ENTRIES and 0 <= size <= _MAX_TABLE):
            raise BagError(f"'{path}' holds {entries} entries in {size} bytes, at most {_MAX_ENTRIES} are read")
        return file.read(columns=list(columns), use_threads=False)


def _within(path: str, column: str) -> bool:
    return path == column or path.startswith(column + ".")


def vectors(table: pa.Table, column: str, width: int, path: Path) -> FloatArray:
    """Return a column of vectors as (N, width); raises BagError where a row has another width or is no number."""
    with reading(path):
        whole = pa.concat_arrays(table[column].chunks) if table[column].num_chunks else None
        if whole is None or not len(whole):
            return np.empty((0, width))
        if _is_list(whole.type):
            lengths = set(pc.unique(pc.list_value_length(whole)).to_pylist())
            if lengths != {width}:
                raise BagError(f"'{path}': {column} has rows of {_some(lengths)} numbers, info.json says {width}")
            whole = whole.flatten()
        if not (pa.types.is_floating(whole.type) or pa.types.is_integer(whole.type)):
            raise BagError(f"'{path}': {column} holds {whole.type}, expected numbers")
        values = whole.cast(pa.float64())
        flat = values.to_numpy(zero_copy_only=False)
        if len(flat) != table.num_rows * width:
            raise BagError(f"'{path}': {column} has one number a row, info.json says {width}")
        if values.null_count or not np.isfinite(flat).all():
            row = int(np.flatnonzero(~np.isfinite(flat))[0]) // width
            raise BagError(f"'{path}': {column} is not a finite number in row {row}")
        return np.asarray(flat, dtype=np.float64).reshape(-1, width)


def whole_numbers(table: pa.Table, column: str, path: Path) -> np.ndarray:
    """Return a column of whole numbers (N,); raises BagError where one is missing or is none."""
    with reading(path):
        values = table[column].combine_chunks()
        if values.null_count or not pa.types.is_integer(table[column].type):
            raise BagError(f"'{path}': {column} must be whole numbers")
        return np.asarray(values.to_numpy(zero_copy_only=False)).astype(np.int64)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _some(values: set[Any]) -> str:
    return ", ".join(sorted(map(str, values))[:5])


def inside(root: Path, name: str) -> Path:
    """Return the file `name` of a dataset; raises BagError for a path that leads out of its folder."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or not name.isprintable():
        raise BagError(f"dataset '{root}' names the file '{one_line(name)[:100]}', which is not in its folder")
    return root / parts


def filled(root: Path, pattern: object, values: Mapping[str, int | str]) -> Path:
    """Return the file that a pattern such as "data/chunk-{chunk_index:03d}/..." of a dataset names.

    Raises:
        BagError: it is no such pattern; whatever else Python's format can do is not done.
    """
    try:
        fields = list(Formatter().parse(pattern if isinstance(pattern, str) else ""))
    except ValueError:
        fields = []
    sound = fields and all(
        name is None or (name in values and not conversion and re.fullmatch(r"0?\d?d?", form or ""))
        for _, name, form, conversion in fields
    )
    if not sound:
        raise BagError(f"dataset '{root}': '{one_line(pattern)[:100]}' is no pattern of files in meta/info.json")
    with reading(root):
        return inside(root, str(pattern).format(**values))
