"""Challenge 5, dual mode: the same features in batch, for training, and in real time, to serve.

One log of events feeds both. A stream is right when it equals the batch, replayed as of each
moment; whether that moves the score is another question, and the answer is often no. So the harm
is measured as `right`, the share of charges whose features are those that the replay gives, and
as `right_bursts`, the same where a card is used again within an hour.
"""

from typing import Literal

import numpy as np
import pandas as pd

from mlkit.contract import findings
from mlkit.dualmode.consumers import batch, event_log, first_arrivals, naive_stream, stream
from mlkit.dualmode.faults import KINDS, inject
from mlkit.dualmode.state import CardState, Charge
from mlkit.features import CARD_FEATURES
from mlkit.model import log_decisions, performance, periods
from mlkit.params import NotNegative, Share, checked
from mlkit.tables import Tables, require, require_tables, require_unique
from mlkit.tasks import TASKS

WORLD = "cards"
UNIT = "average precision"
HARMLESS = "seldom"  # the preset in which a window has next to nothing to count wrongly
HARM = ("right_bursts", 0.02)
TASK = TASKS[WORLD]
SLOW = ["amount_usd", "km_home", "charges_30d", "avg_30d", "chargebacks"]
HOUR = pd.Timedelta(hours=1)

__all__ = [
    "HARM",
    "HARMLESS",
    "KINDS",
    "WORLD",
    "CardState",
    "Charge",
    "batch",
    "detect",
    "event_log",
    "inject",
    "naive_detect",
    "naive_stream",
    "repair",
    "score",
    "stream",
]


@checked
def naive_detect(reference: Tables, suspect: Tables, *, max_gap: NotNegative = 0.2) -> pd.DataFrame:
    """Return what the dashboard of a stream shows: lag, events in and out, slow averages.

    The usual check. It asks whether the stream keeps up and whether the numbers look as usual,
    not whether they are right.

    Parameters
    ----------
    reference: tables with `training`, from before the suspicion
    suspect: tables with `charges` and `served`
    max_gap: largest gap that passes, as a share of what is expected

    Returns
    -------
    Rows "lag" (share of charges without an answer), "events" (largest gap of a week
    between charges made and deliveries read) and "mean" of each slow feature in production: check,
    subject, value, limit, failed.

    Raises
    ------
    KeyError: a table or a feature is missing
    ValueError: a table without rows, or max_gap below 0
    """
    require_tables(reference, "training")
    require_tables(suspect, "charges", "served")
    charges, served = suspect["charges"], _features(suspect, "served")
    unanswered = float((~charges["charge_id"].isin(served["charge_id"])).mean())
    made = charges["event_ts"].dt.floor("7D").value_counts()
    read = log_of(suspect)["arrival_ts"].dt.floor("7D").value_counts()
    gap = (read - made).abs().max() / made.median()
    live = charges.loc[periods(charges, TASK) == "production", "charge_id"]
    usual, now = (
        table.loc[table["charge_id"].isin(live), SLOW].mean()
        for table in (_features(reference, "training"), served)
    )
    drift = ((now - usual) / usual).abs().fillna(np.inf).mask(now == usual, 0.0)
    lag = findings("lag", pd.Series({"charges without an answer": unanswered}), 0.0)
    events = findings("events", pd.Series({"read against made, worst week": gap}), max_gap)
    return pd.concat([lag, events, findings("mean", drift, max_gap)], ignore_index=True)


@checked
def detect(
    reference: Tables,
    suspect: Tables,
    *,
    rtol: NotNegative = 1e-9,
    max_share: Share = 0.001,
    lateness_hours: NotNegative = 24.0,
    retention_hours: NotNegative = 168.0,
) -> pd.DataFrame:
    """Return both paths against a replay of the log, feature by feature, and the log itself.

    Parameters
    ----------
    reference: tables with `charges`: what should have been answered
    suspect: tables with `charges`, `training`, `served` and, where it delivers twice, `arrivals`
    rtol: largest relative difference that counts as equal
    max_share: share of charges above which a row fails
    lateness_hours, retention_hours: what the stream promises: how late a charge may come, and how
        long after the first a second delivery is recognised

    Returns
    -------
    check ("served" or "training" against the replay, "coverage", "log"), subject, value (share of
    charges or deliveries), limit, failed.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing, or not as expected

    Source: challenge 5; reconciliation of a stream by replay.
    """
    require_tables(reference, "charges")
    require_tables(suspect, "charges", "training", "served")
    log, expected = log_of(suspect), replay(suspect)
    rows = [
        findings(path, wrong(suspect, path, expected, rtol=rtol).mean(), max_share)
        for path in ("served", "training")
    ]
    asked = reference["charges"]["charge_id"]
    missing = {
        path: (~asked.isin(ids)).mean()
        for path, ids in (("log", log["charge_id"]), ("served", suspect["served"]["charge_id"]))
    }
    rows += [findings("coverage", pd.Series(missing), max_share)]
    first = first_arrivals(suspect["charges"], log)
    late = ((first["ingest_ts"] - first["event_ts"]) > lateness_hours * HOUR).mean()
    came = log.groupby("charge_id")["arrival_ts"].agg(["min", "max"])
    again = (came["max"] - came["min"] > retention_hours * HOUR).mean()
    promised = {"later than allowed": late, "again after the retention": again}
    rows += [findings("log", pd.Series(promised), max_share)]
    return pd.concat(rows, ignore_index=True)


