"""YAML, JSON and XML of strangers, read into plain values or refused in one sentence, whatever the bytes are.

YAML is read by the rules of its version 1.2: 3:30, 010 and 1_000 are text, not 210, 8 and 1000, and no is not false.
"""

import copy
import errno
import functools
import json
import os
import re
import stat
import xml.etree.ElementTree as ET
from collections.abc import Hashable
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

import yaml

from smp_bringup.errors import ConfigError, one_line

MOST_BYTES = 1_000_000
"""A document larger than this is refused before it is parsed."""
_MOST_YAML_BYTES = 256_000
_MOST_VALUES = 20_000
"""Of a YAML document, whose parser takes 50 us for each; our largest has 600."""
MOST_XML_BYTES = 8_000_000
"""Descriptions of whole robots have 200 kB."""
_MOST_XML_LEVELS = 200
_MOST_DIGITS = 4000
"""Of a whole number, ahead of Python's own limit and its advice."""
_MOST_LEVELS = 32
"""No document of ours is nested deeper than 8."""
_SHOWN = 80
"""Characters of a foreign value that stand in a message."""
_HALF = re.compile(r"\\(?:u|U0000)[dD][89a-fA-F]")
"""Escapes of the halves of UTF-16 pairs."""
_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+))"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
)
"""What unquoted words mean, and the characters that they begin with."""


def _plain_words(kind: type) -> None:
    """Teach a loader or dumper what unquoted words mean in YAML 1.2."""
    for name, pattern, first in _SCALARS:
        kind.add_implicit_resolver(  # type: ignore[attr-defined]
            _TAG + name, re.compile(rf"^(?:{pattern})$"), [c if c != "\0" else "" for c in first]
        )


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses what can hide or grow: duplicate keys, aliases, tags, keys that are no text, depth."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - none of YAML 1.1; PyYAML keeps them on the class
    _level = _values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.events.AliasEvent):
            raise ConfigError(f"line {line}: YAML aliases (*name) are not allowed")
        if event.tag is not None:
            raise yaml.composer.ComposerError(None, None, "tags (!name) are not allowed", event.start_mark)
        if self._level >= _MOST_LEVELS:
            raise ConfigError(f"line {line}: nested deeper than {_MOST_LEVELS} levels")
        self._values += 1
        if self._values > _MOST_VALUES:
            raise ConfigError(f"line {line}: more than {_MOST_VALUES} keys and values, which is the most that is read")
        self._level += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        return node

    def construct_yaml_int(self, node: Any) -> int:
        return _whole(node.value)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"line {line}: a key must be a word, not a list or a mapping")
            if key.value in seen:
                raise ConfigError(f"line {line}: duplicate key '{shown(key.value)}'")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what `_Loader`, or a reader of YAML 1.1, would not read as text."""


_Loader.add_constructor(_TAG + "int", _Loader.construct_yaml_int)
_plain_words(_Loader)
_plain_words(_Dumper)


def shown(value: object) -> str:
    """Return a foreign value on one line, cut to what a message can hold."""
    text = str(value)
    return one_line(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def parse_yaml(text: str | bytes, where: str) -> dict[str, Any]:
    """Return the mapping in `text`; `where` names its origin in errors.

    Raises:
        ConfigError: it has too many bytes or values, is not UTF-8, not YAML, or no mapping.
    """
    whole = _decoded(text, where, _MOST_YAML_BYTES)
    try:
        data = copy.deepcopy(_parsed(whole))
        _require_whole_characters(data, whole)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{where}: not valid YAML: {one_line(' '.join(str(error).split()))}") from None
    return _mapping(data, where)


def parse_json(text: str | bytes, where: str, most: int = MOST_BYTES) -> dict[str, Any]:
    """Return the object in `text`; `where` names its origin in errors.

    Raises:
        ConfigError: it is larger than `most` bytes, not UTF-8, not JSON (NaN and infinity are none), or no object.
    """
    try:
        whole = _decoded(text, where, most)
        data = json_value(whole, object_pairs_hook=_once, parse_constant=_no_number, parse_int=_whole)
        _check_levels(data, _MOST_LEVELS)
    except RecursionError:
        raise ConfigError(f"{where}: nested deeper than {_MOST_LEVELS} levels") from None
    except ValueError as error:
        raise ConfigError(f"{where}: not valid JSON: {shown(error)}") from None
    return _mapping(data, where)


def json_value(text: str, **how: Any) -> Any:
    """Return what JSON says, as `json.loads`; raises ValueError also for half a character (a lone "\\ud800").

    An escape can say one half of a UTF-16 pair alone: no message, file or log could hold it.
    """
    data = json.loads(text, **how)
    _require_whole_characters(data, text)
    return data


def _require_whole_characters(data: object, text: str) -> None:
    """Raise ValueError where an escape in `text` made half a character in `data`."""
    if _HALF.search(text):
        json.dumps(data, ensure_ascii=False).encode()


def parse_xml(text: str | bytes, where: str, most: int = MOST_XML_BYTES) -> ET.Element:
    """Return the root of an XML document; `where` names its origin in errors.

    A document type is refused: entities can name other files, and grow without end.

    Raises:
        ConfigError: it is larger than `most` bytes, not XML, nested deeper than 200 levels, or has a document type.
    """
    if len(text) > most:
        raise ConfigError(f"{where}: {len(text)} bytes, at most {most} are allowed")
    builder, level = ET.TreeBuilder(), 0
    parser = expat.ParserCreate(namespace_separator="}")

    def named(name: str) -> str:  # as ElementTree writes it: {namespace}name
        return "{" + name if "}" in name else name

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal level
        level += 1
        if level > _MOST_XML_LEVELS:
            raise ConfigError(f"{where}: nested deeper than {_MOST_XML_LEVELS} levels")
        builder.start(named(tag), {named(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal level
        level -= 1
        builder.end(named(tag))

    def refuse(*_: object) -> None:
        raise ConfigError(f"{where}: a document type (<!DOCTYPE ...>) is not allowed: take it out")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError) as error:  # ValueError: of an encoding that is not known
        raise ConfigError(f"{where}: not valid XML: {shown(error)}") from None
    return builder.close()


def dump_yaml(data: object, width: int = 200) -> str:
    """Return plain values as YAML that `parse_yaml` reads back to equal ones."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=width)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in the YAML file `path`."""
    return parse_yaml(read_bytes(path), path.name)


