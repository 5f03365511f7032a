"""What a file says, told by its content and never by its name: the pieces that a search can match.

Every format is opened as far down as it goes (a CSV in a zip in a zip); nothing is executed and no
pickle is read. What cannot be opened, or would fill the memory, is a piece of its own. Nothing here
knows a person or a store, and none of it is shared with the code that erases.
"""

import bz2
import gzip
import io
import lzma
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlkit.compliance.pieces import (
    LARGEST,
    MOST_CELLS,
    NESTED,
    ROW,
    TOO_MUCH,
    Piece,
    as_text,
    in_json,
    in_text,
    integers,
    joined,
    key_of,
    side_by_side,
    words,
)

DEEPEST = 8
SECRETS = (16, 20, 32, 64)  # bytes of no known format that are a key or a digest, not a file
NUMBER = (str, int, float, Decimal)  # what a cell of a column of any type may be a number in
UNKNOWN = "no known format"
NUMPY = b"\x93NUMPY"
WAL = (b"7\x7f\x06\x82", b"7\x7f\x06\x83")


class Room(NamedTuple):
    """How many files one is inside of, and how many bytes (in a list) may yet be unpacked there."""

    depth: int
    left: list[int]

    def spend(self, size: int) -> None:
        """Count bytes; an error when they are more than are left."""
        left, self.left[0] = self.left[0], max(0, self.left[0] - size)
        if size > left:
            raise ValueError(TOO_MUCH)

    def unpack(self, read: Callable[[int], bytes]) -> bytes:
        """Return all that can be read, if so much is left."""
        data = read(self.left[0] + 1)
        self.spend(len(data))
        return data


def decode(data: bytes, inner: str = "", room: Room | None = None) -> list[Piece]:
    """Return what the bytes of a file say; what cannot be decoded as an `unreadable` piece.

    Parameters
    ----------
    data: the whole file
    inner: what stands before the place within the file
    room: that of the file it is inside of
    """
    room = Room(room.depth + 1, room.left) if room else Room(0, [LARGEST])
    if room.depth > DEEPEST:
        return [Piece(inner, "unreadable", f"more than {DEEPEST} files inside one another")]
    pieces: list[Piece] = []
    reader = _reader(data)
    text = as_text(data) if reader is _unknown else None
    try:
        pieces.extend(reader(data, inner, room) if text is None else in_text(text, inner))
    except Exception as error:  # whatever a library says about a broken file: it is a finding
        pieces += [Piece(inner, "unreadable", _why(error)), *words(text or "", inner)]
    return [*pieces, Piece(inner, "raw", data)] if text is None else pieces


def _why(error: Exception) -> str:
    first = (str(error) or type(error).__name__).splitlines()[0]
    return first[:100]


def _reader(data: bytes) -> Callable[[bytes, str, Room], Iterable[Piece]]:
    if data[257:262] == b"ustar":
        return _tar
    return next((read for magic, read in MAGIC.items() if data.startswith(magic)), _unknown)


def _unknown(data: bytes, inner: str, room: Room) -> Iterable[Piece]:
    if data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0:
        with suppress(zlib.error):
            stream = zlib.decompressobj()
            unpacked = room.unpack(partial(stream.decompress, data))
            if stream.eof:
                return decode(unpacked, f"{inner}!zlib", room)
    if len(data) in SECRETS and not data.isascii():
        return []
    raise ValueError(UNKNOWN)


# Tables


def _frame(frame: pd.DataFrame, inner: str, room: Room) -> Iterator[Piece]:
    """Yield keys, texts and rows of numbers of a table."""
    numbers = []
    for position, name in enumerate(frame.columns):
        column, place = frame.iloc[:, position], f"{inner}!{name}"
        if key := key_of(name):
            yield integers(place, key, column)
        kind = column.dtype
        if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind):
            continue
        if not pd.api.types.is_numeric_dtype(kind):
            yield from _cells(column.dropna().tolist() + _unused(column), place, room)
            column = column.map(lambda cell: cell if isinstance(cell, NUMBER) else None)
            column = pd.to_numeric(column.astype(object), errors="coerce")
        if column.notna().any():
            numbers.append(column.to_numpy("float64", na_value=np.nan))
    yield from side_by_side(inner, numbers)


def _unused(column: pd.Series) -> list[Any]:
    """Return the categories that no row has: a dictionary keeps them."""
    categories = getattr(column.dtype, "categories", [])
    return list(set(categories).difference(column.dropna())) if len(categories) else []


def _cells(cells: list[Any], inner: str, room: Room) -> Iterator[Piece]:
    """Yield what cells of any type say: texts, bytes, lists, dictionaries."""
    yield from words(joined([cell for cell in cells if isinstance(cell, str)]), inner)
    for blob in (cell for cell in cells if isinstance(cell, bytes)):
        found = decode(blob, f"{inner}!cell", room)
        yield from (
            piece for piece in found if piece[1:] != ("unreadable", UNKNOWN)
        )  # else any key would be
    yield from in_json([cell for cell in cells if isinstance(cell, NESTED)], inner)


