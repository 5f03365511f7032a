"""How rows lie in files decides how much is read; how a job shuffles decides how much is moved.

Nothing here is timed. Bytes are those of the column chunks that a reader has to fetch, counted from
the metadata of the files, or those that a reader did fetch; rows moved are counted in a small map,
combine, shuffle and reduce.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import Interval

from mlkit.params import Count, Share, checked
from mlkit.tables import require

Parts = Annotated[int, Interval(ge=1, le=100_000)]
Within = tuple[str, Any, Any]

# Files


@checked
def part_of(rows: pd.DataFrame, *, by: Literal["day", "user", "slice"], parts: Parts) -> np.ndarray:
    """Return the part of each row, shape (n,), ints from 0.

    Parameters
    ----------
    rows: event_ts UTC for "day", user_id for "user"
    by: "day" for equal spans of time, "user" for a hash of the user, "slice" for equal numbers of
        rows in the order in which they came
    parts: how many

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing or of another type, or there are no rows
    """
    if by == "user":
        require(rows, "rows", {"user_id": "any"})
        return bucket(rows["user_id"], parts)
    if by == "slice":
        require(rows, "rows", {})
        return np.arange(len(rows)) * parts // len(rows)
    require(rows, "rows", {"event_ts": "time"})
    if rows["event_ts"].isna().any():
        raise ValueError("rows.event_ts: expected no missing times to part by day; drop them first")
    since = (rows["event_ts"] - rows["event_ts"].min()).dt.total_seconds().to_numpy()
    return np.minimum((since / (since.max() + 1) * parts).astype("int64"), parts - 1)


def bucket(keys: pd.Series, buckets: int) -> np.ndarray:
    """Return the bucket of each key by its hash, shape (n,): the same in every process."""
    hashed = pd.util.hash_pandas_object(keys, index=False).to_numpy()
    return (hashed % np.uint64(buckets)).astype("int64")


@checked
def write_parts(
    rows: pd.DataFrame, folder: Path, *, part: np.ndarray, group_rows: Count = 50_000
) -> Path:
    """Write one parquet file for each part, `part=K/rows.parquet`, and return the folder.

    Parameters
    ----------
    rows: what to write, in this order
    part: the part of each row, as from `part_of`
    group_rows: rows of a row group, each with its own statistics

    Raises
    ------
    ValueError: not one part per row
    """
    if len(part) != len(rows):
        raise ValueError(f"part: expected one for each of {len(rows)} rows, came {len(part)}")
    for number, some in rows.groupby(np.asarray(part), sort=True):
        below = Path(folder) / f"part={number}"
        below.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pandas(some, preserve_index=False)
        pq.write_table(table, below / "rows.parquet", compression="zstd", row_group_size=group_rows)
    return Path(folder)


@checked
def footprint(
    folder: Path,
    *,
    columns: list[str] | None = None,
    within: Within | None = None,
    parts: list[int] | None = None,
) -> dict[str, int]:
    """Return what a reader has to fetch at least: files, row groups, rows, bytes, footers.

    Parameters
    ----------
    folder: parquet files below it
    columns: those that are asked for, besides that of `within`; None for all
    within: column, lowest and highest value asked for: row groups whose statistics lie outside
        are skipped, those without statistics are not
    parts: those asked for, where the folder is parted by what is asked; None for all

    Returns
    -------
    files, groups and rows that are read, of which `bytes` in column chunks; `footers` is the bytes
    of metadata of these files.

    Raises
    ------
    FileNotFoundError: no parquet files
    KeyError: no such column
    """
    total = dict.fromkeys(("files", "groups", "rows", "bytes", "footers"), 0)
    for file in _files(folder, parts):
        meta = pq.read_metadata(file)
        total["files"] += 1
        total["footers"] += meta.serialized_size
        wanted = _places(meta, columns, within)
        for number in range(meta.num_row_groups):
            group = meta.row_group(number)
            if within is None or _may_hold(group.column(wanted[within[0]]), within):
                total["groups"] += 1
                total["rows"] += group.num_rows
                chunks = (group.column(place) for place in wanted.values())
                total["bytes"] += sum(chunk.total_compressed_size for chunk in chunks)
    return total


def _files(folder: Path, parts: list[int] | None) -> Iterator[Path]:
    files = sorted(Path(folder).rglob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"{Path(folder).name}: expected parquet files, there are none")
    kept = None if parts is None else {f"part={part}" for part in parts}
    return (file for file in files if kept is None or file.parent.name in kept)


def _places(
    meta: pq.FileMetaData, columns: list[str] | None, within: Within | None
) -> dict[str, int]:
    """Name to place of the columns that are asked for."""
    places = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
    wanted = list(places) if columns is None else [*columns, *([within[0]] if within else [])]
    for name in wanted:
        if name not in places:
            raise KeyError(f"columns: {name!r} is not in the files; they have {list(places)}")
    return {name: places[name] for name in wanted}


def _may_hold(chunk: pq.ColumnChunkMetaData, within: Within) -> bool:
    _, low, high = within
    known = chunk.statistics if chunk.is_stats_set else None
    if known is None or not known.has_min_max:
        return True
    return bool(known.min <= high and known.max >= low)


class _Counted(io.FileIO):
    """A file that counts the bytes that were read from it."""

    fetched = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(-1 if size is None else size)
        self.fetched += len(content)
        return content


def formats(rows: pd.DataFrame, folder: Path, *, columns: list[str]) -> pd.DataFrame:
    """Return for each format its bytes, those a reader fetched, and whether types came back.

    Parameters
    ----------
    rows: the table; times are written as whole microseconds, which every format can hold
    folder: where the files go
    columns: those that are read back

    Returns
    -------
    Index CSV, Parquet, ORC; columns bytes, fetched and same_types (of all columns).

    Raises
    ------
    KeyError: no such column
    """
    require(rows, "rows", dict.fromkeys(columns, "any"))
    table = _short_texts(pa.Table.from_pandas(_plain(rows), preserve_index=False))
    Path(folder).mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, (write, read) in FORMATS.items():
        file = Path(folder) / f"rows.{name.lower()}"
        write(table, file)
        with _Counted(str(file)) as counted:
            read(counted, columns)
            fetched = counted.fetched
        with _Counted(str(file)) as counted:
            back = read(counted, table.column_names).schema.types
        same = back == table.schema.types
        cases[name] = {"bytes": file.stat().st_size, "fetched": fetched, "same_types": same}
    return pd.DataFrame(cases).T.astype({"bytes": "int64", "fetched": "int64"})


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Times as microseconds and categories as text: ORC has no categories."""
    times = rows.select_dtypes("datetimetz")
    micros = {name: times[name].dt.as_unit("us").astype("int64") for name in times}
    texts = {name: rows[name].astype(str) for name in rows.select_dtypes("category")}
    return rows.assign(**micros, **texts)


