"""Reading a sqlite3 file of rosbag2; it is opened in place and never changed."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from smp_bringup.bag.contents import Contents, Order
from smp_bringup.bag.records import MAX_BYTES, Damaged
from smp_bringup.bag.sqlite_log import journal_damage, log_damage
from smp_bringup.documents import shown
from smp_bringup.errors import BagError, one_line

MAGIC = b"SQLite format 3\x00"
ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What the library raises of damaged files; the second where its own message repeats their bytes."""
_STEP, _STEPS_A_BYTE = 1_000_000, 100
"""Instructions of sqlite3: reading and sorting a sound file takes fewer than one for each of its bytes."""
_COUNTS = "SELECT topic_id, count(*) FROM messages GROUP BY topic_id"
_NAMELESS = "SELECT count(*) FROM messages WHERE topic_id NOT IN (SELECT id FROM topics)"
_MESSAGES = "SELECT topic_id, timestamp, data FROM messages ORDER BY timestamp, id"


def sqlite_contents(file: Path) -> Contents:
    """Return the topics of a file; raises Damaged, or BagError where it is no bag."""
    found = Contents()
    with _opened(file) as connection:
        counts = dict(connection.execute(_COUNTS))
        for number, topic, kind in _topics(connection):
            found.add(topic, kind, counts.get(number, 0))
    return found


def sqlite_messages(file: Path, topics: Mapping[str, str]) -> Iterator[tuple[str, int, bytes]]:
    """Yield topic, log time and serialised message of topics (by type) in the order of log time; raises Damaged."""
    with _opened(file) as connection:
        wanted = {number: topic for number, topic, kind in _topics(connection) if topics.get(topic) == kind}
        for number, log_ns, data in connection.execute(_MESSAGES):
            if number not in wanted:
                continue
            if not (isinstance(log_ns, int) and log_ns >= 0 and isinstance(data, bytes)):
                raise Damaged(f"a message on {wanted[number]} has no bytes, or no time")
            if len(data) > MAX_BYTES:
                raise Damaged(f"a message on {wanted[number]} has {len(data)} bytes, at most {MAX_BYTES} are read")
            yield wanted[number], log_ns, data


def verify_sqlite(file: Path, order: Order) -> None:
    """Test the structure of a file, which is all that sqlite3 can, and look at the order of its messages."""
    with _opened(file) as connection:
        (told,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if told != "ok":
            raise Damaged(one_line(told))
        nameless = connection.execute(_NAMELESS).fetchone()[0]
        if nameless:
            raise Damaged(f"{nameless} messages are on topics which are not defined")
        for (log_ns,) in connection.execute("SELECT timestamp FROM messages ORDER BY id"):
            if not (isinstance(log_ns, int) and log_ns >= 0):
                raise Damaged(f"a message is at {shown(log_ns)}")
            order.take(log_ns)


def with_its_log(file: Path, folder: Path) -> tuple[Path, list[str], list[str]]:
    """Return a copy in `folder` in which what its writer left in -wal or -journal is settled, what was done, and lost.

    sqlite3 writes to both files when it reads them, and a recording stays as it is.
    """
    for log in logs(file):
        shutil.copyfile(log, folder / log.name)
    copy = Path(shutil.copyfile(file, folder / file.name))
    wal = file.with_name(f"{file.name}-wal")
    try:
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # undoes what a -journal says
            _, used, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except ERRORS as error:
        return copy, [], [f"bag '{file}': its -wal or -journal cannot be read ({one_line(error)})"]
    ends = ", ".join(log.name.removeprefix(file.name) for log in logs(file))
    lost = log_damage(wal, max(0, used)) + journal_damage(file.with_name(f"{file.name}-journal"))
    return copy, [f"bag '{file}': read with its {ends}"] if used > 0 or not lost else [], lost


def logs(file: Path) -> list[Path]:
    """Return the files in which sqlite3 keeps what has not reached the database yet."""
    beside = [file.with_name(f"{file.name}{end}") for end in ("-wal", "-journal")]
    return [log for log in beside if log.is_file() and log.stat().st_size]


def _topics(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    rows: list[Any] = connection.execute("SELECT id, name, type FROM topics").fetchall()
    for _, topic, kind in rows:
        if not (isinstance(topic, str) and isinstance(kind, str)):
            raise Damaged(f"topic {one_line(topic)} has the type {one_line(kind)}")
    return rows


def connect(file: Path) -> sqlite3.Connection:
    """Open a file for reading; a damaged one, whose pages may lead to each other without end, is given up some time."""
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    steps = iter(range(1 + _STEPS_A_BYTE * file.stat().st_size // _STEP))
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.set_progress_handler(lambda: int(next(steps, None) is None), _STEP)
    return connection


def has_tables(connection: sqlite3.Connection) -> bool:
    """Return whether topics and messages are plain tables; reading a view or a virtual table may take for ever."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'")
    return {"topics", "messages"} <= {name for (name,) in names}


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a file for reading; whatever sqlite3 says of it becomes Damaged."""
    try:
        with closing(connect(file)) as connection:
            if not has_tables(connection):
                raise BagError(f"bag '{file}' cannot be read: a database without the tables of rosbag2")
            yield connection
    except ERRORS as error:
        raise Damaged(one_line(error)) from error
