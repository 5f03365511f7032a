"""Is a person still there? A search through every file of a folder, by content.

It shares no code with the eraser and follows no register: what nobody wrote down is searched, too.
An id of a user or an application counts only in a column of that name, or beside it in a text; an
e-mail or its plain hash anywhere; four measurements of one application wherever they stand side by
side in this order, also in logarithms and standardised. What cannot be opened is reported.

Not found, and not reported: an e-mail in another spelling than with its @ as in a link or in JSON
(base64, hex, quoted-printable, encrypted, cut in two); its hash as bare bytes within something
larger, or in base64; an id in a column of another name, in a free page or journal of a database,
with other signs before its digits, or in a text that does not name it directly before; measurements
column by column, in another order, or in half precision; what is packed and stands where no reader
of the format looks (behind the end of a stream, in an array or cell of bytes of no known format);
16, 20, 32 or 64 bytes that are no text; and what the file system keeps beside the content.
"""

import hashlib
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.compliance.decode import NUMPY, WAL, decode, with_log
from mlkit.compliance.pieces import LARGEST, Piece, words
from mlkit.params import read_yaml
from mlkit.repository import environment
from mlkit.tables import Tables, require_tables

MEASURED = ["credit_score", "years_in_job", "income_usd", "amount_usd"]
COLUMNS = ["store", "place", "what", "times", "user_id"]
DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
PACK = (".pack", ".idx")
BEFORE, AFTER = re.compile(r"[\w.%+-]"), re.compile(r"[\w-]|\.\w")
AT = ("%40", "&#64;", "\\u0040")  # how a text may write @, for a link, a page, JSON
OBJECT = re.compile(r"objects/([0-9a-f]{2}/[0-9a-f]{38,62}|pack/pack-[0-9a-f]+\.(?:pack|idx))$")
RELATIVE, ABSOLUTE = 1e-5, 1e-6  # what standardising in single precision and back may move


class Needles(NamedTuple):
    """What one person is recognised by: ids, e-mail, its plain SHA-256, measurements (k, 4)."""

    user_id: int
    application_ids: tuple[int, ...]
    email: str
    email_sha256: str
    rows: np.ndarray


class Index(NamedTuple):
    """The needles of many: whose an id, an e-mail, a hash or a row is; rows ordered by amount."""

    ids: dict[str, dict[int, int]]
    emails: dict[str, int]
    spans: list[tuple[int, int]]
    digests: dict[str, int]
    rows: np.ndarray
    owners: np.ndarray


def needles(source: Path | str | Tables, user_id: int) -> Needles:
    """Return what a person is recognised by.

    Parameters
    ----------
    source: raw tables with users and applications, or the folder of a lender
    user_id: whom to look for

    Raises
    ------
    KeyError: no such user, or a table is missing
    FileNotFoundError: the folder holds no raw tables
    """
    if not isinstance(source, dict):
        raw = Path(source) / "project" / "data" / "raw"
        source = {name: pd.read_parquet(raw / f"{name}.parquet")
                  for name in ("users", "applications")}  # fmt: skip
    require_tables(source, "users", "applications")
    users, applications = source["users"], source["applications"]
    person = users[users["user_id"] == user_id]
    if person.empty:
        raise KeyError(f"user_id {user_id}: not among the {len(users)} users; take one of theirs")
    email = str(person["email"].iloc[0])
    loans = applications[applications["user_id"] == user_id]
    digest = hashlib.sha256(email.encode()).hexdigest()
    numbers = tuple(loans["application_id"].astype(int))
    return Needles(int(user_id), numbers, email, digest, loans[MEASURED].to_numpy("float64"))


