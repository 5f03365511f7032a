"""What an erasure writes down: key, suppression list, open request, log. Nobody is named in it.

All of it lies in FOLDER/erasure. Each file is written whole and flushed to disk before anything
that relies on it is done; the log grows by whole lines, each with the hash of the line before.
"""

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlkit.compliance.identity import Listed
from mlkit.compliance.pseudonyms import keyed_token

HEADING = "# suppression list: digests under erasure/key; check"


def place(folder: Path) -> Path:
    """Return where the records of a folder lie."""
    return Path(folder) / "erasure"


def read(file: Path) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    ValueError: it cannot be read
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file.name}: {error.strerror}; nothing was touched") from None


def write(content: bytes, file: Path, *, mode: int = 0o644) -> None:
    """Write a file that is there whole or not at all, even when the power fails.

    What a killed process leaves beside it is overwritten by the next one that writes the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.erasing")
    with suppress(FileNotFoundError):
        delete(fresh)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    fresh.chmod(mode)
    os.replace(fresh, file)  # noqa: PTH105 - tests count calls of this very function
    _settle(file.parent)


def delete(file: Path) -> None:
    """Delete a file, also one that is kept read-only."""
    if sys.platform == "win32":
        file.chmod(0o600)
    os.unlink(file)  # noqa: PTH108 - tests count calls of this very function


def _settle(folder: Path) -> None:
    """Flush the names of a folder, where the system can."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one process; the lock ends with the process, however that ends.

    Raises
    ------
    ValueError: somebody else is at work there
    """
    place(folder).mkdir(exist_ok=True)
    with (place(folder) / "lock").open("a") as handle:
        try:
            _take(handle.fileno())
        except OSError:
            raise ValueError(
                f"{Path(folder).name} is locked: another erasure is at work; wait until it ends"
            ) from None
        yield


def _take(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def load(folder: Path) -> Listed:
    """Return key and suppression list of a folder; a new key, in memory, when it has none.

    Raises
    ------
    ValueError: there is a list and its key is lost, or is another one
    """
    key_file, list_file = place(folder) / "key", place(folder) / "suppressed.txt"
    if not list_file.exists() and not _waiting(folder).exists():
        key = _key(key_file) if key_file.exists() else secrets.token_bytes(32)
        return Listed(key, frozenset())
    if not key_file.exists():
        raise ValueError(
            "erasure/key is lost: without it nobody on the suppression list can be recognised; "
            "put it back from its backup"
        )
    key, digests = _key(key_file), frozenset[str]()
    if list_file.exists():
        heading, *lines = list_file.read_text(encoding="utf-8").splitlines()
        if heading != f"{HEADING} {_check(key)}":
            raise ValueError("erasure/key is not the key of erasure/suppressed.txt; put it back")
        digests = frozenset(lines)
    waiting = waiting_request(folder)
    return Listed(key, digests | frozenset(waiting["digests"] if waiting else ()))


def _key(file: Path) -> bytes:
    try:
        return bytes.fromhex(file.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{file.parent.name}/key: expected hex digits; put it back") from None


def _check(key: bytes) -> str:
    return keyed_token("check", key=key)[:16]


def begin(folder: Path, listed: Listed, request: dict[str, Any]) -> None:
    """Write key, request and list, in this order: from here on the person counts as erased."""
    key_file = place(folder) / "key"
    if not key_file.exists():
        write(listed.key.hex().encode(), key_file, mode=0o600)
    write(_json(request), _waiting(folder))
    text = "\n".join([f"{HEADING} {_check(listed.key)}", *sorted(listed.digests)]) + "\n"
    list_file = place(folder) / "suppressed.txt"
    if not list_file.exists() or list_file.read_text(encoding="utf-8") != text:
        write(text.encode(), list_file)


def waiting_request(folder: Path) -> dict[str, Any] | None:
    """Return the request that was begun and not ended, if there is one."""
    file = _waiting(folder)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def end(folder: Path, certificate: dict[str, Any], *, event: str) -> None:
    """Write the certificate and a line of the log, once; then the request is closed."""
    entries, written = log(folder), _json(certificate)
    if not any(entry["request"] == certificate["request"] for entry in entries):
        write(written, place(folder) / f"certificate-{certificate['request']}.json")
        _append(folder, entries, {
            "request": certificate["request"], "event": event, "on": certificate["on"],
            "subjects": certificate["subjects"], "rows": certificate["removed"],
            "left": len(certificate["left"]), "certificate": hashlib.sha256(written).hexdigest(),
        })  # fmt: skip
    with suppress(FileNotFoundError):
        delete(_waiting(folder))


def log(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of the log.

    Raises
    ------
    ValueError: a line or a certificate was changed, taken out or put in after it was written
    """
    file = place(folder) / "log.jsonl"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    entries: list[dict[str, Any]] = []
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        previous = entries[-1]["hash"] if entries else ""
        try:
            entry = json.loads(line)
            whole = entry["previous"] == previous and entry["hash"] == _hash(entry)
        except (ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            raise ValueError(f"erasure/log.jsonl line {number}: was changed after it was written")
        entries.append(entry)
    _check_certificates(folder, {e["request"]: e["certificate"] for e in entries})
    return entries


def _check_certificates(folder: Path, logged: dict[str, str]) -> None:
    """Each certificate is as logged, and none lacks its line, but that of an open request."""
    begun = (waiting_request(folder) or {}).get("request")
    files = place(folder).glob("certificate-*.json")
    there = {f.stem.removeprefix("certificate-"): hashlib.sha256(read(f)) for f in files}
    for name in sorted(logged.keys() | there.keys() - {begun}):
        if name not in there or there[name].hexdigest() != logged.get(name):
            raise ValueError(f"erasure/certificate-{name}.json and erasure/log.jsonl differ: one "
                             "was changed; put both back")  # fmt: skip


def _append(folder: Path, entries: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Add a line; half a line of a killed process is cut off first."""
    entry["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    entry["previous"] = entries[-1]["hash"] if entries else ""
    entry["hash"] = _hash(entry)
    file = place(folder) / "log.jsonl"
    with file.open("ab") as target:
        target.truncate(sum(len(json.dumps(e)) + 1 for e in entries))
        target.write(json.dumps(entry).encode() + b"\n")
        target.flush()
        os.fsync(target.fileno())


def _hash(entry: dict[str, Any]) -> str:
    told = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _waiting(folder: Path) -> Path:
    return place(folder) / "open.json"


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