def _parquet(data: bytes, inner: str, room: Room) -> Iterator[Piece]:
    """Yield what the footer says, and the table, its texts with all words of their dictionary."""
    about = pq.read_metadata(pa.BufferReader(data))
    yield from _footer(about, f"{inner}!footer", room)
    leaves = [about.schema.column(i) for i in range(about.num_columns)]
    texts = [leaf.path for leaf in leaves if leaf.logical_type.type == "STRING"]
    file = pq.ParquetFile(pa.BufferReader(data), metadata=about, read_dictionary=texts)
    texts = [path for path in texts if path in file.schema_arrow.names]
    noted = file.schema_arrow.to_string(truncate_metadata=False, show_schema_metadata=False)
    yield from words(noted, f"{inner}!columns")
    _make_room(about, texts, room)
    table = file.read()
    for chunk in (chunk for path in texts for chunk in table[path].chunks):
        room.spend(pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0)
    yield from _frame(table.to_pandas(ignore_metadata=True, maps_as_pydicts="strict"), inner, room)


def _make_room(about: pq.FileMetaData, texts: list[str], room: Room) -> None:
    """Spend what a table will take at most: a dictionary names a long value many times."""
    cells = 0
    for number in range(about.num_columns):
        leaf = about.schema.column(number)
        for chunk in (about.row_group(i).column(number) for i in range(about.num_row_groups)):
            cells += chunk.num_values
            once = leaf.path in texts or not chunk.has_dictionary_page
            longest = max(leaf.length, 0) or chunk.total_uncompressed_size
            many = leaf.physical_type.endswith("BYTE_ARRAY") and not once
            room.spend(longest * chunk.num_values if many else chunk.total_uncompressed_size)
    if cells > MOST_CELLS:
        raise ValueError(f"{cells} cells: too many for a table")


def _footer(about: pq.FileMetaData, inner: str, room: Room) -> Iterator[Piece]:
    """Yield what the footer says: free words, and the least and greatest id of every group."""
    for name, value in (about.metadata or {}).items():
        yield from decode(value, f"{inner}!{name.decode('utf-8', 'replace')}", room)
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    for number in range(about.num_columns):
        name = about.schema.column(number).path
        known = [group.column(number).statistics for group in groups]
        ends = [end for s in known if s and s.has_min_max for end in (s.min, s.max)]
        if key := key_of(name):
            yield integers(f"{inner}!{name}", key, ends)


# Archives, compressed files, databases, arrays


def _zip(data: bytes, inner: str, room: Room) -> Iterator[Piece]:
    """Yield what each member says; arrays (npz, skops) are looked at together."""
    arrays: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if _unlisted(archive, data):
            yield Piece(inner, "unreadable", "more than its directory names")
        for member in archive.infolist():
            yield from words(member.filename, f"{inner}!{member.filename}")
            try:
                content = room.unpack(archive.open(member).read)
            except Exception as error:  # a password, a broken member, an unknown compression
                yield Piece(f"{inner}!{member.filename}", "unreadable", _why(error))
                continue
            if content.startswith(NUMPY):
                arrays[member.filename.removesuffix(".npy")] = content
            elif not member.is_dir():
                yield from decode(content, f"{inner}!{member.filename}", room)
    yield from _arrays(arrays, inner, room)


def _unlisted(archive: zipfile.ZipFile, data: bytes) -> bool:
    """Return whether there is more in an archive than the members that its directory names."""
    behind = len(data) - data.rfind(b"PK\5\6") - 22 - len(archive.comment)
    end, gaps = 0, []
    for member in sorted(archive.infolist(), key=lambda each: each.header_offset):
        start = member.header_offset
        gaps.append(start - end)
        end = start + 30 + sum(struct.unpack("<HH", data[start + 26 : start + 30]))
        end += member.compress_size
    return behind > 0 or max(*gaps, archive.start_dir - end, 0) > 24  # its size may follow a member


def _arrays(members: Mapping[str, bytes], inner: str, room: Room) -> Iterator[Piece]:
    loaded = {}
    for name, content in members.items():
        place = f"{inner}!{name}" if name else inner
        try:
            loaded[place] = _loaded(content)
        except Exception as error:  # objects: they would have to be unpickled
            yield Piece(place, "unreadable", _why(error))
    vectors = [a for a in loaded.values() if a.ndim == 1 and a.dtype.kind in "iuf"]
    for place, array in loaded.items():
        yield from _array(array, place, vectors, room)
    for name, content in members.items():
        yield Piece(f"{inner}!{name}" if name else inner, "raw", content)


def _loaded(content: bytes) -> np.ndarray:
    array = np.load(io.BytesIO(content), allow_pickle=False)
    kind = array.dtype
    kinds = {kind[name].base.kind for name in kind.names} if kind.names else {kind.kind}
    if array.size > len(content) or kinds - set("biufmMSU"):
        raise ValueError(f"an array of {kind}")
    return array


