"""Ways to keep a model fresh, tried on one stream: the requests of production, week by week.

Every week each of them knows the answers that were known when the week began, and no others.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.drift.decide import X, fit_rows, predict
from mlkit.drift.detectors import naive_ks, naive_should_retrain
from mlkit.model import THRESHOLD, fit
from mlkit.params import Count, checked
from mlkit.tables import Tables, require, require_complete, require_tables

WEIGHTS = (0.1, 0.3, 0.6)  # of the syllabus: three months old, one month old, current
Share01 = Annotated[float, Interval(gt=0, le=1)]
Window = Annotated[int, Interval(ge=3, le=100_000)]


def stream_of(tables: Tables) -> pd.DataFrame:
    """Return every request of the shop in order of time: features, label, when it was known.

    Raises
    ------
    KeyError: a table is missing; the truth labels what is not known at the end of the world
    """
    require_tables(tables, "offers", "truth_offers", "training", "decisions")
    keys = ["offer_id", "user_id", "prediction_ts", "label_known_ts"]
    rows = tables["offers"][keys].merge(tables["training"][["offer_id", *X]], on="offer_id")
    rows = rows.merge(tables["truth_offers"][["offer_id", "accepted"]], on="offer_id")
    rows = rows.rename(columns={"prediction_ts": "ts", "accepted": "label"})
    return rows.sort_values("ts", kind="stable", ignore_index=True)


def naive_votes(scores: Sequence[np.ndarray], weights: Sequence[float] = WEIGHTS) -> np.ndarray:
    """Return decisions by weighted votes for a class, as the syllabus adds them up.

    A weight above one half decides alone: the other models are never heard.
    """
    votes = [weight * (score >= THRESHOLD) for score, weight in zip(scores, weights, strict=True)]
    return np.sum(votes, axis=0) > THRESHOLD


def averaged(scores: Sequence[np.ndarray], weights: Sequence[float] = WEIGHTS) -> np.ndarray:
    """Return decisions by the weighted mean of the scores: doubt counts, too."""
    return np.average(scores, axis=0, weights=weights) >= THRESHOLD


@checked
def compete(tables: Tables, *, rng: np.random.Generator, window_days: Window = 28) -> pd.DataFrame:
    """Return the accuracy of each way to keep a model, week by week of production.

    Parameters
    ----------
    tables: the shop in operation, with its truth
    rng: seeds the adaptive tree
    window_days: days of answers that a windowed model learns from

    Returns
    -------
    Index: the begin of the week (UTC). One column per way, in [0, 1]: static (the champion),
    window and all history (retrained every week), Hoeffding and adaptive (trees of river that
    learn one answer at a time), votes and probabilities (three windowed models of three ages, by
    class or by score), newest (the youngest of the three alone).

    Raises
    ------
    KeyError: a table is missing

    Source: challenge 6, mitigation strategies 1 to 3; Hulten et al., KDD 2001 (Hoeffding trees).
    """
    rows, champion = stream_of(tables), fit(tables)
    trees = _trees(int(rng.integers(2**31)))
    log, fed, result = tables["decisions"], pd.Series(False, index=rows.index), {}
    for begin in pd.date_range(log["ts"].min(), log["ts"].max(), freq="7D")[:-1]:
        week = rows[(rows["ts"] >= begin) & (rows["ts"] < begin + pd.Timedelta(days=7))]
        known = rows[rows["label_known_ts"] <= begin]
        fresh = known[~fed[known.index]]
        fed[known.index] = True
        ages = [_window(known, window_days, age) for age in (2 * window_days, window_days, 0)]
        scores = [predict(fit_rows(part), week) for part in ages]
        made = {"static": predict(champion, week) >= THRESHOLD}
        made |= {"window": scores[-1] >= THRESHOLD}
        made |= {"all history": predict(fit_rows(known), week) >= THRESHOLD}
        made |= {name: _learn_and_predict(tree, fresh, week) for name, tree in trees.items()}
        made |= {"votes": naive_votes(scores), "probabilities": averaged(scores)}
        result[begin] = {name: (d == week["label"]).mean() for name, d in made.items()}
    return pd.DataFrame(result).T


def _window(known: pd.DataFrame, days: int, age: int) -> pd.DataFrame:
    """Return the known rows of a window that ended `age` days ago."""
    end = known["ts"].max() - pd.Timedelta(days=age)
    return known[(known["ts"] <= end) & (known["ts"] > end - pd.Timedelta(days=days))]


def _trees(seed: int) -> dict[str, Any]:
    from river import tree

    return {
        "Hoeffding": tree.HoeffdingTreeClassifier(),
        "adaptive": tree.HoeffdingAdaptiveTreeClassifier(seed=seed),
    }


def _learn_and_predict(tree: Any, fresh: pd.DataFrame, week: pd.DataFrame) -> np.ndarray:
    """Return a tree's decisions for a week, after it has learned the fresh answers one by one."""
    for row, label in zip(_records(fresh), fresh["label"], strict=True):
        tree.learn_one(row, bool(label))
    return np.array([bool(tree.predict_one(row)) for row in _records(week)])