def find(folder: Path | str, sought: Needles | Iterable[Needles]) -> pd.DataFrame:
    """Return every place below a folder where one of the persons is found, by content.

    Parameters
    ----------
    folder: a lender's; every file in it is opened, whatever its name. Links are not followed
    sought: needles of one person or of many

    Returns
    -------
    One row per store, place, thing and person: store (by the register, else the first folder of
    the path), place (path, and after each ! what is inside), what (user_id, application_id, email,
    email_sha256, row of numbers, or not readable with the reason in the place), times, user_id
    (empty where not readable). No rows: nobody is found, and every file could be read.

    Raises
    ------
    FileNotFoundError: no such folder
    """
    folder = _folder(folder)
    index = _index([sought] if isinstance(sought, Needles) else list(sought))
    known: dict[tuple[bytes, str], Counter] = {}
    found: Counter = Counter()
    stores = _register(folder)
    for place, content in _contents(folder):
        if isinstance(content, str):
            found[(_store(place, stores), f"{place} ({content})", "not readable", None)] += 1
            continue
        same = hashlib.sha256(content).digest(), place if content.startswith(NUMPY) else ""
        if same not in known:
            known[same] = _look(decode(content, Path(same[1]).stem), index)
        named = _look(list(words(place, " (its name)")), index)
        for (inner, what, user), times in (known[same] + named).items():
            found[(_store(place, stores), _join(place, inner), what, user)] += times
    return _table(found)


def _folder(folder: Path | str) -> Path:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{Path(folder).name}: no such folder; give that of a lender")
    return Path(folder)


def _join(place: str, inner: str) -> str:
    return f"{place}{inner}" if inner.startswith(("!", " (")) or not inner else f"{place}!{inner}"


def _table(found: Counter) -> pd.DataFrame:
    rows = [(*where[:3], times, where[3]) for where, times in found.items()]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"times": "int64", "user_id": "Int64"})
    return table.sort_values([*COLUMNS[:3], "user_id"], kind="stable", ignore_index=True)


# Whose it is


def _index(sought: list[Needles]) -> Index:
    emails = {n.email.lower(): n.user_id for n in sought if "@" in n.email}
    spans = sorted({(email.index("@"), len(email)) for email in emails})
    ids = {"user_id": {n.user_id: n.user_id for n in sought},
           "application_id": {a: n.user_id for n in sought for a in n.application_ids}}  # fmt: skip
    rows = np.concatenate([np.empty((0, len(MEASURED))), *(n.rows for n in sought)])
    owners = np.concatenate([[], *(np.full(len(n.rows), n.user_id) for n in sought)])
    order = np.argsort(rows[:, -1], kind="stable")
    digests = {n.email_sha256: n.user_id for n in sought}
    return Index(ids, emails, spans, digests, rows[order], owners[order].astype("int64"))


def _look(pieces: list[Piece], index: Index) -> Counter:
    """Return how often each (place within, thing, person) occurs in the pieces of a file.

    Raw bytes count where no other piece of the place has shown the same.
    """
    found: Counter = Counter()
    for piece in pieces:
        if piece.kind == "unreadable":
            found[(f"{piece.inner} ({piece.content})", "not readable", None)] += 1
            continue
        place, hits = piece.inner, _match(piece, index)
        if piece.kind == "raw" and hits:
            shown = {where[1:] for where in found if where[0].startswith(place)}
            place, hits = f"{place}!bytes", {k: n for k, n in hits.items() if k not in shown}
        for (what, user), times in hits.items():
            found[(place, what, user)] += times
    return found


def _match(piece: Piece, index: Index) -> dict[tuple[str, int], int]:
    if piece.kind == "text":
        return _in_text(piece.content, index, strict=True)
    if piece.kind == "raw":
        return _in_bytes(piece.content, index)
    if piece.kind == "numbers":
        return _in_numbers(piece.content, index)
    owner = index.ids[piece.kind]
    hits = piece.content[np.isin(piece.content, list(owner))]
    return Counter((piece.kind, owner[value]) for value in hits.tolist())


def _in_bytes(data: bytes, index: Index) -> Counter:
    """Return e-mails and hashes in bytes, also of two or four to a letter; a hash as it is."""
    found = _in_text(data.decode("latin-1"), index)
    if b"\0" in data:
        found |= _in_text(data.replace(b"\0", b"").decode("latin-1"), index)
    user = index.digests.get(data.hex()) if len(data) == 32 else None
    return found if user is None else found + Counter({("email_sha256", user): 1})


def _in_text(text: str, index: Index, *, strict: bool = False) -> Counter:
    """Return e-mails and hashes in a text; strict: an e-mail has to stand by itself."""
    found: Counter = Counter()
    for sign in AT:
        text = text.replace(sign, "@")
    text = text.lower()
    for at in re.finditer("@", text):
        for local, length in index.spans:
            start = at.start() - local
            user = index.emails.get(text[start : start + length]) if start >= 0 else None
            around = strict and _goes_on(text, start, start + length)
            if user is not None and not around:
                found[("email", user)] += 1
    for digest in DIGEST.findall(text):
        if digest in index.digests:
            found[("email_sha256", index.digests[digest])] += 1
    return found