def _array(array: np.ndarray, inner: str, vectors: list[np.ndarray], room: Room) -> Iterator[Piece]:
    """Yield keys, texts and rows of one array; a long vector counts as one row."""
    if array.dtype.names:
        flat = array.ravel()
        yield from _frame(pd.DataFrame({n: list(flat[n]) for n in array.dtype.names}), inner, room)
    if array.dtype.kind in "US":
        texts = np.char.decode(array, "latin-1") if array.dtype.kind == "S" else array
        yield from words(joined(texts.ravel().tolist()), inner)
    if key := key_of(inner):
        yield integers(inner, key, array.ravel())
    if array.dtype.kind in "iuf" and array.ndim and array.shape[-1] >= ROW:
        matrix = array.reshape(-1, array.shape[-1]).astype("float64")
        beside = [
            v.astype("float64") for v in vectors if array.ndim > 1 and len(v) == len(matrix.T)
        ]
        yield Piece(inner, "numbers", (matrix, beside))


def _npy(data: bytes, inner: str, room: Room) -> Iterator[Piece]:
    yield from _arrays({"": data}, inner, room)


def _sqlite(data: bytes, inner: str, room: Room) -> Iterator[Piece]:
    """Yield all rows. What is left in pages that nothing points to, the raw bytes show."""
    with closing(sqlite3.connect(":memory:")) as copy:
        copy.deserialize(data[:18] + b"\1\1" + data[20:])  # a write-ahead log cannot be in memory
        copy.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
        copy.text_factory = lambda text: text.decode("utf-8", "replace")
        made = copy.execute("SELECT name, type, sql FROM sqlite_master").fetchall()
        yield Piece(f"{inner}!schema", "text", "\n".join(sql or "" for *_, sql in made))
        for table in (name for name, kind, _ in made if kind == "table"):
            quoted, rows = table.replace('"', '""'), []
            cursor = copy.execute(f'SELECT * FROM "{quoted}"')
            for row in cursor:
                room.spend(sum(len(cell) for cell in row if isinstance(cell, str | bytes)))
                rows.append(row)
            frame = pd.DataFrame(rows, columns=[name for name, *_ in cursor.description])
            yield from _frame(frame, f"{inner}!{table}", room)


def with_log(database: bytes, log: bytes) -> bytes:
    """Return a SQLite database with the pages of its write-ahead log in their places.

    Raises
    ------
    ValueError: it is no such log
    """
    size = int.from_bytes(log[8:12], "big")
    if not 512 <= size <= 65_536:
        raise ValueError("no write-ahead log")
    pages = bytearray(database)
    for start in range(32, len(log) - 24 - size + 1, 24 + size):
        number = int.from_bytes(log[start : start + 4], "big")
        if not 0 < number * size <= LARGEST:
            raise ValueError(f"a write-ahead log with a page {number}")
        pages.extend(bytes(max(0, number * size - len(pages))))
        pages[(number - 1) * size : number * size] = log[start + 24 : start + 24 + size]
    return bytes(pages)


def _tar(data: bytes, inner: str, room: Room) -> Iterator[Piece]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", ignore_zeros=True) as archive:
        for member in archive:
            if content := archive.extractfile(member) if member.isfile() else None:
                place = f"{inner}!{member.name}"
                yield from decode(room.unpack(content.read), place, room)


def _zstd(stream: io.BytesIO) -> pa.NativeFile:
    return pa.CompressedInputStream(stream, "zstd")


def _packed(opened: Callable[[io.BytesIO], Any]) -> Callable[[bytes, str, Room], Iterable[Piece]]:
    return lambda data, inner, room: decode(room.unpack(opened(io.BytesIO(data)).read), inner, room)


def _raw(data: bytes, inner: str, room: Room) -> list[Piece]:
    """Return nothing but the bytes: a known format in which nothing is compressed."""
    return []


MAGIC: dict[bytes, Callable[[bytes, str, Room], Iterable[Piece]]] = {
    b"PAR1": _parquet,
    b"PK\x03\x04": _zip,
    b"PK\x05\x06": _zip,
    b"\x1f\x8b": _packed(lambda stream: gzip.GzipFile(fileobj=stream)),
    b"BZh": _packed(bz2.BZ2File),
    b"\xfd7zXZ\x00": _packed(lzma.LZMAFile),
    b"\x28\xb5\x2f\xfd": _packed(_zstd),
    b"SQLite format 3\0": _sqlite,
    NUMPY: _npy,
    b"DIRC\0\0\0": _raw,  # git's index: names and hashes of files
    **dict.fromkeys((b"RIDX\0", b"BITM\0", b"MIDX\1", b"CGPH\1"), _raw),  # git's other indexes
    WAL[0]: _raw,
    WAL[1]: _raw,
    b"\x18\xe2\x2d\0": _raw,  # SQLite's shared memory: which page stands where in the log
    b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7": _raw,  # SQLite's journal: pages as they were
}
