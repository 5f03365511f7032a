"""The event log: a SQLite table whose row number is the order of arrival.

What `append` has acknowledged is on the disk: a write-ahead log, synced before each commit
returns. It survives the death of the process, and a loss of power as far as the drive keeps what it
says that it has synced, which no test here can tell. Who deletes the file of an open log deletes
what is acknowledged afterwards, too. An id is stored once, so a producer that does not know whether
its event came through sends it again. What cannot be an event is kept beside the log as a dead
letter; of these only so many, or a flood of them would fill the disk.
"""

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

APPLICATION, SCHEMA = 0x6D6C6B65, 1  # "mlke" and the version of the tables, in the file's header
BUSY_SECONDS = 30.0  # how long to wait for another process that writes
KEPT_BYTES = 4_096  # of each dead letter; its length and digest tell the rest
MOST_LETTERS = 50_000  # dead letters that are kept, the newest: 200 MB at the most
TABLES = f"""
CREATE TABLE events (
  offset INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, not even after a truncation
  event_id TEXT NOT NULL UNIQUE,
  payload TEXT NOT NULL
) STRICT;
CREATE TABLE dead_letters (
  letter INTEGER PRIMARY KEY AUTOINCREMENT,
  received TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
  reason TEXT NOT NULL,
  payload BLOB NOT NULL,  -- its first {KEPT_BYTES} bytes
  bytes INTEGER NOT NULL,  -- as far as it was read
  sha256 TEXT NOT NULL
) STRICT;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA};
"""


class Conflict(ValueError):
    """An event of another content is there under the same id."""


class Row(NamedTuple):
    """An event and its place in the order of arrival."""

    offset: int
    event: dict[str, Any]