def wrong(tables: Tables, path: str, expected: pd.DataFrame, *, rtol: float = 1e-9) -> pd.DataFrame:
    """Return whether each feature of each answered charge differs from the replay, bool."""
    mine = _features(tables, path).set_index("charge_id")
    theirs = expected.set_index("charge_id").reindex(mine.index)
    names = list(CARD_FEATURES)
    equal = np.isclose(mine[names], theirs[names], rtol=rtol, atol=1e-9, equal_nan=True)
    return pd.DataFrame(~equal, columns=names, index=mine.index)


def replay(tables: Tables) -> pd.DataFrame:
    """Return the features of each charge by event time, each id once, as of its moment."""
    return batch(tables["charges"], log_of(tables))


def log_of(tables: Tables) -> pd.DataFrame:
    """Return the log of a world: `arrivals`, or where it is not kept, each charge once."""
    return tables["arrivals"] if "arrivals" in tables else event_log(tables["charges"])


def _features(tables: Tables, path: str) -> pd.DataFrame:
    columns = {"charge_id": "int", **dict.fromkeys(CARD_FEATURES, "float")}
    features = require(tables[path], path, columns)
    require_unique(features, path, ["charge_id"])
    return features


@checked
def repair(suspect: Tables, *, how: Literal["replay", "log_and_train"] = "replay") -> Tables:
    """Return the tables with both paths as they should be, and the decisions that follow.

    replay: serving by the event-time stream, each id once, late charges counted; training by the
    batch over the same log, as of each moment. Equal to 1e-9, from two codes and one definition.
    log_and_train: the model learns from the features as they were served. Both paths agree by
    construction, but what the stream never knew, the model cannot learn.

    Raises
    ------
    KeyError: a table is missing
    ValueError: another `how`

    Source: challenge 5; log and train: Zinkevich, Rules of ML, rule 29.
    """
    require_tables(suspect, "charges", "training", "served")
    if how == "log_and_train":
        return log_decisions({**suspect, "training": suspect["served"]})
    served = stream(suspect["charges"], log_of(suspect))
    return log_decisions({**suspect, "training": replay(suspect), "served": served})


def score(tables: Tables) -> dict[str, float]:
    """Return what the model is worth, and whether its features are right.

    Returns
    -------
    offline, honest, production (average precision), auc and recall: see `model.performance`.
    kept: production less offline, what is left of the promise. right: the share of charges in
    [0, 1] whose features all equal the replay, on the path (served in production, or training
    before it) where it is smaller. right_bursts: the same among the charges that follow another of
    their card within an hour, 1 where there is none: those that fast windows are for.

    Raises
    ------
    KeyError: a table is missing; `truth_charges` is needed for production
    """
    require_tables(tables, "charges", "training", "served", "truth_charges")
    scores, expected = performance(tables), replay(tables)
    charges = tables["charges"]
    live = charges.loc[periods(charges, TASK) == "production", "charge_id"]
    fast = charges.loc[close_behind(charges), "charge_id"]
    right = {"right": [], "right_bursts": []}  # type: dict[str, list[float]]
    for path, asked in (("served", True), ("training", False)):
        good = ~wrong(tables, path, expected).any(axis=1)
        good = good[good.index.isin(live) == asked]
        right["right"].append(float(good.mean()))
        right["right_bursts"].append(float(good[good.index.isin(fast)].mean()))
    shares = {name: float(np.nanmin([*values, 1.0])) for name, values in right.items()}
    return {**scores, "kept": scores["production"] - scores["offline"], **shares}


def close_behind(charges: pd.DataFrame) -> np.ndarray:
    """Return which charges follow another of their card within an hour, bool, shape (n,)."""
    ordered = charges.sort_values(["user_id", "event_ts"], kind="stable")
    gap = ordered.groupby("user_id")["event_ts"].diff().reindex(charges.index)
    return (gap <= HOUR).to_numpy()
