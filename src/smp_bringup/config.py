"""YAML read into frozen dataclasses; whatever does not fit is refused in one sentence.

A field says its own bounds: `field(metadata=spec(gt=0, le=10, unit="rad/s", help="..."))`.
"""

import copy
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from smp_bringup.documents import dump_yaml, shown
from smp_bringup.documents import kind_of as kind_of
from smp_bringup.documents import parse_json as parse_json
from smp_bringup.documents import parse_yaml as parse_yaml
from smp_bringup.documents import read_yaml as read_yaml
from smp_bringup.errors import ConfigError, nearest, one_line

T = TypeVar("T")

_LARGEST = 1e9
"""No number of ours, in whatever unit, is larger."""
_LONGEST_TEXT = 1000
"""Characters of a name, a path or a sentence."""
_SHORTEST_S = 1e-4
"""No period or time constant of ours is shorter [s]."""


def spec(
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: tuple[str, ...] | None = None,
    unit: str = "",
    help: str = "",
) -> dict[str, Any]:
    """Return field metadata: bounds (times above 0 s are at least 0.1 ms), allowed words, unit, a sentence of text."""
    if unit == "s" and gt == 0:
        gt, ge = None, _SHORTEST_S
    return dict(ge=ge, gt=gt, le=le, lt=lt, choices=choices, unit=unit, help=help)


def load(cls: type[T], path: Path, changes: Sequence[str] = ()) -> T:
    """Return the dataclass `cls` read from the YAML file `path`, with `changes` made; see `changed`."""
    return build(cls, changed(read_yaml(path), changes), path.name)


def dump(value: Any) -> str:
    """Return a dataclass as YAML that `build` reads back to an equal one."""
    return dump_yaml(plain(value))


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as new dicts and lists."""
    inner: dict[str, Any] = _plain(dataclasses.asdict(value))
    return inner


def changed(data: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return `data` with every change of the form "section.key=value" made; values are written as in YAML.

    Raises:
        ConfigError: a change is not of that form, or leads through what is no section.
    """
    out = copy.deepcopy(dict(data))
    for change in changes:
        path, sign, value = change.partition("=")
        *sections, key = path.strip().split(".")
        if not sign or not key:
            raise ConfigError(f"--set takes section.key=value, got '{one_line(change)}'")
        inner = out
        for name in sections:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {one_line(change)}: '{one_line(name)}' is no section")
        inner[key] = parse_yaml(f"value: {value}", f"--set {one_line(change)}")["value"]
    return out


def build(cls: type[T], data: Mapping[str, Any], where: str) -> T:
    """Return the dataclass `cls` built from `data`.

    Raises:
        ConfigError: a key is unknown, missing, of the wrong type, or out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise ConfigError(
                f"{where}: unknown key '{shown(key)}'{nearest(shown(key), fields)}; allowed: {', '.join(fields)}"
            )
    hints = _hints(typing.cast(type, cls))
    values = {}
    for name, f in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f"{where}: {name}", f.metadata)
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: key '{name}' is missing")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _convert(hint: Any, value: Any, where: str, meta: Mapping[str, Any]) -> Any:
    """Return `value` as the annotated type `hint`."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return None if value is None else _convert(inner[0], value, where, meta)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type, hint)):
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, got {kind_of(value)}")
        return build(typing.cast(type, hint), value, where)
    if origin is tuple:
        return _convert_tuple(hint, value, where, meta)
    if origin in (dict, Mapping):
        return _convert_dict(hint, value, where, meta)
    return _convert_scalar(hint, value, where, meta)


def _convert_tuple(hint: Any, value: Any, where: str, meta: Mapping[str, Any]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} must be a list, got {kind_of(value)}")
    args = typing.get_args(hint)
    if args[-1] is not Ellipsis and len(value) != len(args):
        raise ConfigError(f"{where} must have {len(args)} entries, got {len(value)}")
    kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
    return tuple(_convert(k, v, f"{where}[{i}]", meta) for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _convert_dict(hint: Any, value: Any, where: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a mapping, got {kind_of(value)}")
    inner = typing.get_args(hint)[1]
    return {require_text(str(k), where): _convert(inner, v, f"{where}.{shown(k)}", meta) for k, v in value.items()}


def _convert_scalar(hint: Any, value: Any, where: str, meta: Mapping[str, Any]) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        value = float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {_expected(hint, meta)}, got {kind_of(value)}{_decimal(hint, value)}")
    if hint in (int, float) and not _within(value, meta):
        huge = f": no number here is above {_LARGEST:g}" if _LARGEST < abs(value) < math.inf else ""
        raise ConfigError(f"{where} must be {_expected(hint, meta)}, got {kind_of(value)}{huge}")
    if hint is str:
        require_text(value, where)
    if meta.get("choices") and value not in meta["choices"]:
        raise ConfigError(
            f"{where} must be one of {', '.join(meta['choices'])}, "
            f"got '{shown(value)}'{nearest(shown(value), meta['choices'])}"
        )
    return value


def require_text(value: str, where: str) -> str:
    """Return text that can be shown, sent and be the name of something; ends of lines are all that it may hold else."""
    if len(value) > _LONGEST_TEXT:
        raise ConfigError(f"{where} is text of {len(value)} characters, at most {_LONGEST_TEXT} are allowed")
    wrong = next((c for c in value if not c.isprintable() and c != "\n"), None)
    if wrong is not None:
        raise ConfigError(f"{where} holds the control character {wrong!r}: take it out")
    return value


def _decimal(hint: Any, value: Any) -> str:
    """Return what to do where a number was meant that other versions of YAML would read, each in its own way."""
    meant = hint in (int, float) and isinstance(value, str) and value.strip()[:1] in tuple("+-.0123456789")
    return ": write a plain decimal number, e.g. 0.25 (not 3:30, 010, 0x1F or 1_000)" if meant else ""


def _within(value: float, meta: Mapping[str, Any]) -> bool:
    """Return whether a number is of this world and inside its bounds (written so that NaN fails)."""
    return (
        abs(value) <= (_LARGEST if isinstance(value, float) else 1 << 63)
        and (meta.get("ge") is None or value >= meta["ge"])
        and (meta.get("gt") is None or value > meta["gt"])
        and (meta.get("le") is None or value <= meta["le"])
        and (meta.get("lt") is None or value < meta["lt"])
    )


def _expected(hint: Any, meta: Mapping[str, Any]) -> str:
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(hint, str(hint)) + bounds_text(meta)


def bounds_text(meta: Mapping[str, Any]) -> str:
    """Return the bounds of field metadata as an interval, e.g. " in (0, 10]", or nothing."""
    low = meta["gt"] if meta.get("gt") is not None else meta.get("ge")
    high = meta["lt"] if meta.get("lt") is not None else meta.get("le")
    if low is None and high is None:
        return ""
    left = "[" if meta.get("ge") is not None else "("
    right = "]" if meta.get("le") is not None else ")"
    return f" in {left}{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}{right}"


def _plain(value: Any) -> Any:
    """Return nested mappings and tuples as new dicts and lists (YAML would name one that occurs twice by an alias)."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
