"""One aggregation on three engines' terms: what a user bought, from a file that may be too large.

The query needs four columns and goes through the rows once. DuckDB reads them piece by piece and
writes to disk what does not fit; pandas holds every row at once. Both give the same table.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import duckdb
import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Positive, checked
from mlkit.tables import require

Megabytes = Annotated[int, Interval(ge=16, le=1_000_000)]
Threads = Annotated[int, Interval(ge=1, le=256)]

KINDS = {"user_id": "any", "amount_usd": "float", "event_ts": "time", "txn_id": "int"}
NEEDED = tuple(KINDS)
IDS = 2**63  # time and id in one whole number: much cheaper to compare than a pair
FEATURES = ("n", "sum", "mean", "std", "min", "max", "last")
READERS = {".csv": "read_csv(?, buffer_size = 4000000)", ".parquet": "read_parquet(?)"}
SQL = """
SELECT user_id, COUNT(amount) AS n, COALESCE(SUM(amount), 0) AS sum, AVG(amount) AS mean,
  STDDEV_SAMP(amount) AS std, MIN(amount) AS min, MAX(amount) AS max,
  ARG_MAX(amount, moment) AS last
FROM (
  SELECT user_id, NULLIF(CAST(amount_usd AS DOUBLE), 'NaN') AS amount,
    CAST(EPOCH_US(event_ts) AS HUGEINT) * {ids} + COALESCE(txn_id, -{ids}) AS moment
  FROM {reader} WHERE user_id IS NOT NULL
) GROUP BY user_id ORDER BY user_id"""


@checked
def duckdb_features(
    source: Path | str, *, memory_mb: Megabytes = 256, threads: Threads = 1
) -> pd.DataFrame:
    """Return what each user bought, read piece by piece; what does not fit goes to disk.

    Parameters
    ----------
    source: a .csv or .parquet file, or a folder of parquet files, with the columns `NEEDED`
    memory_mb: what DuckDB may keep; the process around it takes some more
    threads: with one, sums are added in the same order every time

    Returns
    -------
    One row per user, ordered: user_id, then `FEATURES`. Missing amounts count nowhere; `last` is
    the amount of the latest time, of the largest txn_id where times are equal.

    Raises
    ------
    FileNotFoundError, ValueError: no such file, neither CSV nor parquet, or no rows
    KeyError: a column is missing
    duckdb.OutOfMemoryException: `memory_mb` is too little even with the disk
    """
    path, reader = _readable(source)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as spill:
        limits: dict[str, Any] = {
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "temp_directory": spill,
        }
        with duckdb.connect(config=limits) as con:
            _hush(con)
            table = _asked(con, SQL.format(reader=reader, ids=IDS), path)
    return _shaped(require(table, "rows", {}))


def _hush(con: duckdb.DuckDBPyConnection) -> None:
    """Turn the progress bar off where it is on: a slow query would write to stdout."""
    if con.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(True,)]:
        con.execute("SET enable_progress_bar = false")


def _asked(con: duckdb.DuckDBPyConnection, sql: str, path: str) -> pd.DataFrame:
    try:
        return con.execute(sql, [path]).df()
    except (duckdb.ConversionException, duckdb.BinderException) as error:
        first = str(error).splitlines()[0]
        raise ValueError(
            f"{Path(path).name}: expected numbers in amount_usd, whole numbers in txn_id and times "
            f"in event_ts; DuckDB says: {first}"
        ) from None


def pandas_features(source: Path | str) -> pd.DataFrame:
    """Return what `duckdb_features` returns, from four columns that are in memory as a whole.

    Raises
    ------
    FileNotFoundError, ValueError: no such file, or neither CSV nor parquet
    KeyError: a column is missing
    """
    return aggregate(_read(source, columns=list(NEEDED)))


def naive_features(source: Path | str) -> pd.DataFrame:
    """Return what `duckdb_features` returns, after reading every column of the file."""
    return aggregate(_read(source, columns=None))


def aggregate(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the features of each user from rows in memory, in any order.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing or of another type, or there are no rows
    """
    require(rows, "rows", KINDS)
    ordered = rows.sort_values(["event_ts", "txn_id"], kind="stable", na_position="first")
    ordered = ordered.assign(timed=ordered["amount_usd"].where(ordered["event_ts"].notna()))
    amount = ordered.groupby("user_id")["amount_usd"]
    table = amount.agg(["count", "sum", "mean", "std", "min", "max"])
    table["last"] = ordered.groupby("user_id")["timed"].last()
    return _shaped(table.rename(columns={"count": "n"}).reset_index())