def _short_texts(table: pa.Table) -> pa.Table:
    """Texts with 32-bit offsets, the only ones that every format knows."""
    fields = [
        field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _write_csv(table: pa.Table, file: Path) -> None:
    import pyarrow.csv as pc

    pc.write_csv(table, file)


def _read_csv(file: io.FileIO, columns: list[str]) -> pa.Table:
    import pyarrow.csv as pc

    return pc.read_csv(file, convert_options=pc.ConvertOptions(include_columns=columns))


def _write_parquet(table: pa.Table, file: Path) -> None:
    pq.write_table(table, file, compression="zstd")


def _read_parquet(file: io.FileIO, columns: list[str]) -> pa.Table:
    return pq.ParquetFile(pa.PythonFile(file)).read(columns=columns, use_threads=False)


def _write_orc(table: pa.Table, file: Path) -> None:
    import pyarrow.orc as orc

    orc.write_table(table, str(file), compression="zstd")


def _read_orc(file: io.FileIO, columns: list[str]) -> pa.Table:
    import pyarrow.orc as orc

    return orc.ORCFile(pa.PythonFile(file)).read(columns=columns)


FORMATS: dict[str, tuple[Callable, Callable]] = {
    "CSV": (_write_csv, _read_csv),
    "Parquet": (_write_parquet, _read_parquet),
    "ORC": (_write_orc, _read_orc),
}


def read_orc(file: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Return columns of an ORC file, which DuckDB cannot read, through a pyarrow dataset."""
    import pyarrow.dataset as ds

    return ds.dataset(file, format="orc").to_table(columns=list(columns)).to_pandas()


# Shuffles


@checked
def inject_hot_key(rows: pd.DataFrame, *, share: Share, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows with a share of them given to the first user: a robot, a default, a null."""
    require(rows, "rows", {"user_id": "any"})
    hot = rng.random(len(rows)) < share
    return rows.assign(user_id=rows["user_id"].where(~hot, rows["user_id"].iloc[0]))
