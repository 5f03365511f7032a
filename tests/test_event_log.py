"""The event log: what is acknowledged is kept, once, in one order, whoever is killed."""

import contextlib
import hashlib
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mlkit.dualmode import log as module
from mlkit.dualmode.log import KEPT_BYTES, Conflict, EventLog

EVENTS, KILLS, SEEN = 2_000, 50, 4
WRITER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("log", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
start, stop, group = map(int, sys.argv[3:])
with module.EventLog(sys.argv[2]) as log:
    print("open", flush=True)
    for first in range(start, stop, group):
        ids = range(first, min(first + group, stop))
        offsets = log.append_many([{"charge_id": i, "amount_usd": i / 100} for i in ids])
        print(*(f"{i}:{offset}" for i, offset in zip(ids, offsets)), flush=True)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "log.sqlite"


@pytest.fixture
def log(file):
    with EventLog(file) as log:
        yield log


def event(number, amount=1.0):
    return {"charge_id": number, "amount_usd": amount}


def nested(depth):
    inner = []
    for _ in range(depth):
        inner = [inner]
    return inner


# --- append ---------------------------------------------------------------------------------------


def test_offsets_are_the_order_of_arrival(log):
    assert [log.append(event(i)) for i in (30, 10, 20)] == [1, 2, 3]
    assert [row.event["charge_id"] for row in log.read()] == [30, 10, 20]


def test_an_event_sent_again_keeps_its_first_offset(log):
    assert [log.append(event(i)) for i in (1, 2, 1)] == [1, 2, 1]
    assert len(log) == 2 and not log.dead_letters()


def test_order_of_keys_is_not_content(log):
    assert log.append({"charge_id": 1, "a": 2}) == log.append({"a": 2, "charge_id": 1})


def test_other_content_under_one_id_is_a_conflict_and_a_dead_letter(log):
    log.append(event(1, 5.0))
    with pytest.raises(Conflict, match="charge_id = 1: is there with another content"):
        log.append(event(1, 6.0))
    assert [row.event for row in log.read()] == [event(1, 5.0)]
    [letter] = log.dead_letters()
    assert letter["payload"] == b'{"amount_usd":6.0,"charge_id":1}'


def test_a_group_has_offsets_in_its_order_and_none_for_a_conflict(log):
    log.append(event(2))
    assert log.append_many([event(1), event(2), event(2, 9.0), event(3)]) == [2, 1, None, 3]


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"amount_usd": 1.0}, KeyError, "charge_id"),
        ({"charge_id": 3, "x": float("nan")}, ValueError, "expected plain JSON"),
        ({"charge_id": 3, "x": {1, 2}}, ValueError, "expected plain JSON"),
        ({"charge_id": 3, "x": 10**5_000}, ValueError, "expected plain JSON"),
        ({"charge_id": 3, "x": nested(100_000)}, ValueError, "expected plain JSON.* recursion"),
        ({"charge_id": "\ud800"}, ValueError, "surrogates not allowed"),
    ],
    ids=["no id", "NaN", "a set", "a long number", "nested", "no Unicode"],
)
def test_a_group_is_written_whole_or_not_at_all(log, bad, error, message):
    with pytest.raises(error, match=message):
        log.append_many([event(1), bad])
    assert len(log) == 0


def test_append_leaves_the_event_alone(log):
    mine = {"charge_id": 1, "b": 1, "a": 2}
    log.append(mine)
    assert list(mine.items()) == [("charge_id", 1), ("b", 1), ("a", 2)]


def test_what_is_on_the_disk_is_synced_before_it_is_acknowledged(log):
    for pragma, value in {"journal_mode": "wal", "synchronous": 2}.items():  # 2 is FULL
        assert log._con.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_a_full_disk_is_named_and_the_log_goes_on_when_there_is_room(log):
    log.append(event(0))
    log._con.execute("PRAGMA max_page_count = 6")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        log.append_many({"charge_id": i, "x": "y" * 3_000} for i in range(1, 60))
    assert len(log) == 1
    log._con.execute("PRAGMA max_page_count = 100000")
    assert log.append(event(1)) == 2


def test_a_commit_that_fails_is_taken_back(log):
    class Failing:
        """A connection whose commit does not come through, once."""

        def __init__(self, con):
            self.con, self.in_transaction = con, True

        def execute(self, sql, *values):
            if sql == "COMMIT":
                log._con = self.con
                raise sqlite3.OperationalError("disk I/O error")
            return self.con.execute(sql, *values)

    log._con = Failing(log._con)
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        log.append(event(1))
    assert len(log) == 0 and log.append(event(2)) == 1


# --- read -----------------------------------------------------------------------------------------


def test_read_begins_behind_an_offset_and_stops_at_a_limit(log):
    log.append_many(map(event, range(10)))
    assert [row.offset for row in log.read(after=4, limit=3)] == [5, 6, 7]
    assert [row.offset for row in log.replay(batch=3)] == list(range(1, 11))
    assert log.read(after=10) == []


def test_find_returns_the_event_of_an_id(log):
    log.append(event(7))
    assert log.find(7) == (1, event(7)) and log.find(8) is None


def test_another_reader_sees_what_was_acknowledged(log, file):
    log.append(event(1))
    with EventLog(file) as other:
        assert other.read() == log.read()


# --- retention ------------------------------------------------------------------------------------


