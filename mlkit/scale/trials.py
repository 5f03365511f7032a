"""Trials of a nightly job: the same facts delivered in another way must give the same features.

Nobody needs to know the right answer for these. Each trial changes how the last batches of a log
are delivered, never what is true once all of it has come.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from mlkit.scale.nightly import differ
from mlkit.scale.rules import every_night

SCRAMBLE = 2_654_435_761  # a prime near 2**32 over the golden ratio (Knuth, TAOCP 3, 6.4)
Path = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]


def sample_users(users: pd.Series, *, n: int) -> list[int]:
    """Return n of the users, the same ones whenever the users are the same."""
    ids = np.unique(users)
    order = np.argsort(ids.astype("uint64") * np.uint64(SCRAMBLE) % np.uint64(2**32), kind="stable")
    return sorted(ids[order[:n]].tolist())


def _week(log: pd.DataFrame) -> pd.Series:
    """Return which rows came in the last seven nights (never those of the first batch)."""
    since = log["delivered_ts"].max() - pd.Timedelta(days=7)
    return (log["delivered_ts"] > since) & (log["delivered_ts"] > log["delivered_ts"].min())


def _plain(log: pd.DataFrame) -> pd.DataFrame:
    """Return the inserts of the last week that nothing has changed since."""
    changed = log.loc[log["version"] > 0, "txn_id"]
    plain = _week(log) & ~log["txn_id"].isin(changed) & log["amount_usd"].notna()
    return log[plain].drop_duplicates("txn_id")


def _tonight(log: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the log with some rows as one more batch of the last night."""
    more = rows.assign(delivered_ts=log["delivered_ts"].max(), batch_id=log["batch_id"].max() + 1)
    return pd.concat([log, more], ignore_index=True)


def batch_again(log: pd.DataFrame) -> pd.DataFrame:
    """Return the log with the batches of the last week delivered again on the last night."""
    night = log["delivered_ts"].max()
    before = log[_week(log) & (log["delivered_ts"] < night)]
    return pd.concat([log, before.assign(delivered_ts=night)], ignore_index=True)


def row_again(log: pd.DataFrame) -> pd.DataFrame:
    """Return the log with rows of the last week delivered again in another batch."""
    return _tonight(log, _plain(log))


def in_two_parts(log: pd.DataFrame) -> pd.DataFrame:
    """Return the log with each batch of the last week delivered as two, at each of its tries."""
    whole = _week(log).groupby(log["batch_id"]).transform("all")
    half = whole & (log["txn_id"] % 2 == 1)
    return log.assign(batch_id=log["batch_id"] + half * (log["batch_id"].max() + 1))


def held_up(log: pd.DataFrame) -> pd.DataFrame:
    """Return the log with all rows of the last week delivered on the last night."""
    week = _week(log)
    rows = log[week].drop_duplicates(["txn_id", "version"])
    late = rows.assign(delivered_ts=log["delivered_ts"].max(), batch_id=log["batch_id"].max() + 1)
    return pd.concat([log[~week], late], ignore_index=True)


def corrected(log: pd.DataFrame) -> pd.DataFrame:
    """Return the log with some amounts first wrong, and put right on the last night."""
    rows = _plain(log)
    wrong = log["amount_usd"].mask(log["txn_id"].isin(rows["txn_id"]), log["amount_usd"] + 1.0)
    return _tonight(log.assign(amount_usd=wrong), rows.assign(op="correct", version=1))


def withdrawn(log: pd.DataFrame) -> pd.DataFrame:
    """Return the log with purchases that never were, and are withdrawn on the last night."""
    rows = log[log["txn_id"].isin(_plain(log)["txn_id"])]  # at each try of their batch
    rows = rows.assign(txn_id=log["txn_id"].max() + 1 + rows["txn_id"])
    with_them = pd.concat([log, rows], ignore_index=True)
    ends = rows.drop_duplicates("txn_id").assign(op="delete", version=1, amount_usd=np.nan)
    return _tonight(with_them, ends)


TRIALS = {
    "batch again": batch_again,
    "row again": row_again,
    "in two parts": in_two_parts,
    "held up": held_up,
    "corrected": corrected,
    "withdrawn": withdrawn,
}


def run_trials(job: Path, log: pd.DataFrame) -> pd.Series:
    """Return for each trial the share of the log's users whose features change.

    Parameters
    ----------
    job: from a log and requests to features
    log: the deliveries of some users
    """
    asked = every_night(log, sorted(log["user_id"].unique().tolist()), last=1)
    usual = job(log, asked)
    changed = {name: differ(job(act(log), asked), usual) for name, act in TRIALS.items()}
    return pd.Series({name: float(rows.any(axis=1).mean()) for name, rows in changed.items()})
