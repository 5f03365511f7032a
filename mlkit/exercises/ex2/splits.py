"""The experiment of exercise 2: two splits, two features, a replay, and what production gets."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd

from mlkit import params
from mlkit.features import asof_features
from mlkit.params import stream
from mlkit.tables import Tables
from mlkit.tasks import TASKS
from mlkit.worlds.shop import make_shop

Score = Callable[[pd.DataFrame, pd.DataFrame], float]
FEATURES = ["table", "as_of"]
COLUMNS = ["random", "temporal", "replay"]
TRAIN_SHARE = 0.7


# Rows: one feature, read from a finished table and as of the request


def month_mean(
    transactions: pd.DataFrame,
    offers: pd.DataFrame,
    at: pd.Series | pd.Timestamp,
    *,
    back: int = 0,
) -> np.ndarray:
    """Return what a user spent on average in the month of the offer, as known at a moment."""
    sales = transactions.assign(user_id=user_month(transactions, "event_ts"))
    month = user_month(offers, "prediction_ts") - back
    asked = offers.assign(user_id=month, prediction_ts=at)
    mean = {"mean": "AVG(h.amount_usd)"}
    return asof_features(sales, asked, definitions=mean)["mean"].to_numpy()


def user_month(rows: pd.DataFrame, time: str) -> pd.Series:
    """Return one number for a user and a month: months of one user follow one another."""
    month = 12 * rows[time].dt.year.astype("int64") + rows[time].dt.month
    return rows["user_id"].astype("int64") * 100_000 + month


def inject_table(
    shop: Tables,
    *,
    rng: np.random.Generator,
    kind: Literal["finished", "event_time", "last_month"] = "finished",
) -> pd.DataFrame:
    """Return one row per offer: the feature from a table, and the same feature as of the offer.

    Parameters
    ----------
    shop: users, transactions and offers
    rng: draws a number for each row, for a random split
    kind: where `table` comes from. "finished": the report of the month, when the month is over;
        "event_time": as of the offer by event time, whether it was known or not; "last_month":
        the report of the month before, which (but for late rows) was there: the null control,
        and then `as_of` is of the month before too

    Returns
    -------
    offer_id, asked_ts, label (boolean, empty while unknown), label_known_ts, table and as_of
    (float64 USD, missing without purchases), draw in [0, 1).
    """
    sales, offers = shop["transactions"], shop["offers"]
    back = int(kind == "last_month")
    today = offers["prediction_ts"].max() + pd.Timedelta(days=62)
    at = offers["prediction_ts"] if kind == "event_time" else today
    told = sales.assign(ingest_ts=sales["event_ts"]) if kind == "event_time" else sales
    renamed = {"prediction_ts": "asked_ts", "accepted": "label"}
    rows = offers.drop(columns="user_id").rename(columns=renamed)
    rows["table"] = month_mean(told, offers, at, back=back)
    rows["as_of"] = month_mean(sales, offers, offers["prediction_ts"], back=back)
    return rows.assign(draw=np.round(rng.random(len(rows)), 6))


def cuts(rows: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the moment of the temporal split, and that at which the model goes live."""
    first, last = rows["asked_ts"].min(), rows["asked_ts"].max()
    cut, live = (first + share * (last - first) for share in TASKS["shop"].cuts)
    return cut, live


# Scores


