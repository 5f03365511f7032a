"""The nightly job: what is delivered each night, what the job makes of it, and what it should.

`batches` is the log of deliveries. A batch holds what arrived since the last midnight: late rows,
rows that come twice, corrections, rows without an amount, and rows that are withdrawn later. A
batch of a failed night is delivered again. The log begins with one batch of all older rows.
"""

from collections import deque
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from mlkit.features import DAY_US, FEATURES, WINDOW_DAYS, category_codes
from mlkit.params import Count, Share, checked
from mlkit.scale.state import LATEST, Row, State
from mlkit.tables import as_microseconds, as_time, require, require_complete, require_unique

OPS = ["insert", "correct", "delete"]
LOG = {
    "delivered_ts": "time",
    "batch_id": "int",
    "op": "any",
    "version": "int",
    "txn_id": "int",
    "user_id": "int",
    "event_ts": "time",
    "amount_usd": "float",
    "category": "any",
}
ASKED = {"offer_id": "int", "user_id": "int", "prediction_ts": "time"}
RTOL = 1e-9  # what counts as equal, relative or in the unit of the feature
PURCHASES = ["txn_id", "user_id", "event_ts", "amount_usd", "category"]


@checked
def deliver(
    transactions: pd.DataFrame,
    *,
    until: pd.Timestamp,
    rng: np.random.Generator,
    days: Count = 90,
    late_share: Share = 0.03,
    twice_share: Share = 0.03,
    retry_share: Share = 0.07,
    correct_share: Share = 0.04,
    delete_share: Share = 0.03,
    null_share: Share = 0.05,
) -> pd.DataFrame:
    """Return the log of what was delivered on each of the last nights, dirt included.

    Parameters
    ----------
    transactions: the purchases as they truly were, with both clocks
    until: the last midnight
    rng: source of all randomness
    days: nights of the log; what had arrived before comes as one clean batch
    late_share: share of rows held up for one to five days more
    twice_share: share of rows that come again, in the same or a later batch
    retry_share: share of batches delivered a second time, under the same number, a night later
    correct_share: share of rows whose amount is first wrong and put right within ten days
    delete_share: purchases that never were, as a share, withdrawn within ten days
    null_share: share of rows without an amount

    Returns
    -------
    One row per delivered row, in order of delivery: delivered_ts (a midnight, UTC), batch_id, op,
    version (the higher one holds), txn_id, user_id, event_ts, amount_usd (may be missing),
    category. A row that is delivered again looks as it did.
    """
    last = as_microseconds(pd.Series([until]))[0] // DAY_US
    rows = transactions[PURCHASES].assign(op="insert", version=0)
    rows["night"] = -(-as_microseconds(transactions["ingest_ts"]) // DAY_US)
    old = rows[rows["night"] <= last - days].assign(night=last - days)
    new = rows[rows["night"] > last - days].reset_index(drop=True)
    new["night"] += _some(rng, len(new), late_share) * rng.integers(1, 6, len(new))
    phantoms = new[_some(rng, len(new), delete_share)]
    phantoms = phantoms.assign(txn_id=transactions["txn_id"].max() + 1 + np.arange(len(phantoms)))
    withdrawn = _later(phantoms, rng, 10).assign(op="delete", version=1, amount_usd=np.nan)
    new, right = _amounts(new, rng, correct_share, null_share)
    new = pd.concat([new, phantoms], ignore_index=True)
    again = _later(new[_some(rng, len(new), twice_share)], rng, 3, least=0)
    log = pd.concat([old, new, right, withdrawn, again], ignore_index=True)
    return _as_log(_retried(log, rng, retry_share, first=last - days), last)


def _some(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    return rng.random(n) < share


def _later(
    rows: pd.DataFrame, rng: np.random.Generator, most: int, *, least: int = 1
) -> pd.DataFrame:
    """Return the rows as delivered some nights later."""
    return rows.assign(night=rows["night"] + rng.integers(least, most + 1, len(rows)))


def _amounts(
    new: pd.DataFrame, rng: np.random.Generator, correct_share: float, null_share: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows with some amounts wrong or missing, and the corrections of the wrong ones."""
    wrong = _some(rng, len(new), correct_share)
    right = _later(new[wrong], rng, 10).assign(op="correct", version=1)
    factor = np.where(wrong, np.exp(rng.normal(0, 0.3, len(new))), 1.0)
    lost = _some(rng, len(new), null_share) & ~wrong
    amounts = np.maximum((new["amount_usd"] * factor).round(2), 0.01)
    return new.assign(amount_usd=amounts.mask(lost)), right


def _retried(
    log: pd.DataFrame, rng: np.random.Generator, share: float, *, first: int
) -> pd.DataFrame:
    """Return the log with a number for each batch, and the batches of some nights once more."""
    log = log.assign(batch_id=log["night"] - first)
    nights = np.unique(log["batch_id"])
    failed = nights[_some(rng, len(nights), share) & (nights > 0)]
    once_more = log[log["batch_id"].isin(failed)]
    return pd.concat([log, once_more.assign(night=once_more["night"] + 1)], ignore_index=True)


def _as_log(log: pd.DataFrame, last: int) -> pd.DataFrame:
    log = log[log["night"] <= last].sort_values(
        ["night", "batch_id", "version", "txn_id"], kind="stable", ignore_index=True
    )
    log["delivered_ts"] = as_time(log["night"].to_numpy("int64") * DAY_US)
    log["op"] = pd.Categorical(log["op"], categories=OPS)
    return log[list(LOG)]


def require_log(log: pd.DataFrame) -> None:
    """Return nothing when this is a log of deliveries in which only amounts are missing.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of another type, or has gaps; a version of
        a row has two contents
    """
    require(log, "batches", LOG)
    require_complete(log, "batches", [name for name in LOG if name != "amount_usd"])
    strange = sorted(set(log["op"].astype("str")) - set(OPS))
    if strange:
        raise ValueError(f"batches.op: expected one of {OPS}, came {strange}")
    key, sent = ["txn_id", "version"], ("delivered_ts", "batch_id")
    contents = log.drop_duplicates([name for name in LOG if name not in sent])
    twice = contents.duplicated(key)
    if twice.any():
        txn_id, version = contents.loc[twice, key].iloc[0]
        raise ValueError(
            f"batches: txn_id {txn_id}, version {version} came with two contents; expected a "
            "higher version with each change"
        )


def require_asked(asked: pd.DataFrame) -> None:
    """Return nothing when these are requests, each with a user and a time, none of them twice.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of another type, or has gaps or repeats
    """
    require(asked, "asked", ASKED)
    require_complete(asked, "asked", ASKED)
    require_unique(asked, "asked", ["offer_id"])


class Delivery(NamedTuple):
    """A batch as it comes in on a night."""

    night_us: int
    batch_id: int
    rows: list[Row]


def deliveries(log: pd.DataFrame) -> list[Delivery]:
    """Return the batches of a log in order of delivery.

    Raises
    ------
    KeyError, TypeError, ValueError: not a log of deliveries, or a key is missing
    ValueError: a batch came again with other rows; whoever skips known batches would lose them
    """
    require_log(log)
    nights = as_microseconds(log["delivered_ts"])
    columns = zip(
        log["txn_id"].tolist(),
        log["version"].tolist(),
        (log["op"] == "delete").tolist(),
        log["user_id"].tolist(),
        as_microseconds(log["event_ts"]).tolist(),
        log["amount_usd"].to_numpy("float64").tolist(),
        category_codes(log["category"]).tolist(),
        strict=True,
    )
    found: dict[tuple[int, int], list[Row]] = {}
    for night, batch, row in zip(nights.tolist(), log["batch_id"].tolist(), columns, strict=True):
        found.setdefault((night, batch), []).append(Row(*row))
    batches = [Delivery(*key, rows) for key, rows in found.items()]
    _require_repeats(batches)
    return sorted(batches, key=lambda batch: batch.night_us)


def _require_repeats(batches: list[Delivery]) -> None:
    held: dict[int, set[tuple[int, int]]] = {}
    for batch in batches:
        ids = {(row.txn_id, row.version) for row in batch.rows}
        if held.setdefault(batch.batch_id, ids) != ids:
            raise ValueError(
                f"batches: batch {batch.batch_id} came again with other rows; expected a number of "
                "its own for what is delivered anew"
            )


class Job(Protocol):
    """What the nightly job needs: to take in a batch, and to say the features of a user."""

    def apply(self, batch_id: int, rows: list[Row]) -> None:
        """Take in a batch."""

    def features(self, user: int, until_us: int, at_us: int) -> dict[str, float]:
        """Return the features of a user at a midnight, for a request at a later moment."""


def serve(log: pd.DataFrame, asked: pd.DataFrame, *, job: Job | None = None) -> pd.DataFrame:
    """Return the features of each request as the job had them on the midnight before.

    Parameters
    ----------
    log: the deliveries, see `deliver`
    asked: offer_id int (unique), user_id int, prediction_ts UTC
    job: a state without rows; the good one without

    Returns
    -------
    One row per request in their order: offer_id, user_id, prediction_ts, the features as float64.

    Raises
    ------
    KeyError, TypeError, ValueError: not a log, or not requests
    """
    require_asked(asked)
    job, waiting = State() if job is None else job, deque(deliveries(log))
    at = as_microseconds(asked["prediction_ts"])
    users, midnight = asked["user_id"].tolist(), at // DAY_US * DAY_US
    found: dict[int, dict[str, float]] = {}
    for i in np.argsort(midnight, kind="stable").tolist():
        while waiting and waiting[0].night_us <= midnight[i]:
            batch = waiting.popleft()
            job.apply(batch.batch_id, batch.rows)
        found[i] = job.features(users[i], int(midnight[i]), int(at[i]))
    rows = pd.DataFrame([found[i] for i in range(len(asked))], columns=list(FEATURES))
    return asked[list(ASKED)].reset_index(drop=True).join(rows.astype("float64"))


def known_at(log: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that hold on the midnight before each request, oldest first.

    One row per request and purchase of its user: of the versions that had been delivered the
    highest, unless it says that the row is gone.
    """
    midnight = asked["prediction_ts"].dt.floor("D")
    pairs = asked[["offer_id", "user_id"]].assign(midnight=midnight)
    pairs = pairs.merge(_with_leavers(log), on="user_id")
    pairs = pairs[pairs["delivered_ts"] <= pairs["midnight"]]
    pairs = pairs.sort_values(["version", "event_ts", "txn_id"], kind="stable")
    newest = pairs.drop_duplicates(["offer_id", "txn_id"], keep="last")
    newest = newest[(newest["op"] != "delete") & (newest["event_ts"] < newest["midnight"])]
    return newest.sort_values(["event_ts", "txn_id"], kind="stable")


def _with_leavers(log: pd.DataFrame) -> pd.DataFrame:
    """Return the log in which a row that names another user is an end for those it had before."""
    users = log[["txn_id", "user_id"]].drop_duplicates()
    if users["txn_id"].is_unique:
        return log
    moved = users[users["txn_id"].duplicated(keep=False)]
    ends = log.merge(moved.rename(columns={"user_id": "other"}), on="txn_id")
    ends = ends[ends["other"] != ends["user_id"]].assign(op="delete")
    ends["user_id"] = ends.pop("other")
    return pd.concat([log, ends.astype({"op": log["op"].dtype})], ignore_index=True)


def recompute(
    log: pd.DataFrame, asked: pd.DataFrame, *, window_days: int = WINDOW_DAYS
) -> pd.DataFrame:
    """Return the features of each request from all rows: what every job should arrive at.

    This is the definition; `detect`, `score` and the tests know no other.

    Parameters
    ----------
    log, asked: as for `serve`
    window_days: length of the window in days

    Returns
    -------
    As `serve`.

    Raises
    ------
    KeyError, TypeError, ValueError: not a log, or not requests
    """
    require_log(log)
    require_asked(asked)
    rows = known_at(log, asked)
    rows["code"] = category_codes(rows["category"])
    since = rows["midnight"] - pd.Timedelta(days=window_days)
    recent = rows[rows["event_ts"] >= since].groupby("offer_id")["amount_usd"]
    known, ids = rows.groupby("offer_id"), asked["offer_id"]
    newest = known.tail(LATEST).groupby("offer_id")["amount_usd"].mean()
    last = known[["event_ts", "code"]].last().reindex(ids)
    at = asked["prediction_ts"].reset_index(drop=True)
    table = {
        "avg_amount": recent.mean().reindex(ids).fillna(newest.reindex(ids)),
        "amount_variance": recent.var().reindex(ids),
        "purchases_30d": recent.size().reindex(ids).fillna(0),
        "total_purchases": known.size().reindex(ids).fillna(0),
        "days_since_last_purchase": (at - last["event_ts"].reset_index(drop=True))
        / pd.Timedelta(days=1),
        "last_category": last["code"],
    }
    features = pd.DataFrame({name: np.asarray(table[name], "float64") for name in FEATURES})
    return asked[list(ASKED)].reset_index(drop=True).join(features)


def differ(served: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Return which values differ, one row per request and one bool column per feature."""
    names = list(FEATURES)
    a, b = served[names].to_numpy("float64"), expected[names].to_numpy("float64")
    return pd.DataFrame(~np.isclose(a, b, rtol=RTOL, atol=RTOL, equal_nan=True), columns=names)


@checked
def rows_at_stake(log: pd.DataFrame, *, days: Count = 60) -> dict[str, float]:
    """Return how many rows there are to read over the last nights of a log.

    Returns
    -------
    delivered: rows of the batches of these nights; window: rows that a recomputation of 30 days
    reads each night (it cannot tell what is older: all purchases, the last of long ago); history:
    that one of everything delivered so far reads.
    """
    event, arrived = (as_microseconds(log[name]) for name in ("event_ts", "delivered_ts"))
    last = arrived.max() // DAY_US
    counted = [night * DAY_US for night in range(last - days + 1, last + 1)]
    known = [arrived <= night for night in counted]
    begin = [event >= night - WINDOW_DAYS * DAY_US for night in counted]
    recent = [(a & b).sum() for a, b in zip(known, begin, strict=True)]
    return {
        "delivered": float((arrived >= counted[0]).sum()),
        "window": float(sum(recent)),
        "history": float(sum(rows.sum() for rows in known)),
    }


@checked
def reading(log: pd.DataFrame, *, days: Count = 60) -> dict[str, float]:
    """Return how many rows a job with cells reads over the last nights, beside other ways.

    Parameters
    ----------
    log: the deliveries
    days: nights that are counted, up to the last one

    Returns
    -------
    As `rows_at_stake`; job: delivered rows and the rows of cells made again; whole_days: the same,
    were a whole day to be read for each such cell.
    """
    state, since = State(), as_microseconds(log["delivered_ts"]).max() - days * DAY_US
    before = whole = 0
    for batch in deliveries(log):
        state.apply(batch.batch_id, batch.rows)
        if batch.night_us <= since:
            before, whole = state.rows_read, state.rows_read - state.rebuilt + state.day_rows
    after = state.rows_read - state.rebuilt + state.day_rows
    read = {"job": float(state.rows_read - before), "whole_days": float(after - whole)}
    return {**rows_at_stake(log, days=days), **read}