def _goes_on(text: str, start: int, end: int) -> bool:
    return bool(start and BEFORE.match(text, start - 1)) or bool(AFTER.match(text, end))


def _in_numbers(content: tuple[np.ndarray, list[np.ndarray]], index: Index) -> Counter:
    """Return whose measurements stand side by side in a matrix, as they are or standardised."""
    matrix, vectors = content
    hits: set[tuple[int, int]] = set()
    if len(index.rows):
        with np.errstate(all="ignore"):
            for undone in _undone(matrix, vectors):
                windows = np.lib.stride_tricks.sliding_window_view(undone, len(MEASURED), axis=1)
                hits |= _equal(windows.reshape(-1, len(MEASURED)), index.rows)
    return Counter(("row of numbers", int(index.owners[row])) for _, row in sorted(hits))


def _undone(matrix: np.ndarray, vectors: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the matrix as it may have been before it was standardised, with and without logs."""
    shifts = [v for v in vectors if np.isfinite(v).all()]
    scaled = [matrix * scale + mean for scale in shifts for mean in shifts if scale is not mean]
    for candidate in (matrix, *scaled):
        yield candidate
        yield np.expm1(candidate)


def _equal(windows: np.ndarray, rows: np.ndarray) -> set[tuple[int, int]]:
    """Return pairs of a window and a row (ordered by their last number) that agree."""
    last = windows[:, -1]
    slack = RELATIVE * np.abs(last) + ABSOLUTE
    low = np.searchsorted(rows[:, -1], last - slack)
    high = np.searchsorted(rows[:, -1], last + slack, side="right")
    near = np.flatnonzero((high > low) & np.isfinite(last))
    pairs: set[tuple[int, int]] = set()
    for step in range(int((high - low)[near].max(initial=0))):
        left = near[low[near] + step < high[near]]
        row = low[left] + step
        same = np.isclose(windows[left], rows[row], rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
        pairs |= set(zip(left[same.all(axis=1)].tolist(), row[same.all(axis=1)].tolist(),
                         strict=True))  # fmt: skip
    return pairs


# Where it is


def _register(folder: Path) -> dict[str, str]:
    """Return path to name of the stores that the register names; {} without a register."""
    try:
        listed = read_yaml(folder / "project" / "stores.yaml")
        return {str(store["path"]): str(store["name"]) for store in listed["stores"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _store(place: str, stores: dict[str, str]) -> str:
    path = place.split("!")[0]
    inside = [p for p in stores if path == p or path.startswith(f"{p}/")]
    return stores[max(inside, key=len)] if inside else path.split("/")[0]


def _contents(folder: Path) -> Iterator[tuple[str, bytes | str]]:
    """Yield place and bytes of every file and git object; a text instead: why it has none."""
    closed: list[OSError] = []
    listed: list[str] = []  # places of objects that git has shown
    for top, below, names in os.walk(folder, onerror=closed.append):
        below.sort()
        here = Path(top)
        if "objects" in below and "HEAD" in names:
            shown = f"{(here / 'objects').relative_to(folder).as_posix()}/"
            for place, content in _git(folder, here):
                shown = "" if isinstance(content, str) else shown
                yield place, content
            listed += [shown] if shown else []
        for name in sorted(names) + [b for b in below if (here / b).is_symlink()]:
            path = here / name
            place = path.relative_to(folder).as_posix()
            if not (_is_object(path) and place.startswith(tuple(listed))):
                yield from _file(folder, path, place)
        if not below and not names:
            yield here.relative_to(folder).as_posix(), b""  # its name may be somebody's
    for error in closed:
        yield Path(error.filename).relative_to(folder).as_posix(), str(error.strerror)


def _is_object(path: Path) -> bool:
    """Return whether git has shown what is in a file of its objects: not in half of a pack."""
    whole = path.parent.name != "pack" or all(map(Path.is_file, map(path.with_suffix, PACK)))
    return bool(OBJECT.search(path.as_posix())) and whole


def _file(folder: Path, path: Path, place: str) -> Iterator[tuple[str, bytes | str]]:
    try:
        if path.is_symlink():
            yield place, str(path.readlink()).encode("utf-8", "replace")
            if not Path(os.path.realpath(path)).is_relative_to(folder.resolve()):
                yield place, "a link that leads out of the folder"
            return
        data = _read(path)
        yield place, data
        database = path.with_name(path.name.removesuffix("-wal"))
        if data.startswith(WAL) and database != path and database.is_file():
            yield f"{place}!applied", with_log(_read(database), data)
    except (OSError, ValueError) as error:
        yield place, getattr(error, "strerror", None) or str(error)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError("neither a file nor a folder")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"more than {LARGEST >> 20} MiB")
    return path.read_bytes()


def _git(folder: Path, place: Path) -> Iterator[tuple[str, bytes | str]]:
    """Yield every object of a git repository, loose or packed, also those that no name leads to."""
    name = place.relative_to(folder).as_posix()
    git = ["git", f"--git-dir={place}"]
    try:
        with TemporaryFile() as wrong:
            start: Any = partial(Popen, stdout=PIPE, stderr=wrong, env=environment(folder))
            with start([*git, "rev-list", "--objects", "--all"]) as listing:
                named = listing.communicate()[0].decode("utf-8", "replace").splitlines()
            path = dict(line.partition(" ")[::2] for line in named)
            with start([*git, "cat-file", "--batch-all-objects", "--batch"]) as shown:
                for oid, kind, content in _objects(shown.stdout):
                    where = path.get(oid, "dangling")
                    yield f"{name}!{kind} {oid[:10]} {where}".rstrip(), content
            if listing.returncode or shown.returncode or os.fstat(wrong.fileno()).st_size:
                raise ValueError("it says that something is broken")
    except (OSError, ValueError) as error:
        yield name, f"git cannot list its objects: {error}"


def _objects(stream: Any) -> Iterator[tuple[str, str, bytes]]:
    while head := stream.readline():
        oid, kind, *sizes = head.decode().split()
        if not sizes or int(sizes[0]) > LARGEST:  # without a size: git says that it is missing
            raise ValueError(f"{oid[:10]} is {kind} or of more than {LARGEST >> 20} MiB")
        content = stream.read(int(sizes[0]) + 1)[:-1]
        if kind == "tree":  # modes, names and binary ids; the names alone can hold somebody
            entry = rb"[0-7]+ ([^\0]+)\0.{%d}" % (len(oid) // 2)
            content = b"\n".join(re.findall(entry, content, re.DOTALL))
        yield oid, kind, content


# How it is usually done


def naive_delete(folder: Path | str, user_id: int) -> dict[str, int]:
    """Delete a person where everybody would look, and return how many rows went from each place.

    Users, applications, payments, features and predictions of the workspace, and the CRM: one
    DELETE, no VACUUM. Versions, models, copies and everything without a user_id stay.
    """
    data, gone = Path(folder) / "project" / "data", {}
    for name in ("raw/users", "raw/applications", "raw/payments", "features", "predictions"):
        table = pd.read_parquet(data / f"{name}.parquet")
        kept = table[table["user_id"] != user_id]
        kept.to_parquet(data / f"{name}.parquet", index=False, compression="zstd")
        gone[name.removeprefix("raw/")] = len(table) - len(kept)
    with closing(sqlite3.connect(Path(folder) / "crm.sqlite")) as crm, crm:
        crm.execute("PRAGMA secure_delete = OFF")  # as in most builds
        gone["crm"] = crm.execute("DELETE FROM customers WHERE user_id = ?", [user_id]).rowcount
    return gone


def naive_search(folder: Path | str, sought: Needles) -> pd.DataFrame:
    """Return where the bytes of a person's e-mail or its hash stand in a file, as grep would."""
    folder = _folder(folder)
    found: Counter = Counter()
    stores = _register(folder)
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        place, data = path.relative_to(folder).as_posix(), path.read_bytes()
        for what in ("email", "email_sha256"):
            if times := data.count(getattr(sought, what).encode()):
                found[(_store(place, stores), place, what, sought.user_id)] = times
    return _table(found)
