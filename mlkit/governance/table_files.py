"""What a parquet file says of itself: columns, types, rows, and the last time in it."""

from pathlib import Path
from typing import Any

import pandas as pd

RUN = 8  # more columns than this that differ in their digits only are shown as one


def column_types(file: Path) -> dict[str, str]:
    """Return the columns of a file, each with its type in short words."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(file)
    return {name: _plain(kind) for name, kind in zip(schema.names, schema.types, strict=True)}


def _plain(kind: Any) -> str:
    """A type of Arrow in short words."""
    text = str(kind)
    if text.startswith("dictionary"):
        return "category"
    if text.startswith("timestamp"):
        return "timestamp UTC" if kind.tz == "UTC" else text
    return text.replace("large_string", "string")


def folded(columns: pd.DataFrame) -> pd.DataFrame:
    """Return a table of columns in which a long run of names that differ in digits is one row."""
    if len(columns) <= RUN:
        return columns
    shape = columns["column"].str.replace(r"\d+", "#", regex=True) + columns["type"]
    sizes = shape.groupby(shape).transform("size")
    last = columns["column"].groupby(shape).transform("last")
    long = sizes > RUN
    name = columns["column"].where(
        ~long, columns["column"] + " to " + last + " (" + sizes.astype(str) + " columns)"
    )
    return columns.assign(column=name)[~long | ~shape.duplicated()].reset_index(drop=True)


def rows_and_last(file: Path, column: str | None) -> tuple[int, pd.Timestamp | None]:
    """Return the number of rows and the last time in a column, or in the first one of times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(file)
    times = [n for n in schema.names if pa.types.is_timestamp(schema.field(n).type)]
    column = column if column in times else next(iter(times), None)
    rows = pq.read_metadata(file).num_rows
    if column is None or not rows:
        return rows, None
    last = pd.to_datetime(pq.read_table(file, columns=[column]).to_pandas()[column].max(), utc=True)
    return rows, None if last is pd.NaT else last
