"""Nightly jobs with a fault: each takes the log of deliveries and the requests, and answers them.

Where a fault lies in the rows that a job takes in, the answer is what recomputing gives from those
rows.
"""

import numpy as np
import pandas as pd

from mlkit.features import WINDOW_DAYS, category_codes
from mlkit.scale.nightly import known_at, recompute, serve
from mlkit.scale.rules import EVER, Totals, naive_weighted_average

KEY = "offer_id"


def inject_weighted_average(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a job that merges averages by weight; the other four are right."""
    merged = serve(log, asked, job=Totals(naive_weighted_average))
    names = ["avg_amount", "total_purchases"]
    return recompute(log, asked).assign(**{name: merged[name] for name in names})


def inject_replay(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a job that takes every delivery for new: a retried batch counts twice."""
    again = log.duplicated(["txn_id", "version"]) & (log["op"] == "insert")
    other = log["txn_id"].max() + 1 + np.arange(len(log))
    return recompute(log.assign(txn_id=log["txn_id"].mask(again, other)), asked)


def inject_row_twice(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a job that knows its batches, but not its rows."""
    first = log.groupby("batch_id")["delivered_ts"].transform("min")
    return inject_replay(log[log["delivered_ts"] == first].reset_index(drop=True), asked)


def inject_late_dropped(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a job that reads what is dated after the last day it has processed."""
    yesterday = log["delivered_ts"] - pd.Timedelta(days=1)
    in_time = (log["event_ts"] >= yesterday) | (log["batch_id"] == 0)
    return recompute(log[in_time], asked)


def inject_null_weights(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features whose average is the sum over the number of rows, amount or not."""
    filled = log.assign(amount_usd=log["amount_usd"].fillna(0.0))
    return recompute(log, asked).assign(avg_amount=recompute(filled, asked)["avg_amount"])


def inject_corrections_ignored(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a job that keeps the first version of every row."""
    return recompute(log[log["op"] != "correct"], asked)


def inject_deletions_ignored(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a job that never takes a row out again."""
    return recompute(log[log["op"] != "delete"], asked)


def inject_no_expiry(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a window that rows enter and never leave."""
    return recompute(log, asked, window_days=EVER)


def inject_spread_by_average(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features whose variance is the mean of the days' variances, weighted by rows."""
    rows = known_at(log, asked)
    rows = rows[rows["event_ts"] >= rows["midnight"] - pd.Timedelta(days=WINDOW_DAYS)]
    days = rows.groupby([KEY, rows["event_ts"].dt.floor("D")])["amount_usd"]
    variance, n = days.var().fillna(0.0), days.count()
    merged = (variance * n).groupby(KEY).sum() / n.groupby(KEY).sum()
    features = recompute(log, asked)
    return features.assign(amount_variance=merged.reindex(features[KEY]).to_numpy())


def inject_last_by_date(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features whose last category is replaced when the date, not the moment, is later."""
    rows = known_at(log, asked)
    rows = rows.assign(date=rows["event_ts"].dt.floor("D"), code=category_codes(rows["category"]))
    newest = rows[rows["date"] == rows.groupby(KEY)["date"].transform("max")]
    first = newest.drop_duplicates(KEY).set_index(KEY)["code"]
    features = recompute(log, asked)
    return features.assign(last_category=first.reindex(features[KEY]).to_numpy("float64"))


def inject_age_stored(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features whose days since the last purchase were computed when it was taken in."""
    newest = known_at(log, asked).drop_duplicates(KEY, keep="last").set_index(KEY)
    age = (newest["delivered_ts"] - newest["event_ts"]) / pd.Timedelta(days=1)
    features = recompute(log, asked)
    return features.assign(days_since_last_purchase=age.reindex(features[KEY]).to_numpy())
