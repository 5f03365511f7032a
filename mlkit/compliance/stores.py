"""Formats of stores: which rows they hold, and the same store without some of them.

Everything goes by bytes in memory, so that no copy with the person in it is ever written. What is
kept keeps its bytes where the format allows it (lines of CSV and JSON), and its order everywhere.
"""

import csv
import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pandas as pd

Drop = Callable[[pd.DataFrame], np.ndarray]  # rows of a table to be removed, shape (n,)
WRITES = [(24, 28), (40, 44), (92, 100)]  # bytes of an SQLite header: how often, by which version
MODE, JOURNAL = slice(18, 20), b"\x01\x01"  # a log beside the file is not for memory


def read(content: bytes, form: str) -> list[pd.DataFrame]:
    """Return the tables of a store; an SQLite file or a zip has several, a model none.

    Parameters
    ----------
    content: the bytes of the file
    form: one of FORMATS

    Raises
    ------
    ValueError: no such format, or bytes that are not of this format
    """
    seen = []

    def look(table: pd.DataFrame) -> np.ndarray:
        seen.append(table)
        return np.zeros(len(table), dtype=bool)

    rewrite(content, form, look, tidy=False)
    return seen


def rewrite(content: bytes, form: str, drop: Drop, *, tidy: bool = True) -> bytes:
    """Return a store without some rows: the same bytes when there is nothing to remove.

    Parameters
    ----------
    content, form: see `read`
    drop: says for each table which rows go
    tidy: remove what deleted rows left behind in free pages of SQLite as well

    Raises
    ------
    ValueError: see `read`
    """
    if form not in FORMATS:
        raise ValueError(f"format {form!r}: expected one of {', '.join(FORMATS)}")
    try:
        if form == "sqlite":
            return _sqlite(content, drop, tidy)
        return FORMATS[form](content, drop)
    except Exception as error:  # whatever a library says about a broken file
        line = (str(error).splitlines() or ["empty"])[0]
        raise ValueError(f"not readable as {form}: {line}") from None


def _parquet(content: bytes, drop: Drop) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        table = file.read()
        gone = drop(table.to_pandas(ignore_metadata=True))  # an index is a column like others
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    if not gone.any():
        return content
    kept = table.filter(pa.array(~gone))
    for i, column in enumerate(kept.columns):
        if pa.types.is_dictionary(column.type):
            kept = kept.set_column(i, kept.field(i), _narrow(column, table.column(i), gone))
    target = io.BytesIO()
    codec = file.metadata.row_group(0).column(0).compression
    pq.write_table(kept, target, compression="none" if codec == "UNCOMPRESSED" else codec)
    return target.getvalue()


def _narrow(kept: Any, before: Any, gone: np.ndarray) -> Any:
    """Categories without those that only removed rows had; the others keep their order."""
    import pyarrow as pa

    had, has = before.combine_chunks(), kept.combine_chunks()
    words = had.dictionary.to_pylist()
    removed = set(had.filter(pa.array(gone)).to_pylist()) - set(has.to_pylist())
    left = [word for word in words if word not in removed]
    place = {word: i for i, word in enumerate(left)}
    codes = [None if word is None else place[word] for word in has.to_pylist()]
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, type=had.type.index_type),
        pa.array(left, type=had.type.value_type),
        ordered=had.type.ordered,
    )


def _csv(content: bytes, drop: Drop) -> bytes:
    """Records keep their bytes; one may run over several lines."""
    lines = list(io.StringIO(content.decode("utf-8-sig"), newline=""))
    records, rows, begin = [], [], 0
    reader = csv.reader(lines, strict=True)
    for row in reader:
        records.append("".join(lines[begin : reader.line_num]))
        rows.append(row)
        begin = reader.line_num
    if not rows:
        raise ValueError("expected a line of names, came nothing")
    names, *body = rows
    if len(names) == 1 and (other := set(names[0]) & set(";|\t")):
        raise ValueError(f"expected commas between fields, came {sorted(other)[0]!r}")
    ragged = [i for i, row in enumerate(body, 2) if row and len(row) != len(names)]
    if ragged or len(set(names)) < len(names):
        raise ValueError(f"expected unique names and {len(names)} fields, see row {ragged[:1]}")
    table = pd.DataFrame([row or [""] * len(names) for row in body], columns=names, dtype=object)
    gone = drop(table.mask(table == ""))
    if not gone.any():
        return content
    kept = [record for record, out in zip(records[1:], gone, strict=True) if not out]
    mark = b"\xef\xbb\xbf" if content.startswith(b"\xef\xbb\xbf") else b""
    return mark + "".join([records[0], *kept]).encode()


def _jsonl(content: bytes, drop: Drop) -> bytes:
    lines = content.splitlines(keepends=True)
    rows = [json.loads(line) if line.strip() else {} for line in lines]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected one JSON object a line")
    plain = [{k: v for k, v in row.items() if not isinstance(v, dict | list)} for row in rows]
    gone = drop(pd.DataFrame(plain, index=range(len(rows)), dtype=object))
    return b"".join(line for line, out in zip(lines, gone, strict=True) if not out)


def _gzip(content: bytes, drop: Drop) -> bytes:
    inner = gzip.decompress(content)
    kept = _jsonl(inner, drop)
    return content if kept == inner else gzip.compress(kept, mtime=0)


