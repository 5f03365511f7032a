"""Snapshots: a version of tables that can be named, found again and checked.

The name of a version is a hash of what it says: tables, code and environment. Files are named by
their own bytes, so what is there already is not stored again. The time of day is no identity: it
may come twice, and equal content has many of them.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mlkit.tables import Tables, content_hash, write_bytes, write_text

OBJECTS = "objects"
FACTS = ("tables", "commit", "dirty", "environment")


def naive_snapshot(table: pd.DataFrame, folder: Path, *, moment: pd.Timestamp, commit: str) -> Path:
    """Write a table into a folder named by the second, and return the folder.

    The usual recipe (with its dates as text, because JSON has no timestamps). A second snapshot of
    the same second replaces the first without a word, the same content gets a new name each time,
    and the commit is that of a tree that may have been edited since.
    """
    target = Path(folder) / f"v_{moment:%Y%m%d_%H%M%S}"
    target.mkdir(parents=True, exist_ok=True)
    table.to_parquet(target / "data.parquet", index=False)
    metadata = {"version": target.name, "row_count": len(table), "git_commit": commit}
    write_text(json.dumps(metadata | {"date_range": date_ranges(table)}), target / "metadata.json")
    return target


def snapshot(
    tables: Tables, folder: Path, *, commit: str, dirty: bool, environment: str
) -> dict[str, Any]:
    """Write a version of tables and return its manifest; what is stored already stays as it is.

    Each table becomes `objects/<hash of the file>.parquet`; the manifest `<id>.json` is written
    last, so that a version is there whole or not at all.

    Parameters
    ----------
    tables: at least one table; an index is no content and is not kept
    folder: where all versions live
    commit: of the code that made the tables
    dirty: whether that code had been edited since (see `git_state`)
    environment: hash of the installed packages (see `lock_hash`)

    Returns
    -------
    id (16 hex digits of all the rest), commit, dirty, environment and tables: name to sha256 of the
    file, content (see `content_hash`), rows, bytes, schema and dates of each column of times.

    Raises
    ------
    ValueError: no tables, commit or environment, or a column that parquet cannot hold or that has
        no hash, such as one of lists
    """
    if not tables or not commit or not environment:
        raise ValueError("snapshot: expected at least one table, a commit and an environment")
    packed = {name: _parquet(table, name) for name, table in sorted(tables.items())}
    described = {name: _described(tables[name], name, packed[name]) for name in packed}
    facts = dict(zip(FACTS, (described, commit, bool(dirty), environment), strict=True))
    manifest = {"id": _id(facts), **facts}
    for name, content in packed.items():
        file = _object(folder, described[name]["sha256"])
        if not file.exists() or _sha256(file.read_bytes()) != described[name]["sha256"]:
            write_bytes(content, file)
    write_text(json.dumps(manifest, indent=1), Path(folder) / f"{manifest['id']}.json")
    return manifest


def verify(folder: Path) -> list[str]:
    """Return the ids of all versions in a folder when every file of them is there, unchanged.

    Raises
    ------
    ValueError: a manifest or a file that was changed, or a file that is missing; the first of them
        by name, and how many there are
    FileNotFoundError: no version there
    """
    manifests = sorted(Path(folder).glob("*.json"))
    if not manifests:
        raise FileNotFoundError(f"{folder}: no manifest of a snapshot; expected <id>.json")
    _refuse({place: says for file in manifests for place, says in _problems(file).items()})
    return [file.stem for file in manifests]


def load(folder: Path, version: str) -> Tables:
    """Return the tables of a version, after checking its files.

    Raises
    ------
    FileNotFoundError: no such version; the message lists those there are
    ValueError: see `verify`
    """
    file = Path(folder) / f"{version}.json"
    if not file.is_file():
        known = sorted(found.stem for found in Path(folder).glob("*.json"))
        raise FileNotFoundError(f"{folder}: no version {version!r}; has {known}")
    _refuse(_problems(file))
    tables = json.loads(file.read_text(encoding="utf-8"))["tables"]
    return {
        name: pd.read_parquet(_object(folder, facts["sha256"])) for name, facts in tables.items()
    }


def date_ranges(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the first and the last moment of each column of times, as ISO text."""
    times = table.select_dtypes(["datetime", "datetimetz"])
    return {
        str(name): [times[name].min().isoformat(), times[name].max().isoformat()]
        for name in times
        if times[name].notna().any()
    }