def require_regular(path: Path) -> None:
    """Raise OSError for a pipe, socket or device, which would be waited for without end, or a file that is not there.

    Whatever files of others are opened, they are looked at here first.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder, opening it says what it is
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise OSError(errno.EINVAL, f"{one_line(path.name)} is {kind}, not a file")


def open_regular(path: Path) -> BinaryIO:
    """Open a file of others for reading; raises like `require_regular`."""
    require_regular(path)
    return path.open("rb")


def read_xml(path: Path) -> tuple[bytes, ET.Element]:
    """Return what an XML file holds, and its root; raises ConfigError as `read_bytes` and `parse_xml`."""
    content = read_bytes(path, MOST_XML_BYTES)
    return content, parse_xml(content, one_line(path.name))


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return what a configuration file holds.

    Raises:
        ConfigError: it does not exist, is too large, or cannot be read.
    """
    if not os.path.exists(path) or os.path.isdir(path):
        raise ConfigError(f"configuration file '{one_line(path)}' does not exist")
    try:
        with open_regular(path) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"'{one_line(path)}' cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise ConfigError(f"{one_line(path.name)}: more than {most} bytes, which is the most that is read")
    return content


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """Return what YAML says; the same few files are read again and again, and parsing is slow."""
    return _Loader(text).get_single_data()


def _decoded(text: str | bytes, where: str, most: int) -> str:
    if len(text) > most:
        raise ConfigError(f"{where}: {len(text)} bytes, at most {most} are allowed")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{where}: line {line}: byte 0x{text[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from None


def _mapping(data: object, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping of keys to values, got {kind_of(data)}")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate key '{next(name for name in names if names.count(name) > 1)}'")
    return found


def _check_levels(value: object, left: int) -> None:
    if left < 0:
        raise RecursionError
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _check_levels(each, left - 1)


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits, at most {_MOST_DIGITS} are read")
    return int(digits)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def kind_of(value: Any) -> str:
    """Return a foreign value for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return f"a whole number of {len(str(abs(value)))} digits"
    return f"'{shown(value)}'" if isinstance(value, str) else shown(repr(value))