def _zip(content: bytes, drop: Drop) -> bytes:
    """Members keep their order, names and dates; nested archives are opened."""
    target = io.BytesIO()
    changed = False
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        new.comment = old.comment
        for entry in old.infolist():
            inner = old.read(entry)
            kept = inner if entry.is_dir() else rewrite(inner, form_of(entry.filename), drop)
            changed |= kept != inner
            new.writestr(entry, kept, compress_type=entry.compress_type)
    return target.getvalue() if changed else content


def form_of(name: str) -> str:
    """Return the format that a name ends in.

    Raises
    ------
    ValueError: none that is known
    """
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(f".{suffix}"):
            return suffix
    raise ValueError(f"{name}: expected a name that ends in one of {', '.join(FORMATS)}")


def _npz(content: bytes, drop: Drop) -> bytes:
    """Arrays of one length are a table: they lose the same rows."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    kept = dict(arrays)
    for n in sorted({len(a) for a in arrays.values() if a.ndim == 1}):
        same = {name: a for name, a in arrays.items() if a.ndim and len(a) == n}
        gone = drop(pd.DataFrame({name: a for name, a in same.items() if a.ndim == 1}))
        if gone.any():
            kept |= {name: a[~gone] for name, a in same.items()}
    if all(kept[name] is arrays[name] for name in arrays):
        return content
    target = io.BytesIO()
    np.savez(target, **kept)
    return target.getvalue()


def _sqlite(content: bytes, drop: Drop, tidy: bool) -> bytes:
    """Rows go with secure_delete, and VACUUM leaves no free page: DELETE alone leaves the text."""
    if not content.startswith(b"SQLite format 3\x00"):
        raise ValueError("no SQLite header")
    with _memory(content) as database:
        gone = {table: _rows(database, table, drop) for table in _named(database, "table")}
        if not tidy and not any(gone.values()):
            return content
        if any(gone.values()):
            _delete(database, gone)
        database.commit()
        database.execute("VACUUM")
        made = bytearray(database.serialize())
    made[MODE] = content[MODE]
    compact = bytes(made)
    return content if not any(gone.values()) and _same(content, compact) else compact


@contextmanager
def _memory(content: bytes) -> Iterator[sqlite3.Connection]:
    """A database in memory alone: no journal, no temporary file with somebody's rows."""
    with closing(sqlite3.connect(":memory:")) as database:
        plain = bytearray(content)
        plain[MODE] = JOURNAL
        database.deserialize(bytes(plain))
        for pragma in ("secure_delete = ON", "temp_store = MEMORY", "foreign_keys = OFF"):
            database.execute(f"PRAGMA {pragma}")
        yield database


def _named(database: sqlite3.Connection, kind: str) -> dict[str, str]:
    """Name and definition of the tables or triggers, but for those of SQLite itself."""
    rows = database.execute("SELECT name, sql FROM sqlite_master WHERE type = ?", (kind,))
    return {name: sql for name, sql in rows if not name.startswith("sqlite_")}


def _rows(database: sqlite3.Connection, table: str, drop: Drop) -> list[tuple[int]]:
    """The numbers of the rows of a table that go."""
    rows = database.execute(f"SELECT rowid, * FROM {_quoted(table)}")
    names = [column[0] for column in rows.description][1:]
    values = rows.fetchall()
    found = drop(pd.DataFrame([row[1:] for row in values], columns=names, dtype=object))
    return [(values[i][0],) for i in np.flatnonzero(found)]


def _delete(database: sqlite3.Connection, gone: dict[str, list[tuple[int]]]) -> None:
    """Delete rows; no trigger copies them meanwhile, or forbids it."""
    triggers = _named(database, "trigger")
    for name in triggers:
        database.execute(f"DROP TRIGGER {_quoted(name)}")
    for table, rows in gone.items():
        database.executemany(f"DELETE FROM {_quoted(table)} WHERE rowid = ?", rows)
    for definition in triggers.values():
        database.execute(definition)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _same(one: bytes, other: bytes) -> bool:
    """Whether two databases differ in nothing but how often they were written."""
    plain = []
    for content in map(bytearray, (one, other)):
        for begin, end in WRITES:
            content[begin:end] = bytes(end - begin)
        plain.append(content)
    return plain[0] == plain[1]


def _model(content: bytes, drop: Drop) -> bytes:
    """No rows that could be taken out: a model is refitted."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if "schema.json" not in archive.namelist():
            raise ValueError("no schema.json")
    return content


FORMATS: dict[str, Any] = {
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _jsonl,
    "jsonl.gz": _gzip,
    "zip": _zip,
    "sqlite": _sqlite,
    "npz": _npz,
    "skops": _model,
}


def sniff(content: bytes) -> str | None:
    """Return the format that bytes look like, or None: for what no register names."""
    starts = {b"PAR1": "parquet", b"\x1f\x8b": "jsonl.gz", b"SQLite format 3": "sqlite"}
    for start, form in starts.items():
        if content.startswith(start):
            return form
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
        if "schema.json" in names:
            return "skops"
        return "npz" if all(name.endswith(".npy") for name in names) else "zip"
    if b"\x00" in content[:8000] or content.startswith(b"["):
        return None
    return "jsonl" if content.startswith(b"{") else "csv"