def _shaped(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of both engines with one set of types."""
    kinds = {"n": "int64", **dict.fromkeys(FEATURES[1:], "float64")}
    return table[["user_id", *FEATURES]].astype(kinds)


def _readable(source: Path | str) -> tuple[str, str]:
    """The path and reader of DuckDB for a file or folder that has the columns `NEEDED`."""
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{path.name}: expected a file or folder, there is none; write it")
    file = next(iter(sorted(path.rglob("*.parquet"))), None) if path.is_dir() else path
    if file is None:
        raise FileNotFoundError(f"{path.name}: expected parquet files, there are none; write them")
    if file.suffix not in READERS:
        raise ValueError(f"{path.name}: expected .csv or .parquet, came {path.suffix!r}")
    columns = _columns(file)
    for column in NEEDED:
        if column not in columns:
            raise KeyError(f"{path.name} lacks {column!r}; has {columns}")
    return str(path if file == path else path / "**" / "*.parquet"), READERS[file.suffix]


def _columns(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    if path.suffix == ".csv":
        return list(pd.read_csv(path, nrows=0).columns)
    return list(pq.read_schema(path).names)


def _read(source: Path | str, *, columns: list[str] | None) -> pd.DataFrame:
    _readable(source)
    if Path(source).suffix == ".csv":
        rows = pd.read_csv(source, usecols=columns)
        return rows.assign(event_ts=pd.to_datetime(rows["event_ts"], utc=True, format="ISO8601"))
    return pd.read_parquet(source, columns=columns)


# When is pandas enough?


@checked
def fits(
    sample: pd.DataFrame,
    *,
    rows: Annotated[int, Interval(ge=1, le=10**15)],
    memory_mb: Positive,
    copies: Positive = 4.0,
) -> pd.DataFrame:
    """Return whether a table of `rows` rows can be worked on in memory, judged by a sample of it.

    Parameters
    ----------
    sample: some rows with the columns and types that would be read
    rows: how many there would be
    memory_mb: what is free
    copies: how many times the table is there at the peak: reading, sorting and grouping make some

    Returns
    -------
    Findings: one row per column, and last the whole table; value and limit in MB. A column fails
    when it alone is too much.

    Raises
    ------
    TypeError, ValueError: not a data frame, or no rows
    """
    require(sample, "sample", {})
    each = sample.memory_usage(index=False, deep=True) / len(sample) * rows * copies / 2**20
    values = pd.Series({**each.to_dict(), "all columns": each.sum()}, dtype="float64")
    table = pd.DataFrame({"check": "memory", "subject": values.index, "value": values.to_numpy()})
    return table.assign(limit=float(memory_mb), failed=table["value"] > memory_mb)


def largest(sample: pd.DataFrame, *, memory_mb: float, copies: float = 4.0) -> int:
    """Return how many rows like those of the sample can be worked on in memory."""
    one = fits(sample, rows=1, memory_mb=memory_mb, copies=copies)["value"].iloc[-1]
    return int(memory_mb / one)


def same(one: pd.DataFrame, other: pd.DataFrame, *, rtol: float = 1e-9) -> bool:
    """Return whether two tables of features hold the same users and, to `rtol`, the same numbers.

    Sums of doubles depend on their order: engines agree closely, not to the last bit.
    """
    if one["user_id"].tolist() != other["user_id"].tolist():
        return False
    mine, theirs = (table[list(FEATURES)].to_numpy("float64") for table in (one, other))
    return bool(np.allclose(mine, theirs, rtol=rtol, atol=rtol, equal_nan=True))


def write_log(rows: pd.DataFrame, file: Path) -> Path:
    """Write rows as CSV with two wide columns that no feature needs, and return the file.

    Logs are like that: `session` and `device` are hexadecimal texts, different for each row and
    for each user.
    """
    target = str(file).replace("'", "''")
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("SET TimeZone = 'UTC'")
        _hush(con)
        con.register("given", rows)
        con.execute(f"""COPY (SELECT *, MD5(CAST(txn_id AS VARCHAR)) AS session,
          MD5(CAST(user_id AS VARCHAR)) AS device FROM given) TO '{target}' (FORMAT csv)""")
    return file


def named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON can carry them: paths as text."""
    return {key: str(x) if isinstance(x, Path) else x for key, x in options.items()}
