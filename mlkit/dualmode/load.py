"""The other side of the service: start it as a process of its own, and send it charges.

Everything stays on this machine, is bounded in count and time, and ends: the child is stopped when
the block is left, and stops by itself when nobody asks any more.
"""

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mlkit.dualmode.events import written
from mlkit.tables import as_microseconds

LOOPBACK = ("127.0.0.1", "localhost", "::1")
START_SECONDS = 60.0
MOST_SECONDS = 120.0
MOST_REQUESTS = 100_000
HEADERS = {"Content-Type": "application/json"}


class Child(NamedTuple):
    """A service in another process, and where it listens."""

    process: subprocess.Popen
    port: int


class Reply(NamedTuple):
    """What came back: status, answer, and milliseconds from sending to having read it."""

    status: int
    answer: dict[str, Any]
    ms: float


@contextlib.contextmanager
def running(log: Path, model: Path, *options: str) -> Iterator[Child]:
    """Yield a service of this log and model in a process of its own; it ends with the block.

    Parameters
    ----------
    log, model: files, as `python -m mlkit.dualmode.service` takes them
    options: its other arguments, such as "--threshold", "0.1"

    Raises
    ------
    RuntimeError: it does not start; the message ends with what it printed
    """
    command = [sys.executable, "-m", "mlkit.dualmode.service", str(log), str(model), *options]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield Child(process, _port(process, errors))
        finally:
            stop(process)


def _port(process: subprocess.Popen, errors: Any) -> int:
    """Return the port that a child announces; a child that does not is ended in time."""
    assert process.stdout
    late = threading.Timer(START_SECONDS, process.kill)
    late.start()
    word, _, port = process.stdout.readline().partition(" ")
    late.cancel()
    if word == "ready":
        return int(port)
    stop(process)
    errors.seek(0)
    last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    raise RuntimeError(f"service: expected 'ready PORT', came {word!r}; it said {last}")


def stop(process: subprocess.Popen) -> None:
    """End a child: by SIGTERM, and if that does not help by SIGKILL."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def send(
    port: int,
    bodies: Iterable[bytes],
    *,
    path: str = "/charges",
    host: str = "127.0.0.1",
    seconds: float = MOST_SECONDS,
) -> list[Reply]:
    """Return the replies to requests that are sent one after the other over one connection.

    Where the connection is lost the replies end: what has none may be in the log or not, so send it
    again.

    Parameters
    ----------
    bodies: what to send, at most 100,000; fewer when the time is over
    host: a name of this machine
    seconds: for all of them

    Raises
    ------
    ValueError: another host, or too many requests
    """
    if host not in LOOPBACK:
        raise ValueError(f"host = {host!r}: expected one of {', '.join(LOOPBACK)}; this is a load")
    bodies = list(bodies)
    if len(bodies) > MOST_REQUESTS:
        raise ValueError(f"bodies = {len(bodies)}: expected at most {MOST_REQUESTS}; send a part")
    deadline, replies = time.monotonic() + seconds, []
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=seconds)) as connection:
        for body in bodies:
            if time.monotonic() > deadline:
                break
            try:
                replies.append(_ask(connection, path, body))
            except (ConnectionError, http.client.HTTPException):
                break
    return replies


def _ask(connection: http.client.HTTPConnection, path: str, body: bytes) -> Reply:
    begin = time.perf_counter()
    connection.request("POST", path, body, HEADERS)
    response = connection.getresponse()
    content = response.read()
    return Reply(response.status, json.loads(content), 1e3 * (time.perf_counter() - begin))


def health(port: int) -> dict[str, Any]:
    """Return the counts of a service on this machine."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as asked:
        asked.request("GET", "/health")
        return json.loads(asked.getresponse().read())


def bodies_of(charges: pd.DataFrame) -> list[bytes]:
    """Return each charge as the JSON that a gateway would send, stamped with its arrival.

    Parameters
    ----------
    charges: charge_id, user_id, event_ts, ingest_ts, amount_usd, new_device, km_home
    """
    columns = ["charge_id", "user_id", "amount_usd", "new_device", "km_home"]
    rows = charges[columns].to_dict("records")
    times = zip(
        as_microseconds(charges["event_ts"]), as_microseconds(charges["ingest_ts"]), strict=True
    )
    return [
        to_body({**row, "event_ts": written(int(at)), "ingest_ts": written(int(arrived))})
        for row, (at, arrived) in zip(rows, times, strict=True)
    ]


def chargebacks_of(charges: pd.DataFrame) -> list[bytes]:
    """Return the complaints about charges that are known, as JSON, in the order of the charges."""
    told = charges.dropna(subset=["fraud_known_ts"])
    rows = told[["charge_id", "user_id"]].to_dict("records")
    known = as_microseconds(told["fraud_known_ts"])
    return [
        to_body({**row, "known_ts": written(int(at))}) for row, at in zip(rows, known, strict=True)
    ]


def to_body(event: dict[str, Any]) -> bytes:
    """Return an event as bytes of JSON."""
    return json.dumps(event).encode()


def malformed(good: bytes) -> dict[str, bytes]:
    """Return what a service gets to see on a bad day: one good charge, spoiled in many ways.

    Parameters
    ----------
    good: a charge that would be accepted

    Returns
    -------
    What is wrong, in words, to the bytes that are sent.
    """
    event = json.loads(good)
    text = good.decode()
    amount = text.split('"amount_usd": ')[1].split(",")[0]

    def changed(**values: Any) -> bytes:
        return to_body({**event, **values})

    return {
        "empty": b"",
        "cut off": good[:-20],
        "not an object": b"[1, 2, 3]",
        "missing key": to_body({k: v for k, v in event.items() if k != "amount_usd"}),
        "unknown key": changed(ammount_usd=3.0),
        "number as text": changed(amount_usd="12.50"),
        "bool as number": changed(user_id=True),
        "number as bool": changed(new_device=1),
        "negative amount": changed(amount_usd=-5.0),
        "amount of zero": changed(amount_usd=0),
        "NaN": text.replace(amount, "NaN").encode(),
        "Infinity": text.replace(amount, "-Infinity").encode(),
        "more than a float holds": text.replace(amount, "1e999").encode(),
        "key twice": text.replace("{", '{"amount_usd": 1, ', 1).encode(),
        "future": changed(event_ts="2999-01-01T00:00:00Z"),
        "too old": changed(event_ts="2001-01-01T00:00:00Z"),
        "time without offset": changed(event_ts="2025-01-01T00:00:00"),
        "not UTF-8": good.replace(b'"km_home"', b'"km_home\xff"'),
        "nested deeply": b"[" * 2_000,
        "nested value": changed(km_home={"value": {"value": 3}}),
        "huge": changed(note="x" * 100_000),
    }