def lock_hash(packages: Iterable[str]) -> str:
    """Return 16 hex digits for a set of lines such as "numpy==2.4.0", in any order.

    A lock file gives such lines, and so does `installed`.
    """
    text = "\n".join(sorted({line.strip() for line in packages if line.strip()}))
    return _sha256(text.encode())[:16]


def installed() -> list[str]:
    """Return the line of each package that is really installed, and of Python itself."""
    import platform
    from importlib.metadata import distributions

    found = {(one.metadata["Name"] or "").lower(): one.version for one in distributions()}
    lines = [f"{name}=={number}" for name, number in found.items()]
    return sorted([*lines, f"python=={platform.python_version()}"])


def git_state(folder: Path) -> tuple[str, bool]:
    """Return the commit of a folder under git and whether a file was edited or added since.

    Raises
    ------
    ValueError: not under git, or nothing committed yet
    """
    import subprocess

    answers = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain")):
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(
                f"{folder}: git {words[0]} says {done.stderr.strip().splitlines()[:1]}"
            )
        answers.append(done.stdout.strip())
    return answers[0], bool(answers[1])


def _described(table: pd.DataFrame, name: str, content: bytes) -> dict[str, Any]:
    try:
        says = content_hash({"": table})
    except TypeError as error:
        raise ValueError(f"{name}: it holds values that have no hash: {error}") from error
    return {
        "sha256": _sha256(content),
        "content": says,
        "rows": len(table),
        "bytes": len(content),
        "schema": {str(name): str(dtype) for name, dtype in table.dtypes.items()},
        "dates": date_ranges(table),
    }


def _parquet(table: pd.DataFrame, name: str) -> bytes:
    file = io.BytesIO()
    try:
        table.to_parquet(file, index=False, compression="zstd")
    except (ValueError, TypeError) as error:  # Arrow's own errors are among these
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: parquet cannot hold it: {reason}") from error
    return file.getvalue()


def _refuse(wrong: dict[str, str]) -> None:
    if wrong:
        place, says = next(iter(wrong.items()))
        are = "file is" if len(wrong) == 1 else "files are"
        raise ValueError(
            f"{len(wrong)} stored {are} not as written; {place} {says}; restore it from a copy"
        )


def _problems(manifest: Path) -> dict[str, str]:
    """What is wrong with a version: file to what it is now."""
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        intact = _id({name: found[name] for name in FACTS}) == found["id"] == manifest.stem
        files = {
            name: _object(manifest.parent, facts["sha256"])
            for name, facts in found["tables"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {manifest.name: "is no manifest of a snapshot any more"}
    if not intact:
        return {manifest.name: "was edited: its content has another id"}
    states = {name: _state(file) for name, file in files.items()}
    return {
        f"{OBJECTS}/{files[name].name}": f"(table {name!r} of version {manifest.stem}) is {state}"
        for name, state in states.items()
        if state
    }


def _state(file: Path) -> str:
    if not file.is_file():
        return "missing"
    return "" if _sha256(file.read_bytes()) == file.stem else "changed"


def _object(folder: Path, sha256: str) -> Path:
    if not re.fullmatch("[0-9a-f]{64}", str(sha256)):
        raise ValueError(f"{sha256!r}: expected 64 hex digits as the name of a file")
    return Path(folder) / OBJECTS / f"{sha256}.parquet"


def _id(facts: dict[str, Any]) -> str:
    return _sha256(json.dumps(facts, sort_keys=True).encode())[:16]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