def _records(rows: pd.DataFrame) -> list[dict]:
    return np.log1p(rows[X]).fillna(-1.0).to_dict("records")


@checked
def quiet_months(
    months: Count = 100,
    *,
    rng: np.random.Generator,
    features: Count = 3,
    per_day: Count = 30,
    reference: Count = 2000,
    per_user: Count = 1,
) -> pd.DataFrame:
    """Return how the rule of the syllabus fares in months in which nothing whatever changes.

    Every day of a month of thirty it compares the last seven days with the reference, feature by
    feature, and would retrain when more than a fifth of them has p below 0.05.

    Parameters
    ----------
    months, features, per_day, reference: how many; rows per day and in the reference
    rng: draws the rows, all from one distribution
    per_user: rows of a user, equal to one another: with more than one, rows are not independent

    Returns
    -------
    One row per month: first (share of alarms on the first check), month (whether any day alarmed).
    """
    names = [f"x{i}" for i in range(features)]
    rows = []
    for _ in range(months):
        drawn = rng.standard_normal((-(-(reference + 36 * per_day) // per_user), features))
        table = pd.DataFrame(np.repeat(drawn, per_user, axis=0), columns=names)
        before, now = table[:reference], table[reference:]
        alarms = [
            naive_should_retrain(
                naive_ks(before, now[day * per_day : (day + 7) * per_day], features=names)
            )
            for day in range(30)
        ]
        rows.append({"first": float(alarms[0]), "month": any(alarms)})
    return pd.DataFrame(rows)


@checked
def selective(
    rows: pd.DataFrame, *, rng: np.random.Generator, keep: Share01 = 0.1
) -> dict[str, float]:
    """Return what is seen when only those who get the offer ever answer.

    Parameters
    ----------
    rows: a log with decision, score and the true label of every row
    rng: draws the hold-out
    keep: share of the refused that gets the offer all the same, at random

    Returns
    -------
    accepts (share of positive answers): truth; answered (rows with an answer only); hold-out (the
    kept refused stand for all refused). All in [0, 1].

    Raises
    ------
    KeyError: a column is missing
    ValueError: a decision or a label is missing: here the truth of all is needed

    Source: Heckman, Econometrica 47 (1979), on selected samples; Horvitz and Thompson, JASA 1952.
    """
    require(rows, "rows", {"decision": "any", "label": "any"})
    require_complete(rows, "rows", ["decision", "label"])
    sent, label = rows["decision"].to_numpy(bool), rows["label"].to_numpy(bool)
    kept = ~sent & (rng.random(len(rows)) < keep)
    refused = label[kept].mean() if kept.any() else np.nan
    return {
        "truth": float(label.mean()),
        "answered": float(label[sent].mean()),
        "hold-out": float(sent.mean() * label[sent].mean() + (~sent).mean() * refused),
    }
