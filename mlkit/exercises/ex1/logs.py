"""Thirty days of served logs for exercise 1, as they really come: healthy pairs and skews."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlkit import params, skew
from mlkit.features import FEATURES, asof_features
from mlkit.params import stream
from mlkit.worlds.shop import CATEGORIES, make_shop

KEY = ["user_id", "asked_at"]
NOISE = 1e-10  # what two databases may differ by
TELLING = 1e-3  # what counts as a difference
SIZES = {"rows": 30, "days": 7, "hours": 8.0, "step_usd": 1.0, "factor": 100.0}


class Pair(NamedTuple):
    """A served log and the recomputed features; what a check must name, and why it may miss it."""

    name: str
    served: pd.DataFrame
    recomputed: pd.DataFrame
    want: set[str]
    why: str = ""


@cache
def month(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the purchases of a small shop and the true features of its last offers."""
    knobs = {**params.load()["worlds"]["shop"], "n_users": 240, "n_days": 120}
    shop = make_shop(rng=stream(seed, "exercise", "ex1.2"), **knobs)
    offers = shop["offers"].drop_duplicates("user_id", keep="last").reset_index(drop=True)
    return shop["transactions"], asof_features(shop["transactions"], offers)


def recompute(features: pd.DataFrame) -> pd.DataFrame:
    """Return features as a warehouse hands them out: ordered by user, all numbers floats."""
    table = features.rename(columns={"prediction_ts": "asked_at"}).drop(columns="offer_id")
    names = dict(enumerate(CATEGORIES))
    table["last_category"] = table["last_category"].map(names).astype("object")
    return table.sort_values("user_id", ignore_index=True)


def differing(served: pd.DataFrame, truth: pd.DataFrame) -> set[str]:
    """Return the features in which two tables of the same requests differ, pair by pair."""
    return {name for name in FEATURES if _differs(served[name], truth[name]).any()}


def _differs(served: pd.Series, truth: pd.Series) -> np.ndarray:
    if truth.dtype == object:
        return ((served != truth) & ~(served.isna() & truth.isna())).to_numpy()
    return ~np.isclose(served, truth, rtol=TELLING, atol=0, equal_nan=True)


HEALTHY = {
    "silent: two equal tables": "Nothing differs here.",
    "silent: values missing on both sides": "Missing on both sides is agreement (and NaN == NaN "
    "is False).",
    "silent: the log is in another order": "Rows were compared by their position: a log comes in "
    "the order of its writing. Pair by user and moment.",
    "silent: a retried request is logged twice": "A retry writes the same row again; it is one "
    "request. Drop what is equal in full.",
    "silent: whole numbers here, floats there, text elsewhere": "Comparing strings makes '3' "
    "differ from '3.0': compare numbers as numbers.",
    "silent: another database added the numbers": "Exact equality alarms on the last bit of a "
    "sum: ask for a tolerance.",
}


@cache
def healthy_pairs(seed: int) -> tuple[Pair, ...]:
    """Return pairs that differ in nothing that matters, one reason to be fooled each."""
    truth, rng = recompute(month(seed)[1]), stream(seed, "exercise", "ex1.2", "healthy")
    whole = truth.dropna().reset_index(drop=True)
    retried = pd.concat([truth, truth.sample(frac=0.05, random_state=1)], ignore_index=True)
    served = [
        whole,
        truth,
        shuffled(truth, rng),
        shuffled(retried, rng),
        as_logged(truth),
        noisy(truth, rng),
    ]
    others = [whole.copy(), *[truth] * 5]
    return tuple(
        Pair(name, mine, other, set(), why)
        for (name, why), mine, other in zip(HEALTHY.items(), served, others, strict=True)
    )