def accuracy(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return the share of right decisions on `test` of the plain model fitted to `train`.

    Both have the columns x (a number, or missing) and label.
    """
    from mlkit.model import plain_model

    model = plain_model().fit(train[["x"]], train["label"].astype(bool))
    return float((model.predict(test[["x"]]) == test["label"].to_numpy(bool)).mean())


def closeness(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return one minus the mean squared error of a line through `train`: moves with every row."""
    missing = {"x", "label"} - set(train) | {"x", "label"} - set(test)
    if missing or train.empty or test.empty:
        raise ValueError("score: expected two frames with rows and the columns x and label")
    usual = train["x"].mean()
    design = [
        np.column_stack([np.ones(len(t)), t["x"].fillna(usual), t["x"].isna()]).astype(float)
        for t in (train, test)
    ]
    fitted = np.linalg.lstsq(design[0], train["label"].to_numpy(float), rcond=None)[0]
    guess = np.clip(design[1] @ fitted, 0, 1)
    return float(1 - np.mean((guess - test["label"].to_numpy(float)) ** 2))


def experiment(rows: pd.DataFrame, cut: pd.Timestamp, score: Score) -> pd.DataFrame:
    """Return the scores of both features under both splits, and in a replay of the second."""
    lucky = rows["draw"] < TRAIN_SHARE
    known, after = rows["label_known_ts"] <= cut, rows["asked_ts"] >= cut
    table = {
        feature: {
            "random": trial(rows, (lucky, ~lucky), score, (feature, feature)),
            "temporal": trial(rows, (known, after), score, (feature, feature)),
            "replay": trial(rows, (known, after), score, (feature, "as_of")),
        }
        for feature in FEATURES
    }
    return pd.DataFrame(table).T[COLUMNS]


def trial(
    rows: pd.DataFrame,
    split: tuple[pd.Series, pd.Series],
    score: Score,
    columns: tuple[str, str],
) -> float:
    """Return one score: training and test rows, and the column that each takes x from."""
    sides = [
        rows.loc[side, [column, "label"]].set_axis(["x", "label"], axis=1)
        for side, column in zip(split, columns, strict=True)
    ]
    return score(*sides)


def two_by_two(shop: Tables, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the experiment on what was known before the model went live, and what came of it.

    The last column, production, is the truth: the model of the temporal split, fed with the
    feature as of each later offer, judged by the world's own answers.
    """
    cut, live = cuts(rows)
    table = experiment(rows[rows["label_known_ts"] <= live], cut, accuracy)
    truth = rows.assign(label=shop["truth_offers"].set_index("offer_id")["accepted"])
    split = truth["label_known_ts"] <= cut, truth["asked_ts"] >= live
    table["production"] = [trial(truth, split, accuracy, (f, "as_of")) for f in FEATURES]
    return table


# The check of the learner's own experiment


@cache
def case(seed: int) -> tuple[pd.DataFrame, pd.Timestamp]:
    """Return the rows of a small shop in no order, some exactly at the cut, and the cut."""
    rng = stream(seed, "exercise", "ex2.2")
    knobs = {**params.load()["worlds"]["shop"], "n_users": 120, "n_days": 200}
    rows = inject_table(make_shop(rng=rng, **knobs), rng=rng).dropna(subset=["label"])
    cut = (rows["asked_ts"].min() + 0.6 * (rows["asked_ts"].max() - rows["asked_ts"].min())).floor(
        "D"
    )
    delay = rows["label_known_ts"].iloc[0] - rows["asked_ts"].iloc[0]
    asked = rows["asked_ts"].copy()
    for moment in (cut, cut - delay):  # the next twelve come at that moment
        asked.iloc[np.flatnonzero(asked > moment)[:12]] = moment
    rows = rows.assign(
        asked_ts=asked, label_known_ts=asked + delay, label=rows["label"].astype(bool)
    )
    rows = rows.sample(frac=1, random_state=int(rng.integers(2**31)))
    return rows.drop(columns="offer_id").reset_index(drop=True), cut


SPLITS: dict[str, tuple[str, Callable[..., tuple[pd.Series, pd.Series]]]] = {
    "Labels that were not known at the cut are in the training rows: an answer takes its time, and "
    "the split needs a gap of that length.": (
        "temporal",
        lambda r, cut: (r["asked_ts"] < cut, r["asked_ts"] >= cut),
    ),
    "Rows in the order of the file are not rows in order of time: the split is by the cut.": (
        "temporal",
        lambda r, cut: (np.arange(len(r)) < 0.7 * len(r), np.arange(len(r)) >= 0.7 * len(r)),
    ),
    "The test holds all that is not in training, also rows asked before the cut: the gap belongs "
    "to neither side.": (
        "temporal",
        lambda r, cut: (r["label_known_ts"] <= cut, r["label_known_ts"] > cut),
    ),
    "A request at the very cut is a test row, and a label known at the very cut is known.": (
        "temporal",
        lambda r, cut: (r["label_known_ts"] <= cut, r["asked_ts"] > cut),
    ),
    "A label known at the very cut is known, and a request at the very cut is a test row.": (
        "temporal",
        lambda r, cut: (r["label_known_ts"] < cut, r["asked_ts"] >= cut),
    ),
    "The model is tested on rows that it was trained on: that is no test at all.": (
        "random",
        lambda r, cut: (np.ones(len(r), bool), r["draw"] >= 0.0),
    ),
    "The model is tested on rows that it was trained on: it has seen these.": (
        "random",
        lambda r, cut: (np.ones(len(r), bool), r["draw"] >= TRAIN_SHARE),
    ),
    "Training and test are the wrong way round: seven rows in ten are for training.": (
        "random",
        lambda r, cut: (r["draw"] >= TRAIN_SHARE, r["draw"] < TRAIN_SHARE),
    ),
    "A random split by the order of the file: use the draw, so that everybody splits alike.": (
        "random",
        lambda r, cut: (np.arange(len(r)) < 0.7 * len(r), np.arange(len(r)) >= 0.7 * len(r)),
    ),
}
REPLAYS = {
    "That is the temporal score once more: in production the finished table does not exist yet, "
    "the model is fed what is known at the request.": ("temporal", ("table", "table")),
    "The replay trains another model: the one that goes live has learned from the table. Change "
    "what it is fed, not what it has learned.": ("temporal", ("as_of", "as_of")),
    "The replay is of the temporal split: the same model, the same test rows, one column "
    "changed.": ("random", ("table", "as_of")),
}
DROPPED = (
    "Rows without a value were dropped: these are the customers you know least, production "
    "decides about them too, and each feature was judged on other rows."
)


def named(rows: pd.DataFrame, cut: pd.Timestamp, column: str, got: pd.Series) -> list[str]:
    """Return the known mistakes that give just these scores (of `table`, then of `as_of`)."""
    found = [
        why
        for why, (kind, split) in SPLITS.items()
        if kind == ("random" if column == "random" else "temporal")
        and _gives(rows, split(rows, cut), column, got)
    ]
    whole = rows.dropna(subset=FEATURES)
    right = _right_split(column, rows, cut)
    if _gives(whole, tuple(side[whole.index] for side in right), column, got) or _each(
        rows, right, column, got
    ):
        found.append(DROPPED)
    if column == "replay":
        for why, (kind, columns) in REPLAYS.items():
            split = _right_split(kind, rows, cut)
            if np.isclose(got["table"], trial(rows, split, closeness, columns), atol=1e-9):
                found.append(why)
    return found


def _right_split(column: str, rows: pd.DataFrame, cut: pd.Timestamp) -> tuple[pd.Series, pd.Series]:
    if column == "random":
        return rows["draw"] < TRAIN_SHARE, rows["draw"] >= TRAIN_SHARE
    return rows["label_known_ts"] <= cut, rows["asked_ts"] >= cut


def _gives(rows: pd.DataFrame, split: tuple, column: str, got: pd.Series) -> bool:
    tested = {f: "as_of" if column == "replay" else f for f in FEATURES}
    scores = [trial(rows, split, closeness, (f, tested[f])) for f in FEATURES]
    return bool(np.allclose(got, scores, atol=1e-9))


def _each(rows: pd.DataFrame, split: tuple, column: str, got: pd.Series) -> bool:
    """Return whether each feature was scored on the rows in which it has a value."""
    for feature in FEATURES:
        tested = "as_of" if column == "replay" else feature
        there = rows[feature].notna() & rows[tested].notna()
        kept = tuple(side & there for side in split)
        if not np.isclose(got[feature], trial(rows, kept, closeness, (feature, tested))):
            return False
    return True
