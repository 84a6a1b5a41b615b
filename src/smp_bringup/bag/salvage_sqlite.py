"""What can still be read of a sqlite3 file of rosbag2 that was cut or damaged."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from smp_bringup.bag.messages import definition, known
from smp_bringup.bag.records import MAX_BYTES, Message
from smp_bringup.bag.recovered import Recovered, Topic
from smp_bringup.errors import BagError, one_line

_ROWS = "SELECT id, topic_id, timestamp, data FROM messages WHERE id >= ? ORDER BY id"
_LAST_ID = 1 << 62


def salvage_sqlite(file: Path) -> Recovered:
    """Return everything readable in a damaged file.

    Raises:
        BagError: its topics are lost.
    """
    damage: list[str] = []
    try:
        with closing(_opened(file)) as connection:
            rows = connection.execute("SELECT id, name, type FROM topics").fetchall()
    except sqlite3.Error as error:
        raise BagError(f"bag '{file}': not one message can be recovered ({one_line(error)})") from error
    topics = {number: _topic(str(name), str(kind)) for number, name, kind in rows}
    for _ in _messages(file, damage):
        pass
    return Recovered(topics, lambda: _messages(file, []), tuple(damage), told=Counter())


def _topic(name: str, kind: str) -> Topic:
    text, type_hash = definition(kind) if known(kind) else ("", "")
    return Topic(name, kind, "cdr", "ros2msg", text.encode(), type_hash)


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.execute("PRAGMA writable_schema = ON")  # opens a file that is shorter than it says
    return connection


def _messages(file: Path, damage: list[str]) -> Iterator[Message]:
    """Yield the readable rows in their order; names the stretches between them."""
    after = 0
    with closing(_opened(file)) as connection:
        while after < _LAST_ID:
            try:
                for number, topic, log_ns, data in connection.execute(_ROWS, (after,)):
                    if isinstance(log_ns, int) and isinstance(data, bytes) and 0 <= log_ns and len(data) <= MAX_BYTES:
                        yield Message(topic, 0, log_ns, log_ns, data)
                    else:
                        damage.append(f"row {number} of {file.name} is no message")
                    after = number + 1
                return
            except sqlite3.Error as error:
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
    """Return the number of the first row from `least` on; None where it cannot be read."""
    try:
        row = connection.execute(_ROWS, (least,)).fetchone()
    except sqlite3.Error:
        return None
    return _LAST_ID if row is None else int(row[0])
