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
from mlkit.worlds.xrays import PIXELS

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


# Loans: what the lender knew at the application

LOAN_FEATURES = ("credit_score", "years_in_job", "income_usd", "amount_usd", "earlier_late")
EARLIER_LATE = """
SELECT a.application_id, COUNT(p.due_us) * 1.0 AS earlier_late
FROM applications a LEFT JOIN payments p
  ON p.user_id = a.user_id AND p.late AND p.due_us < a.at_us
GROUP BY a.application_id"""


def loan_features(applications: pd.DataFrame, payments: pd.DataFrame) -> pd.DataFrame:
    """Return the features of each application as of its moment.

    Four columns of the application itself, and the late payments on the user's earlier loans that
    fell due before it; never the late payments on the loan that is asked for.

    Parameters
    ----------
    applications: application_id int (unique), user_id int, applied_ts UTC, credit_score int,
        years_in_job float, income_usd float, amount_usd float
    payments: user_id int, due_ts UTC, late bool

    Returns
    -------
    One row per application in their order: application_id, user_id, applied_ts, then
    LOAN_FEATURES as float64.

    Raises
    ------
    KeyError, TypeError: a column is missing, or of another type
    ValueError: no rows, or repeated ids
    """
    plain = dict.fromkeys(LOAN_FEATURES[:-1], "float")
    keys = {"application_id": "int", "user_id": "int", "applied_ts": "time"}
    require(applications, "applications", {**keys, **plain})
    require(payments, "payments", {"user_id": "int", "due_ts": "time", "late": "bool"})
    require_unique(applications, "applications", ["application_id"])
    asked = applications[["application_id", "user_id"]].assign(
        at_us=as_microseconds(applications["applied_ts"])
    )
    due = payments[["user_id", "late"]].assign(due_us=as_microseconds(payments["due_ts"]))
    earlier = run_sql(EARLIER_LATE, applications=asked, payments=due).set_index("application_id")
    table = applications[list(keys)].join(applications[list(plain)].astype("float64"))
    late = earlier["earlier_late"].loc[applications["application_id"]]
    return table.reset_index(drop=True).assign(earlier_late=late.to_numpy("float64"))


# Cards: what the bank knew at the moment of the charge

MINUTE_US = 60_000_000
CARD_FEATURES = {
    "amount_usd": "MAX(c.amount_usd)",
    "new_device": "MAX(c.new_device)",
    "km_home": "MAX(c.km_home)",
    "charges_5m": f"COUNT(*) FILTER (c.age_us <= {5 * MINUTE_US}) * 1.0",
    "amount_5m": f"COALESCE(SUM(c.before_usd) FILTER (c.age_us <= {5 * MINUTE_US}), 0.0)",
    "charges_1h": f"COUNT(*) FILTER (c.age_us <= {60 * MINUTE_US}) * 1.0",
    "charges_30d": "COUNT(c.age_us) * 1.0",
    "avg_30d": "AVG(c.before_usd)",
    "amount_ratio": "MAX(c.amount_usd) / AVG(c.before_usd)",
    "chargebacks": "MAX(c.chargebacks)",
}
CARDS = {
    "charge_id": "int",
    "user_id": "int",
    "event_ts": "time",
    "ingest_ts": "time",
    "amount_usd": "float",
    "new_device": "bool",
    "km_home": "float",
}


def card_sql() -> str:
    """Return the query that computes the features of charges: one row per charge."""
    columns = ",\n  ".join(f"{text} AS {name}" for name, text in CARD_FEATURES.items())
    return f"""
WITH told AS (
  SELECT c.charge_id, COUNT(f.known_us) * 1.0 AS chargebacks
  FROM charges c LEFT JOIN frauds f ON f.user_id = c.user_id AND f.known_us <= c.at_us
  GROUP BY c.charge_id
), c AS (
  SELECT now.charge_id, now.amount_usd, now.new_device, now.km_home, told.chargebacks,
    now.at_us - b.at_us AS age_us, b.amount_usd AS before_usd
  FROM charges now JOIN told USING (charge_id) LEFT JOIN charges b
    ON b.user_id = now.user_id AND b.at_us < now.at_us AND b.ingest_us <= now.at_us
    AND b.at_us >= now.at_us - {WINDOW_DAYS * DAY_US}
)
SELECT c.charge_id,
  {columns}
FROM c GROUP BY c.charge_id ORDER BY c.charge_id"""


def card_features(charges: pd.DataFrame) -> pd.DataFrame:
    """Return the features of each charge as of its moment, on both clocks.

    An earlier charge counts when it happened strictly before and had arrived by then; a
    charge-back counts when it was known by then.

    Parameters
    ----------
    charges: charge_id int (unique), user_id int, event_ts UTC, ingest_ts UTC, amount_usd float
        USD, new_device bool, km_home float, fraud_known_ts UTC (empty without a charge-back)

    Returns
    -------
    One row per charge in their order: charge_id, user_id, event_ts, then CARD_FEATURES as
    float64; NaN where the last 30 days hold no charge.

    Raises
    ------
    KeyError, TypeError: a column is missing, or of another type
    ValueError: no rows, or repeated ids
    """
    require(charges, "charges", {**CARDS, "fraud_known_ts": "time"})
    require_unique(charges, "charges", ["charge_id"])
    rows = charges[["charge_id", "user_id", "amount_usd", "km_home"]].assign(
        new_device=charges["new_device"].astype("float64"),
        at_us=as_microseconds(charges["event_ts"]),
        ingest_us=as_microseconds(charges["ingest_ts"]),
    )
    told = charges.dropna(subset=["fraud_known_ts"])
    frauds = told[["user_id"]].assign(known_us=as_microseconds(told["fraud_known_ts"]))
    answers = run_sql(card_sql(), charges=rows, frauds=frauds).set_index("charge_id")
    table = charges[["charge_id", "user_id", "event_ts"]].reset_index(drop=True)
    known = answers.astype("float64").loc[charges["charge_id"]].reset_index(drop=True)
    return table.join(known)


# Films: what the machine shows, nothing else


def film_features(films: pd.DataFrame, pixels: pd.DataFrame) -> pd.DataFrame:
    """Return the pixels of each film, never its site, nor whether equipment is to be seen.

    Parameters
    ----------
    films: film_id int (unique), user_id int, taken_ts UTC
    pixels: film_id int (unique), then one integer column per pixel

    Returns
    -------
    One row per film in their order: film_id, user_id, taken_ts, then the pixels as float64.

    Raises
    ------
    KeyError, TypeError: a column is missing, or of another type
    ValueError: no rows, repeated ids, or a film without pixels
    """
    keys = {"film_id": "int", "user_id": "int", "taken_ts": "time"}
    require(films, "films", keys)
    require(pixels, "pixels", {"film_id": "int", **dict.fromkeys(PIXELS, "int")})
    for name, table in (("films", films), ("pixels", pixels)):
        require_unique(table, name, ["film_id"])
    dark = films.loc[~films["film_id"].isin(pixels["film_id"]), "film_id"]
    if len(dark):
        raise ValueError(
            f"pixels: expected a row for each of {len(films)} films, {len(dark)} have none, "
            f"first film_id {dark.iloc[0]}; drop these films or read their pixels again"
        )
    found = pixels.set_index("film_id")[list(PIXELS)].astype("float64").loc[films["film_id"]]
    return films[list(keys)].reset_index(drop=True).join(found.reset_index(drop=True))
