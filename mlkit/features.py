"""Each feature, defined once, as of a moment.

A feature is a line of SQL over the purchases that were known at the moment of the request. The
text uses nothing but integer microseconds and plain aggregates, so the warehouse (DuckDB) and
the serving database (SQLite) run the very same words. Spread comes from n, sum and sum of
squares; windows are subtractions; ties in time are broken by txn_id.
"""

import contextlib
import functools
import sqlite3
from collections.abc import Mapping
from typing import Literal

import duckdb
import numpy as np
import pandas as pd

from mlkit.tables import as_microseconds, require, require_complete, require_unique

DAY_US = 86_400_000_000
WINDOW_DAYS = 30

RECENT = f"h.age_us <= {WINDOW_DAYS * DAY_US}"
N = f"SUM(CASE WHEN {RECENT} THEN 1.0 END)"
S = f"SUM(CASE WHEN {RECENT} THEN h.amount_usd END)"
SS = f"SUM(CASE WHEN {RECENT} THEN h.amount_usd * h.amount_usd END)"
LAST_3 = "AVG(CASE WHEN h.recency <= 3 THEN h.amount_usd END)"

FEATURES = {
    "avg_amount": f"COALESCE({S} / {N}, {LAST_3})",
    "amount_variance": f"({SS} - {S} * {S} / {N}) / NULLIF({N} - 1, 0)",
    "purchases_30d": f"COALESCE({N}, 0.0)",
    "total_purchases": "COUNT(h.age_us) * 1.0",
    "days_since_last_purchase": f"MIN(h.age_us) / {DAY_US}.0",
    "last_category": "MAX(CASE WHEN h.recency = 1 THEN h.category END) * 1.0",
}

TRANSACTIONS = {
    "txn_id": "int",
    "user_id": "int",
    "event_ts": "time",
    "ingest_ts": "time",
    "amount_usd": "float",
    "category": "any",
}
REQUESTS = {"offer_id": "int", "user_id": "int", "prediction_ts": "time"}


def feature_sql(definitions: Mapping[str, str] = FEATURES) -> str:
    """Return the query that computes the features: one row per request, ordered by its id."""
    columns = ",\n  ".join(f"{text} AS {name}" for name, text in definitions.items())
    return f"""
WITH history AS (
  SELECT r.offer_id, r.at_us - t.event_us AS age_us, t.amount_usd, t.category,
    ROW_NUMBER() OVER (PARTITION BY r.offer_id ORDER BY t.event_us DESC, t.txn_id DESC) AS recency
  FROM requests r LEFT JOIN transactions t
    ON t.user_id = r.user_id AND t.event_us < r.at_us AND t.ingest_us <= r.at_us
)
SELECT h.offer_id,
  {columns}
FROM history h GROUP BY h.offer_id ORDER BY h.offer_id"""


def asof_features(
    transactions: pd.DataFrame,
    requests: pd.DataFrame,
    *,
    definitions: Mapping[str, str] = FEATURES,
    engine: Literal["duckdb", "sqlite"] = "duckdb",
) -> pd.DataFrame:
    """Return every feature as it was known at the moment of each request.

    Point-in-time correctness on both clocks: a purchase counts when it happened strictly before
    the request and had arrived by then.

    Parameters
    ----------
    transactions: txn_id int, user_id int, event_ts UTC, ingest_ts UTC, amount_usd float USD,
        category (categorical, or its int code)
    requests: offer_id int (unique), user_id int, prediction_ts UTC
    definitions: feature name to SQL over `h`, one row of known history with age_us, amount_usd,
        category and recency (1 = the latest purchase)
    engine: the database that runs the text

    Returns
    -------
    One row per request in the order of `requests`: offer_id, user_id, prediction_ts, then the
    columns of `definitions` as float64; NaN where there is no history to speak of.

    Raises
    ------
    KeyError, TypeError: a column is missing, or of another type
    ValueError: no rows, a missing value in one of the columns, or repeated ids of requests
    """
    require(transactions, "transactions", TRANSACTIONS)
    require(requests, "requests", REQUESTS)
    require_complete(transactions, "transactions", TRANSACTIONS)
    require_complete(requests, "requests", REQUESTS)
    require_unique(requests, "requests", ["offer_id"])
    history = pd.DataFrame(
        {
            "txn_id": transactions["txn_id"],
            "user_id": transactions["user_id"],
            "event_us": as_microseconds(transactions["event_ts"]),
            "ingest_us": as_microseconds(transactions["ingest_ts"]),
            "amount_usd": transactions["amount_usd"].astype("float64"),
            "category": category_codes(transactions["category"]),
        }
    )
    asked = requests[["offer_id", "user_id"]].assign(
        at_us=as_microseconds(requests["prediction_ts"])
    )
    rows = run_sql(feature_sql(definitions), engine=engine, transactions=history, requests=asked)
    rows = rows.set_index("offer_id").astype("float64").loc[requests["offer_id"]]
    return requests[list(REQUESTS)].reset_index(drop=True).join(rows.reset_index(drop=True))


def category_codes(column: pd.Series) -> np.ndarray:
    """Return the int64 codes of a categorical column (integer codes pass as they are).

    Raises
    ------
    TypeError: neither categorical nor integers
    """
    codes = column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column
    if not pd.api.types.is_integer_dtype(codes.dtype):
        raise TypeError(
            f"{column.name}: expected a categorical or its int codes, came {column.dtype}; "
            "convert it with pd.Categorical(..., categories=[...])"
        )
    return codes.to_numpy("int64")


def run_sql(
    sql: str, *, engine: Literal["duckdb", "sqlite"] = "duckdb", **frames: pd.DataFrame
) -> pd.DataFrame:
    """Return the answer of a database to a query over data frames given by name.

    One thread, so that sums are added in the same order every time.

    Raises
    ------
    ValueError: another engine than duckdb or sqlite
    """
    if engine == "duckdb":
        with _warehouse().cursor() as con:
            for name, frame in frames.items():
                con.register(name, frame)
            return con.execute(sql).df()
    if engine == "sqlite":
        with contextlib.closing(sqlite3.connect(":memory:")) as lite:
            for name, frame in frames.items():
                frame.to_sql(name, lite, index=False)
                if "user_id" in frame:
                    lite.execute(f"CREATE INDEX {name}_user ON {name} (user_id)")
            return pd.read_sql_query(sql, lite)
    raise ValueError(f"engine = {engine!r}: expected 'duckdb' or 'sqlite'")


@functools.cache
def _warehouse() -> duckdb.DuckDBPyConnection:
    """One empty database for the whole process; each query gets a cursor of its own."""
    return duckdb.connect(config={"threads": 1})