def shuffled(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows in another order."""
    return table.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)


def as_logged(table: pd.DataFrame) -> pd.DataFrame:
    """Return the features with the types of a log: whole numbers, and some of them text."""
    total = table["total_purchases"].astype("int64").astype(str).astype("object")
    counts = table["purchases_30d"].astype("int64")
    return table.assign(purchases_30d=counts, total_purchases=total)


def noisy(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the features off by what two databases differ by."""
    numbers = ["avg_amount", "amount_variance", "days_since_last_purchase"]
    numbers = [name for name in numbers if name in table]
    factor = 1 + NOISE * rng.standard_normal((len(table), len(numbers)))
    return table.assign(**(table[numbers] * factor))


def log(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return a log as it really comes: noisy, typed its own way, retried, in its own order."""
    rows = as_logged(noisy(table, rng))
    retried = rows.sample(frac=0.05, random_state=int(rng.integers(2**31)))
    return shuffled(pd.concat([rows, retried], ignore_index=True), rng)


@cache
def atlas(seed: int) -> tuple[Pair, ...]:
    """Return one pair for each kind of skew of the lesson, through the lesson's own code."""
    purchases, features = month(seed)
    truth, rng = recompute(features), stream(seed, "exercise", "ex1.2", "atlas")
    pairs = []
    for kind, (path, *_) in skew.KINDS.items():
        sizes = {name: SIZES[name] for name in params.options(path)}
        wrong = path(purchases, features, **sizes)[list(FEATURES)]
        served = recompute(features.assign(**wrong))
        pairs.append(Pair(kind, log(served, rng), truth, differing(served, truth)))
    return tuple(pairs)


@cache
def unseen(seed: int) -> tuple[Pair, ...]:
    """Return pairs with skews that the lesson has not shown, one mistake to be made on each."""
    truth, rng = recompute(month(seed)[1]), stream(seed, "exercise", "ex1.2", "unseen")
    return tuple(
        Pair(name, log(served, rng), other, want, why)
        for name, served, other, want, why in (
            *_values(truth),
            *_some_values(truth, rng),
            *_tables(truth, rng),
        )
    )


def _hit(table: pd.DataFrame, column: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of some rows in which a feature is known and not 0."""
    known = np.flatnonzero(table[column].notna() & (table[column] != 0))
    return rng.choice(known, n, replace=False)


def _values(truth: pd.DataFrame) -> list[tuple]:
    """Return skews that touch everybody: name, served, recomputed, what to name, the mistake."""
    amount, others = truth["avg_amount"], truth["avg_amount"].sort_values().index
    swapped = pd.Series(np.roll(amount.loc[others], 3), index=others).sort_index()
    return [
        (
            "everybody is served another user's average",
            truth.assign(avg_amount=swapped),
            truth,
            {"avg_amount"},
            "The crowd looks the same, the pairs do not: means and histograms cannot tell who was "
            "served which value.",
        ),
        (
            "0 where nothing is known",
            truth.assign(amount_variance=truth["amount_variance"].fillna(0.0)),
            truth,
            {"amount_variance"},
            "Missing is not 0: filling in on both sides before comparing makes them equal.",
        ),
        (
            "half a percent too much for everybody",
            truth.assign(avg_amount=amount * 1.005),
            truth,
            {"avg_amount"},
            "The tolerance is too wide: one part in a thousand is what the statement says.",
        ),
    ]


def _some_values(truth: pd.DataFrame, rng: np.random.Generator) -> list[tuple]:
    """Return skews that touch a few."""
    amount = truth["avg_amount"]
    few, one, many = truth.copy(), truth.copy(), truth.assign(avg_amount=amount / 1e6)
    few.loc[_hit(truth, "avg_amount", 5, rng), "avg_amount"] = np.nan
    one.loc[_hit(truth, "avg_amount", 1, rng), "avg_amount"] = 1.0
    small = many.copy()
    many.loc[_hit(truth, "avg_amount", 30, rng), "avg_amount"] *= 1.5
    return [
        (
            "missing on two requests in a hundred, where a value is known",
            few,
            truth,
            {"avg_amount"},
            "Dropping missing values hides it: one side missing is a difference.",
        ),
        (
            "one user in hundreds is served another value",
            one,
            truth,
            {"avg_amount"},
            "Looking at one user, or at a share of them, misses it: compare them all.",
        ),
        (
            "a feature of small values, half as large again for some",
            many,
            small,
            {"avg_amount"},
            "One global tolerance in absolute terms is blind to a feature of small values: make it "
            "relative.",
        ),
    ]


TABLES = {
    "requests that were never logged": "An inner join forgets requests that one side lacks: they "
    "are 'rows'.",
    "requests that nobody recomputed": "A left join from the warehouse forgets what only the log "
    "has: they are 'rows'.",
    "a feature that the log no longer has": "A column that is gone is a difference in every "
    "request, and no reason to stop.",
    "two counts exchanged for some users": "Both are plausible numbers: compare every feature, "
    "also those that look right.",
    "another text for three users": "Features in words count too: compare what is no number by "
    "its text.",
}


def _tables(truth: pd.DataFrame, rng: np.random.Generator) -> list[tuple]:
    """Return skews of rows, columns and text."""
    lost = truth.drop(index=rng.choice(truth.index, 5, replace=False))
    some = _hit(truth, "total_purchases", 40, rng)
    counts = ["purchases_30d", "total_purchases"]
    mixed, text = truth.copy(), truth.copy()
    mixed.loc[some, counts] = truth.loc[some, counts[::-1]].to_numpy()
    text.loc[_hit(truth, "last_category", 3, rng), "last_category"] = "unknown"
    pairs = [
        (lost, truth, {"rows"}),
        (truth, lost, {"rows"}),
        (truth.drop(columns="amount_variance"), truth, {"amount_variance"}),
        (mixed, truth, set(counts)),
        (text, truth, {"last_category"}),
    ]
    return [(name, *pair, why) for (name, why), pair in zip(TABLES.items(), pairs, strict=True)]
