"""Files that are really written and read back: Parquet or CSV, in one piece or by month or day."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

EXTENSIONS = {"csv": "csv", "parquet": "parquet"}


def write_files(
    rows: pd.DataFrame,
    at: np.ndarray | None,
    folder: Path,
    *,
    format: str,
    compression: str,
    partition: str,
) -> pd.DataFrame:
    """Write rows into a new folder and return one row per file, in order of time.

    Parameters
    ----------
    rows: any table
    at: microseconds since 1970 of each row, shape (n,), by which rows are dealt to files
    folder: made, if it is not there
    format, compression: "csv" is never compressed
    partition: "none", "month" or "day"

    Returns
    -------
    file (path), rows, bytes, and parts: bytes of each column where the format tells, else empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = _partitions(at, len(rows), partition)
    order = np.argsort(names, kind="stable")
    table = pa.Table.from_pandas(rows, preserve_index=False).take(pa.array(order))
    table = table.replace_schema_metadata(None)
    labels, starts, counts = np.unique(names[order], return_index=True, return_counts=True)
    found = []
    for label, start, count in zip(labels, starts, counts, strict=True):
        file = folder / f"{label}.{EXTENSIONS[format]}"
        part = table.slice(int(start), int(count))
        parts = _write(part, file, format=format, compression=compression)
        found.append({"file": file, "rows": int(count), "bytes": size(file), "parts": parts})
    return pd.DataFrame(found)


def _partitions(at: np.ndarray | None, n: int, partition: str) -> np.ndarray:
    if partition == "none" or at is None:
        return np.full(n, "all")
    unit = {"month": "datetime64[M]", "day": "datetime64[D]"}[partition]
    return at.view("datetime64[us]").astype(unit).astype(str)


def _write(table: pa.Table, file: Path, *, format: str, compression: str) -> dict[str, int]:
    if format == "csv":
        pyarrow.csv.write_csv(table, file)
        return {}
    collected: list = []
    pq.write_table(table, file, compression=compression, metadata_collector=collected)
    groups = [collected[0].row_group(i) for i in range(collected[0].num_row_groups)]
    return {
        name: sum(group.column(i).total_compressed_size for group in groups)
        for i, name in enumerate(table.column_names)
    }


def size(file: Path) -> int:
    """Return the bytes of a file."""
    return Path(file).stat().st_size


def needed_bytes(files: pd.DataFrame, columns: Sequence[str] | None) -> float:
    """Return the bytes that a reader of some columns takes: of CSV all, of Parquet only theirs."""
    total = files["bytes"].sum()
    if columns is not None:
        skipped = ({k: v for k, v in part.items() if k not in columns} for part in files["parts"])
        total -= sum(sum(part.values()) for part in skipped)
    return float(total)


def read_files(
    files: pd.DataFrame, *, columns: Sequence[str] | None, like: pd.DataFrame
) -> pd.DataFrame:
    """Return the rows of files, with the dtypes of a table that they were written from.

    Parameters
    ----------
    files: see `write_files`
    columns: those to read, where they are there; None: all
    like: a table with the dtypes
    """
    parts = [_read(Path(file), columns, like) for file in files["file"]]
    table = pa.concat_tables(parts, promote_options="default").to_pandas()
    return table.astype({name: like[name].dtype for name in table})


def _read(file: Path, columns: Sequence[str] | None, like: pd.DataFrame) -> pa.Table:
    if file.suffix == ".csv":
        with file.open(encoding="utf-8") as text:
            there = [name.strip('"\n') for name in text.readline().split(",")]
        types = _types(like[[name for name in there if name in like]])
        how = pyarrow.csv.ConvertOptions(
            column_types=types, include_columns=_both(there, columns), strings_can_be_null=False
        )
        return pyarrow.csv.read_csv(file, convert_options=how)
    there = pq.read_schema(file).names
    table = pq.read_table(file, columns=_both(there, columns), partitioning=None)
    return _plain(table)


def _both(there: list[str], wanted: Sequence[str] | None) -> list[str]:
    return there if wanted is None else [name for name in there if name in wanted]


def _types(like: pd.DataFrame) -> dict[str, pa.DataType]:
    """Return the Arrow type of each column; categories are read as their text."""
    schema = pa.Schema.from_pandas(like, preserve_index=False)
    return {
        field.name: pa.string() if pa.types.is_dictionary(field.type) else field.type
        for field in schema
    }


def _plain(table: pa.Table) -> pa.Table:
    """Return the table with its dictionaries as text, so that files with others can be joined."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(field.type.value_type))
    return table