def test_a_truncated_log_says_where_it_begins(log):
    log.append_many(map(event, range(5)))
    assert log.low() == 0
    assert log.truncate(before=4) == 3
    assert (log.low(), len(log), log.last()) == (3, 2, 5)


def test_offsets_are_not_used_twice_after_everything_was_truncated(log, file):
    log.append_many(map(event, range(5)))
    log.truncate(before=6)
    assert (log.low(), log.last(), len(log)) == (5, 5, 0)
    log.close()
    with EventLog(file) as again:
        assert again.append(event(9)) == 6


def test_a_forgotten_id_is_new_again(log):
    log.append_many(map(event, range(3)))
    log.truncate(before=2)
    assert log.append(event(0)) == 4


def test_an_empty_log_has_nothing_below(log):
    assert (log.low(), log.last(), len(log)) == (0, 0, 0)


# --- dead letters ---------------------------------------------------------------------------------


def test_dead_letter_keeps_the_beginning_and_tells_of_the_rest(log):
    raw = bytes(range(256)) * 100
    log.reject(raw, "no event")
    [letter] = log.dead_letters()
    assert letter["payload"] == raw[:KEPT_BYTES] and letter["bytes"] == len(raw)
    assert letter["sha256"] == hashlib.sha256(raw).hexdigest()
    assert letter["reason"] == "no event" and letter["received"].endswith("Z")
    assert log.count_dead_letters() == 1 and len(log) == 0


def test_a_flood_of_dead_letters_pushes_out_the_oldest(log, monkeypatch):
    monkeypatch.setattr(module, "MOST_LETTERS", 3)
    for i in range(10):
        log.reject(b"x", f"reason {i}")
    assert [letter["reason"] for letter in log.dead_letters()] == [
        "reason 7",
        "reason 8",
        "reason 9",
    ]


# --- files ----------------------------------------------------------------------------------------


def test_log_is_there_when_it_is_opened_again(file):
    with EventLog(file) as log:
        log.append(event(1))
    with EventLog(file) as log:
        assert log.append(event(1)) == 1 and len(log) == 1


def test_closing_twice_is_fine(log):
    log.close()
    log.close()


def test_a_file_that_is_no_database_is_named_and_left_alone(file):
    file.write_bytes(b"charge_id,amount\n1,2\n" * 200)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"log.sqlite: expected an event log, came file is not"):
        EventLog(file)
    assert file.read_bytes() == before


def test_a_database_of_something_else_is_left_alone(file):
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE mine (x)")
        other.commit()
    before = file.read_bytes()
    with pytest.raises(ValueError, match="expected an event log, came another database"):
        EventLog(file)
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder that is there"):
        EventLog(tmp_path / "none" / "log.sqlite")


def test_another_schema_version_is_named(file, monkeypatch):
    EventLog(file).close()
    monkeypatch.setattr(module, "SCHEMA", 2)
    with pytest.raises(ValueError, match="expected schema version 2, came 1"):
        EventLog(file)


# --- several writers ------------------------------------------------------------------------------


def test_threads_share_one_log(log):
    with ThreadPoolExecutor(4) as pool:
        offsets = list(pool.map(lambda i: log.append(event(i % 100)), range(400)))
    assert len(log) == 100
    assert all(log.find(i % 100).offset == offset for i, offset in enumerate(offsets))


def write(file, start, stop, group=1):
    command = [sys.executable, "-c", WRITER, module.__file__, file, start, stop, group]
    return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)


def acknowledged(text):
    """Return id to offset of the lines that came whole."""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    pairs = [pair.split(":") for line in lines for pair in line.split() if ":" in pair]
    return {int(i): int(offset) for i, offset in pairs}


def test_two_processes_write_the_same_ids_once(file):
    writers = [write(file, 0, 300), write(file, 0, 300)]
    told = [acknowledged(writer.communicate(timeout=60)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert told[0] == told[1]
    with EventLog(file) as log:
        assert sorted(row.event["charge_id"] for row in log.replay()) == list(range(300))


@pytest.mark.parametrize("group", [1, 7], ids=["one by one", "in groups"])
def test_killing_the_writer_loses_nothing_and_doubles_nothing(file, group):
    rng = np.random.default_rng(group)
    told = {}
    for _ in range(KILLS // 2):
        first = max(told, default=-1) + 1  # whatever was not acknowledged is sent again
        writer = write(file, first, first + EVENTS, group)
        try:  # none is seen: it is killed while it opens the log
            seen = [writer.stdout.readline() for _ in range(rng.integers(0, SEEN + 1))]
            time.sleep(rng.uniform(0, 0.02))
        finally:
            writer.kill()
        rest = writer.stdout.read()  # also what readline had read ahead
        writer.communicate(timeout=60)
        told |= acknowledged("".join(seen) + rest)
        assert writer.returncode != 0, "the writer came to its end before it was killed"
        with EventLog(file) as log:
            assert len(log) % group == 0  # a group is there whole or not at all
    writer = write(file, max(told) + 1, max(told) + 10, group)
    told |= acknowledged(writer.communicate(timeout=60)[0])
    with EventLog(file) as log:
        kept = [(row.event["charge_id"], row.offset) for row in log.replay()]
    assert dict(kept) == told  # none lost, each where it was acknowledged
    assert [i for i, _ in kept] == list(range(len(told)))  # none doubled, in order
    assert len(told) > KILLS // 2