class EventLog:
    """A durable, replayable log of events with one order, safe with several processes of a machine.

    Examples
    --------
    >>> with EventLog(":memory:", key="id") as log:
    ...     log.append({"id": 1}), log.append({"id": 2}), log.append({"id": 1}), len(log)
    (1, 2, 1, 2)
    """

    def __init__(self, path: Path | str, *, key: str = "charge_id") -> None:
        """Open the log of a file, and make it where there is none.

        Parameters
        ----------
        path: the file; ":memory:" for a log that ends with the process
        key: the key of an event that identifies it

        Raises
        ------
        ValueError: the file is no database, not an event log, or one of another schema version
        FileNotFoundError: there is no such folder
        """
        self.key, self.path = key, str(path)
        if not Path(self.path).parent.is_dir():
            raise FileNotFoundError(f"{self.path}: expected a folder that is there; make it first")
        self._lock = threading.RLock()  # one connection, used by one thread at a time
        self._con = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._con.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise ValueError(f"{self._name}: expected an event log, came {error}") from None
        except BaseException:
            self._con.close()
            raise

    @property
    def _name(self) -> str:
        return Path(self.path).name

    def _open(self) -> None:
        with self._transaction():
            if not self._one("SELECT COUNT(*) FROM sqlite_master"):
                for statement in TABLES.split(";\n"):
                    self._con.execute(statement)
            application, schema = (
                self._one(f"PRAGMA {name}") for name in ("application_id", "user_version")
            )
        if application != APPLICATION:
            raise ValueError(f"{self._name}: expected an event log, came another database")
        if schema != SCHEMA:
            raise ValueError(
                f"{self._name}: expected schema version {SCHEMA}, came {schema}; "
                "read it with the version of mlkit that wrote it"
            )
        if self.path != ":memory:":
            self._until_free("PRAGMA journal_mode = WAL")
        self._con.execute("PRAGMA synchronous = FULL")
        self._con.execute("PRAGMA fullfsync = ON")  # macOS: through the drive's own cache as well

    def _until_free(self, statement: str) -> None:
        """Run a statement for which SQLite itself does not wait while another process writes."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._con.execute(statement).fetchone()
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _one(self, sql: str, *values: Any) -> Any:
        row = self._con.execute(sql, values).fetchone()
        return None if row is None else row[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write alone: the lock is taken at the beginning, so a read in between cannot go stale."""
        with self._lock:
            self._con.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._con.execute("COMMIT")
            except BaseException:
                if self._con.in_transaction:  # a full disk has ended it already
                    self._con.execute("ROLLBACK")
                raise

    # --- writing ----------------------------------------------------------------------------------

    def append(self, event: Mapping[str, Any]) -> int:
        """Return the offset of an event once it is on the disk.

        An event that is there already keeps its first offset and is not stored again.

        Raises
        ------
        Conflict: another content is there under its id; the newcomer is kept as a dead letter
        KeyError: the event lacks its id
        ValueError: the event is not plain JSON
        """
        [offset] = self.append_many([event])
        if offset is None:
            raise Conflict(self._conflict(event[self.key]))
        return offset

    def append_many(self, events: Iterable[Mapping[str, Any]]) -> list[int | None]:
        """Return the offsets of events in their order, written in one transaction: all or none.

        One sync serves them all (a group commit). A conflict has no offset and is a dead letter.

        Raises
        ------
        KeyError: an event lacks its id; nothing is written
        ValueError: an event is not plain JSON; nothing is written
        """
        rows = [(str(event[self.key]), canonical(event)) for event in events]
        with self._transaction():
            return [self._store(event_id, payload) for event_id, payload in rows]

    def _store(self, event_id: str, payload: str) -> int | None:
        found = self._con.execute(
            "SELECT offset, payload FROM events WHERE event_id = ?", (event_id,)
        ).fetchone()
        if found is None:
            sql = "INSERT INTO events (event_id, payload) VALUES (?, ?)"
            return self._con.execute(sql, (event_id, payload)).lastrowid
        if found[1] == payload:
            return found[0]
        self._bury(payload.encode(), self._conflict(event_id))
        return None

    def _conflict(self, event_id: object) -> str:
        return (
            f"{self.key} = {event_id}: is there with another content; "
            "send the first content again, or a new id"
        )

    def reject(
        self, raw: bytes, reason: str, *, size: int | None = None, sha256: str | None = None
    ) -> None:
        """Keep what is not an event as a dead letter: its beginning, length, digest and reason.

        Parameters
        ----------
        raw: the bytes, or the first of them when `size` and `sha256` tell of the whole
        reason: one sentence
        """
        with self._transaction():
            self._bury(raw, reason, size, sha256)

    def _bury(
        self, raw: bytes, reason: str, size: int | None = None, sha256: str | None = None
    ) -> None:
        size = len(raw) if size is None else size
        digest = sha256 or hashlib.sha256(raw).hexdigest()
        self._con.execute(
            "INSERT INTO dead_letters (reason, payload, bytes, sha256) VALUES (?, ?, ?, ?)",
            (reason, raw[:KEPT_BYTES], size, digest),
        )
        old = "DELETE FROM dead_letters WHERE letter <= last_insert_rowid() - ?"
        self._con.execute(old, (MOST_LETTERS,))

    def truncate(self, before: int) -> int:
        """Return how many events were forgotten: those below an offset, and their ids with them.

        Retention: afterwards a replay starts in the middle (see `low`), and an event that is sent
        once more is new again.
        """
        with self._transaction():
            return self._con.execute("DELETE FROM events WHERE offset < ?", (before,)).rowcount

    # --- reading ----------------------------------------------------------------------------------

    def read(self, after: int = 0, limit: int = 1_000) -> list[Row]:
        """Return at most `limit` events behind an offset (0: from the first), in their order."""
        sql = "SELECT offset, payload FROM events WHERE offset > ? ORDER BY offset LIMIT ?"
        with self._lock:
            rows = self._con.execute(sql, (after, limit)).fetchall()
        return [Row(offset, json.loads(payload)) for offset, payload in rows]

    def replay(self, after: int = 0, *, batch: int = 1_000) -> Iterator[Row]:
        """Yield all events behind an offset in their order, some at a time."""
        while rows := self.read(after, batch):
            yield from rows
            after = rows[-1].offset

    def find(self, event_id: object) -> Row | None:
        """Return the event of an id, or nothing."""
        sql = "SELECT offset, payload FROM events WHERE event_id = ?"
        with self._lock:
            found = self._con.execute(sql, (str(event_id),)).fetchone()
        return None if found is None else Row(found[0], json.loads(found[1]))

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return what was rejected, oldest first: received, reason, payload, bytes, sha256."""
        names = ("received", "reason", "payload", "bytes", "sha256")
        sql = f"SELECT {', '.join(names)} FROM dead_letters ORDER BY letter"
        with self._lock:
            return [dict(zip(names, row, strict=True)) for row in self._con.execute(sql)]

    def count_dead_letters(self) -> int:
        """Return the number of dead letters."""
        with self._lock:
            return self._one("SELECT COUNT(*) FROM dead_letters")

    def low(self) -> int:
        """Return how many offsets lie below the first event that is kept: 0 in a whole log.

        Assert that it is 0 before a backfill.
        """
        with self._lock:
            first = self._one("SELECT MIN(offset) FROM events")
            return self.last() if first is None else first - 1

    def last(self) -> int:
        """Return the highest offset so far, 0 without an event; it survives a truncation."""
        with self._lock:
            return self._one("SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0

    def __len__(self) -> int:
        """Return the number of events that are kept."""
        with self._lock:
            return self._one("SELECT COUNT(*) FROM events")

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._lock:
            self._con.close()

    def __enter__(self) -> "EventLog":
        """Return the log itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self.close()


def canonical(event: Mapping[str, Any]) -> str:
    """Return the one JSON text of an event: keys in order, no spaces, no NaN.

    Raises
    ------
    ValueError: a value is not plain JSON
    """
    try:
        return json.dumps(event, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"event: expected plain JSON values, came one with {error}") from None
