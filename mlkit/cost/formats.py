"""Formats: the bytes of a table in each format and codec, by really writing it, into memory.

There is no constant that a format saves. It depends on what the columns hold: how many values,
how often they repeat, in which order. `kinds` makes five tables that answer differently.
"""

import gzip
import io
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import checked

Codec = Literal["none", "snappy", "zstd", "gzip"]
Rows = Annotated[int, Interval(ge=1, le=10_000_000)]
START = pd.Timestamp("2025-01-01", tz="UTC")


@checked
def kinds(*, rng: np.random.Generator, rows: Rows = 50_000, days: int = 180) -> dict[str, Any]:
    """Return five tables of one length: name to DataFrame.

    transactions: in order of time, users, merchants, amounts, channels; floats: 20 columns of
    noise; low cardinality: five columns of few words; random ids: 128 bits in hex; text logs:
    lines of a web server.
    """
    users = rng.integers(0, max(rows // 80, 1), rows)
    seconds = np.sort(rng.integers(0, days * 86_400, rows), kind="stable")
    when = START + pd.to_timedelta(seconds, unit="s")
    pick = {"channel": ["web", "app", "pos"], "category": ["food", "books", "toys", "garden"]}
    transactions = pd.DataFrame(
        {
            "event_ts": when.as_unit("us"),
            "user_id": pd.Series(users).astype("str").str.zfill(6).radd("u"),
            "merchant_id": rng.zipf(1.5, rows) % 5000,
            "amount": np.round(rng.lognormal(3, 1, rows), 2),
            **{name: rng.choice(values, rows) for name, values in pick.items()},
        }
    )
    return {
        "transactions": transactions,
        "floats": pd.DataFrame(rng.normal(size=(rows, 20))).add_prefix("f"),
        "low cardinality": pd.DataFrame(
            {f"c{k}": rng.choice(["yes", "no", "unknown"], rows) for k in range(5)}
        ),
        "random ids": pd.DataFrame({"id": [rng.bytes(16).hex() for _ in range(rows)]}),
        "text logs": pd.DataFrame({"line": _lines(rng, when, transactions["user_id"])}),
    }


@checked
def parquet_bytes(
    frame: pd.DataFrame,
    *,
    codec: Codec = "snappy",
    dictionary: bool = True,
    sort_by: list[Any] | None = None,
) -> int:
    """Return the bytes of a table as one parquet file.

    Parameters
    ----------
    codec: of its pages
    dictionary: write repeated values once, and their numbers
    sort_by: columns to sort by first; the order of rows is then another
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = frame.sort_values(sort_by, kind="stable") if sort_by else frame
    sink = io.BytesIO()
    table = pa.Table.from_pandas(ordered, preserve_index=False)
    pq.write_table(table, sink, compression=codec, use_dictionary=dictionary)
    return len(sink.getvalue())


def csv_bytes(frame: pd.DataFrame, *, compress: bool = False) -> int:
    """Return the bytes of a table as CSV, or as CSV in gzip."""
    text = frame.to_csv(index=False).encode()
    return len(gzip.compress(text, 6, mtime=0)) if compress else len(text)


FORMATS: dict[str, Callable[[pd.DataFrame], int]] = {
    "csv": csv_bytes,
    "csv.gz": lambda frame: csv_bytes(frame, compress=True),
    "parquet, no codec, no dictionary": lambda frame: parquet_bytes(
        frame, codec="none", dictionary=False
    ),
    "parquet, no codec": lambda frame: parquet_bytes(frame, codec="none"),
    "parquet, snappy": lambda frame: parquet_bytes(frame, codec="snappy"),
    "parquet, zstd": lambda frame: parquet_bytes(frame, codec="zstd"),
    "parquet, zstd, sorted": lambda frame: parquet_bytes(
        frame, codec="zstd", sort_by=[fewest_values(frame)]
    ),
}


def sizes(frame: pd.DataFrame) -> pd.Series:
    """Return the bytes of a table by format, in the order of `FORMATS`.

    Raises
    ------
    ValueError: no columns or no rows
    """
    if frame.empty:
        raise ValueError("table: expected rows and columns, came an empty one")
    return pd.Series({name: write(frame) for name, write in FORMATS.items()}, name="bytes")


def over_csv(frame: pd.DataFrame) -> pd.Series:
    """Return the bytes by format as a share of those of plain CSV."""
    measured = sizes(frame)
    return (measured / measured["csv"]).rename("share of csv")


@checked
def partitioned(
    frame: pd.DataFrame,
    *,
    time: str = "event_ts",
    by: Literal["none", "year", "month", "day", "hour"] = "day",
    codec: Codec = "snappy",
) -> dict[str, float]:
    """Return files and bytes of a table as parquet with a folder for each period of time.

    Parameters
    ----------
    time: column of times
    by: length of a period; "none" writes one file

    Returns
    -------
    files: a count; bytes: of all of them; per_file: mean bytes

    Raises
    ------
    KeyError: no such column
    """
    letters = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%d %H", "none": ""}
    if time not in frame:
        raise KeyError(f"{time!r}: no such column; there are {', '.join(map(str, frame.columns))}")
    key = frame[time].dt.strftime(letters[by]).to_numpy()
    parts = [parquet_bytes(part, codec=codec) for _, part in frame.groupby(key, sort=False)]
    return {"files": len(parts), "bytes": sum(parts), "per_file": sum(parts) / len(parts)}


def fewest_values(frame: pd.DataFrame) -> Any:
    """Return the column with the fewest values that still tells rows apart: the one to sort by."""
    count = frame.nunique()
    repeated = count[(count > len(frame) ** 0.25) & (count < len(frame) / 2)]
    return repeated.idxmin() if len(repeated) else frame.columns[0]


def _lines(rng: np.random.Generator, when: pd.DatetimeIndex, users: pd.Series) -> pd.Series:
    rows = len(when)
    status = rng.choice(["200", "404", "500"], rows, p=[0.96, 0.03, 0.01])
    item = rng.integers(0, 3000, rows).astype("str")
    level = pd.Series(rng.choice(["INFO", "WARN", "ERROR"], rows, p=[0.95, 0.04, 0.01]))
    head = pd.Series(when.strftime("%Y-%m-%dT%H:%M:%SZ")) + " " + level
    return head + " GET /v1/items/" + item + " status=" + status + " user=" + users
