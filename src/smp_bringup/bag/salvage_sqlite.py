"""What can still be read of a sqlite3 file of rosbag2 that was cut or damaged."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from smp_bringup.bag.messages import definition, known
from smp_bringup.bag.records import MAX_BYTES, Damaged, Message
from smp_bringup.bag.recovered import Recovered, Topic
from smp_bringup.bag.sqlite_file import ERRORS, connect, has_tables
from smp_bringup.errors import one_line

_ROWS = "SELECT id, topic_id, timestamp, data FROM messages WHERE id >= ? ORDER BY id"
_LAST_ID = 1 << 62


def salvage_sqlite(file: Path) -> Recovered:
    """Return everything readable in a damaged file; raises Damaged where its topics are lost."""
    damage: list[str] = []
    try:
        with closing(_opened(file)) as connection:
            if not has_tables(connection):
                raise Damaged("is a database without the tables of rosbag2")
            rows = connection.execute("SELECT id, name, type FROM topics").fetchall()
    except ERRORS as error:
        raise Damaged(f"has lost its topics ({one_line(error)})") from error
    topics = {number: _topic(str(name), str(kind)) for number, name, kind in rows}
    for _ in _messages(file, damage):
        pass
    damage += _faults(file) if not damage else ()
    return Recovered(topics, lambda: _messages(file, []), tuple(damage), told=Counter())


def _topic(name: str, kind: str) -> Topic:
    text, type_hash = definition(kind) if known(kind) else ("", "")
    return Topic(name, kind, "cdr", "ros2msg", text.encode(), type_hash)


def _faults(file: Path) -> list[str]:
    """Return what sqlite3 finds wrong with the structure of a file: rows may be gone from it without a trace."""
    try:
        with closing(_opened(file)) as connection:
            (text,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except ERRORS as error:
        text = str(error)
    return [] if text == "ok" else [f"{file.name}: {one_line(text)}"]


def _opened(file: Path) -> sqlite3.Connection:
    connection = connect(file)
    connection.execute("PRAGMA writable_schema = ON")  # opens a file that is shorter than it says
    return connection


def _messages(file: Path, damage: list[str]) -> Iterator[Message]:
    """Yield the readable rows in their order; names the stretches between them."""
    after = 1  # rosbag2 numbers its rows without gaps
    while after < _LAST_ID:
        with closing(_opened(file)) as connection:
            try:
                for number, topic, log_ns, data in connection.execute(_ROWS, (after,)):
                    if number < after:
                        raise sqlite3.DatabaseError("its rows are out of order")
                    if number > after:
                        damage.append(f"rows {after} to {number - 1} of {file.name} are missing")
                    after = number + 1
                    if isinstance(log_ns, int) and isinstance(data, bytes) and log_ns >= 0 and len(data) <= MAX_BYTES:
                        yield Message(topic, 0, log_ns, log_ns, data)
                    else:
                        damage.append(f"row {number} of {file.name} is no message")
                return
            except ERRORS as error:
                broken, after = after, _readable_from(connection, after)
                until = "the end" if after >= _LAST_ID else f"{after - 1}"
                damage.append(f"rows {broken} to {until} of {file.name} are unreadable ({one_line(error)})")


def _readable_from(connection: sqlite3.Connection, after: int) -> int:
    """Return the first row behind an unreadable one from which on it goes on; `_LAST_ID` where there is none."""
    step = 1
    while (row := _row(connection, after + step)) is None:
        step *= 2
        if after + step >= _LAST_ID:
            return _LAST_ID
    lost = after + step // 2
    while row - lost > 1:
        middle = (lost + row) // 2
        earlier = _row(connection, middle)
        if earlier is None:
            lost = middle
        elif earlier < row:
            row = earlier
        else:  # no row between the two
            break
    return row


def _row(connection: sqlite3.Connection, least: int) -> int | None:
    """Return the number of the first row from `least` on, `_LAST_ID` behind the last; None where it is unreadable."""
    try:
        row = connection.execute(_ROWS, (least,)).fetchone()
    except ERRORS:
        return None
    if row is None:
        return _LAST_ID
    return int(row[0]) if row[0] >= least else None
