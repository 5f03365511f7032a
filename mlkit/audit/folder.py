"""A folder of data files: walked within bounds, grouped into tables, copies found by content."""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

FORMATS = {
    ".csv.gz": "csv.gz",
    ".csv": "csv",
    ".parquet": "parquet",
    ".orc": "orc",
    ".jsonl.gz": "jsonl.gz",
    ".ndjson.gz": "jsonl.gz",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
PARTITION = re.compile(r"[^=]+=.*|\d{1,4}(?:[-_]\d\d?){0,2}")  # day=2025-01-31, 2025, 2025-01-31
VARYING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|\d+")
ENDS = 65_536  # bytes at both ends of a file that are compared first
CHUNK = 1 << 20


class Entry(NamedTuple):
    """A file: its path below the folder and its bytes."""

    path: str
    size: int


class Walk(NamedTuple):
    """What a walk met."""

    files: list[Entry]
    links: int  # symbolic links, not followed; second names of one file, not counted twice
    denied: list[str]  # folders that could not be listed
    gone: int  # files that went away in the meantime
    complete: bool


class Table(NamedTuple):
    """Files of one format that belong together: partitions and numbered parts of one table."""

    name: str
    format: str
    files: list[Entry]  # in the order of their paths

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(entry.size for entry in self.files)


def walk(folder: Path, *, most_files: int, tick: Callable[[int], object] = int) -> Walk:
    """Return the files below a folder, at most `most_files`; links are not followed.

    Parameters
    ----------
    folder: where to begin; nothing is written
    most_files: after so many the walk stops, `complete` is then False
    tick: told the number of files after each folder
    """
    files: list[Entry] = []
    counts = {"links": 0, "gone": 0}
    seen: set[tuple[int, int]] = set()
    denied, todo = [], [""]
    while todo:
        inside = todo.pop()
        try:
            with os.scandir(folder / inside) as items:
                found = list(islice(items, most_files - len(files) + 1))
        except OSError:
            denied.append(inside or ".")
            continue
        for item in sorted(found, key=lambda item: item.name, reverse=True):
            path = f"{inside}/{item.name}" if inside else item.name
            kind = _look(item, path, seen)
            if isinstance(kind, Entry):
                files.append(kind)
            elif kind == "folder":
                todo.append(path)
            elif kind:
                counts[kind] += 1
        tick(len(files))
        if len(files) > most_files:
            return Walk(sorted(files)[:most_files], **counts, denied=denied, complete=False)
    return Walk(sorted(files), **counts, denied=denied, complete=True)


def _look(item: os.DirEntry, path: str, seen: set[tuple[int, int]]) -> Entry | str:
    """Return a file, "folder", or what else to count; nothing for pipes, sockets and devices."""
    try:
        if item.is_symlink():
            return "links"
        if item.is_dir(follow_symlinks=False):
            return "folder"
        if not item.is_file(follow_symlinks=False):
            return ""
        about = item.stat(follow_symlinks=False)
    except OSError:
        return "gone"
    if about.st_nlink > 1:
        if (about.st_dev, about.st_ino) in seen:
            return "links"
        seen.add((about.st_dev, about.st_ino))
    return Entry(path, about.st_size)


def format_of(path: str) -> str | None:
    """Return the format that the name of a file says, or None for what is no data.

    Examples
    --------
    >>> format_of("raw/day=1/a.CSV.gz"), format_of("_delta_log/1.json"), format_of(".a.csv.crc")
    ('csv.gz', None, None)
    """
    name = path.rpartition("/")[2].lower()
    if name[0] in "._":
        return None
    return next((kind for end, kind in FORMATS.items() if name.endswith(end)), None)


def tables(files: Iterable[Entry]) -> list[Table]:
    """Return files grouped into tables, the largest first.

    Files belong together when their paths differ in partitions (day=3, 2025-01-31), numbers and
    long ids alone.
    """
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in files:
        kind = format_of(entry.path)
        if kind:
            groups[(_table_of(entry.path), kind)].append(entry)
    found = [
        Table(name if len(group) > 1 else group[0].path, kind, group)
        for (name, kind), group in groups.items()
    ]
    return sorted(found, key=lambda table: (-table.size, table.name, table.format))


def _table_of(path: str) -> str:
    *folders, name = path.split("/")
    fixed = [part for part in folders if not PARTITION.fullmatch(part)]
    return "/".join([*fixed, VARYING.sub("#", name)])


def partition_keys(path: str) -> list[str]:
    """Return the columns that stand in the folders of a path, as in day=2025-01-31.

    Examples
    --------
    >>> partition_keys("raw/country=ch/day=3/part-0.parquet")
    ['country', 'day']
    """
    return [part.partition("=")[0] for part in path.split("/")[:-1] if "=" in part[1:]]


def copies(
    folder: Path, files: Iterable[Entry], *, most_bytes: int
) -> tuple[list[list[Entry]], list[Entry]]:
    """Return groups of files with the same content, and files that were not read to the end.

    Only files of one size are read: their ends first, then the whole, chunk by chunk, while
    `most_bytes` last.
    """
    by_size: dict[int, list[Entry]] = defaultdict(list)
    for entry in files:
        if entry.size:
            by_size[entry.size].append(entry)
    found, unread, left = [], [], most_bytes
    for size in sorted(by_size):
        if len(by_size[size]) == 1:
            continue
        for alike in _same(by_size[size], lambda entry: _ends(folder / entry.path)):
            if size > 2 * ENDS and size * len(alike) > left:
                unread += alike
                continue
            left -= size * len(alike)
            found += _same(alike, lambda entry: _content(folder / entry.path))
    return sorted(found), sorted(unread)


def _same(entries: list[Entry], key: Callable[[Entry], bytes]) -> list[list[Entry]]:
    """Return the groups of at least two entries with one key; a file that is gone has none."""
    groups: dict[bytes, list[Entry]] = defaultdict(list)
    for entry in entries:
        try:
            groups[key(entry)].append(entry)
        except OSError:
            continue
    return [group for group in groups.values() if len(group) > 1]


def _ends(file: Path) -> bytes:
    with file.open("rb") as stream:
        start = stream.read(ENDS)
        stream.seek(max(stream.seek(0, os.SEEK_END) - ENDS, 0))
        return hashlib.blake2b(start + stream.read(ENDS)).digest()


def _content(file: Path) -> bytes:
    digest = hashlib.blake2b()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
