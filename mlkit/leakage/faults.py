"""The faults of challenge 2: the eight types of Kapoor and Narayanan, and four beside them.

A fault changes a feature, the rows of the study, or how the study is done; never the truth, and
never what production is asked with, but for the columns that it brings along. `hit` are the
offers that it may touch, a share of them that is the severity.
"""

import numpy as np
import pandas as pd

from mlkit.features import FEATURES, asof_features
from mlkit.leakage.join import point_in_time_join
from mlkit.leakage.study import TASK, balanced, newcomers, planned, shuffled, study_of
from mlkit.tables import Tables

WINDOW = ["avg_amount", "amount_variance"]  # the features that a fault puts its own in place of
DEFINED = {  # what faults bring along, as it can be known at the request; "" is always known
    "lifetime_avg": "AVG(h.amount_usd)",
    "loyalty": "",
    "week": "",
    "birth_year": "",
    "income_usd": "",
    "region": "",
}
PROFILE = ["birth_year", "income_usd", "region"]  # of a user: they never change
RARE = 0.08  # share of the accepted offers that is kept where the answer is to be rare
ASKED = 400  # rows of production in a pilot
FIRST_QUESTION = 1_000_000  # the number of the first of our own questions


# Features that nobody could have had


def inject_lifetime(world: Tables, hit: pd.Series) -> Tables:
    """Return a lifetime average for the window, over the whole table: so also over the future."""
    whole = world["transactions"].groupby("user_id")["amount_usd"].mean()
    return with_feature(world, "lifetime_avg", world["training"]["user_id"].map(whole), hit)


def inject_illegitimate(world: Tables, hit: pd.Series, *, rng: np.random.Generator) -> Tables:
    """Return a count of vouchers redeemed, which only those have who accepted: 0 at the request."""
    accepted = world["offers"].set_index(TASK.key)[TASK.label].astype("boolean").fillna(False)
    mine = world["training"][TASK.key].map(accepted).to_numpy(bool)
    redeemed = rng.random(len(mine)) < np.where(mine, 0.9, 0.0)
    wrong = np.where(world["training"][TASK.key].isin(hit), redeemed, False).astype("float64")
    return {
        **world,
        "training": world["training"].assign(vouchers=wrong),
        "served": world["served"].assign(vouchers=0.0),
    }


def inject_two_clocks(world: Tables, hit: pd.Series) -> Tables:
    """Return training features by event time alone: rows count that had not arrived yet."""
    bought = world["transactions"]
    early = asof_features(bought.assign(ingest_ts=bought["event_ts"]), world["offers"])
    training = world["training"].copy()
    touched = training[TASK.key].isin(hit)
    training.loc[touched, list(FEATURES)] = early.loc[touched, list(FEATURES)]
    return {**world, "training": training}


def inject_dimension(world: Tables, hit: pd.Series) -> Tables:
    """Return the customer's loyalty joined from today's dimension table, to every old row too."""
    history = loyalty(world["offers"])
    right = loyalty_then(world["offers"], history)
    today = history.groupby("user_id")["loyalty"].last()
    wrong = world["training"]["user_id"].map(today)
    touched = world["training"][TASK.key].isin(hit)
    return {
        **world,
        "loyalty": history,
        "training": world["training"].assign(loyalty=right.mask(touched, wrong)),
        "served": world["served"].assign(loyalty=right),
    }


def with_feature(world: Tables, name: str, wrong: pd.Series, hit: pd.Series) -> Tables:
    """Return the world with a feature for the window: wrong in training, right as served."""
    right = asof_features(world["transactions"], world["offers"], definitions={name: DEFINED[name]})
    training, served = (world[path].drop(columns=WINDOW) for path in ("training", "served"))
    mixed = right[name].mask(training[TASK.key].isin(hit), wrong)
    return {
        **world,
        "training": training.assign(**{name: mixed}),
        "served": served.assign(**{name: right[name]}),
    }


def with_known(world: Tables, **columns: pd.Series) -> Tables:
    """Return the world with more columns that both paths know alike."""
    return {**world, **{path: world[path].assign(**columns) for path in ("training", "served")}}


def loyalty(offers: pd.DataFrame) -> pd.DataFrame:
    """Return the history of a dimension: the share of offers that a user accepted, so far.

    One row for each answer, from the moment it was known: user_id, from_ts, loyalty in [0, 1].
    """
    known = offers.dropna(subset=[TASK.label]).sort_values("label_known_ts", kind="stable")
    so_far = known[TASK.label].astype("float64").groupby(known["user_id"])
    share = so_far.cumsum() / (so_far.cumcount() + 1)
    history = known[["user_id"]].assign(from_ts=known["label_known_ts"], loyalty=share)
    return history.reset_index(drop=True)


def loyalty_then(offers: pd.DataFrame, history: pd.DataFrame) -> pd.Series:
    """Return the loyalty of each offer's customer as it stood at the offer."""
    asked = offers[[TASK.key, "user_id", TASK.time]]
    return point_in_time_join(asked, history, entity="user_id", time=TASK.time, event="from_ts")[
        "loyalty"
    ]


# The rows of the study


def inject_no_test_set(world: Tables, hit: pd.Series) -> Tables:
    """Return a study that judges a forest on the rows it learned from."""
    study = study_of(world)
    train = study[study["part"] == "train"]
    kept = study[(study["part"] != "test") | ~study[TASK.key].isin(hit)]
    again = train[train[TASK.key].isin(hit)].assign(part="test")
    return planned(world, pd.concat([kept, again]), model="forest")


def inject_duplicates(world: Tables, hit: pd.Series, *, copies: float) -> Tables:
    """Return a study in which a share `copies` of the training rows came in twice: also as test."""
    study = study_of(world)
    train = study[study["part"] == "train"]
    n = round(copies * len(train))
    twice = train[train[TASK.key].isin(hit)].iloc[:: max(1, len(train) // max(n, 1))]
    return planned(world, pd.concat([study, twice.assign(part="test")]), model="forest")


def inject_temporal(world: Tables, hit: pd.Series, *, rng: np.random.Generator) -> Tables:
    """Return a random split in time, with the week as a feature of a forest."""
    at = world["training"][TASK.time]
    dated = with_known(world, week=((at - at.min()).dt.days // 7).astype("float64"))
    return planned(dated, shuffled(study_of(world), hit, rng), model="forest")


def inject_same_user(world: Tables, hit: pd.Series, *, rng: np.random.Generator) -> Tables:
    """Return a random split of the rows of old customers, for a model that new ones will meet."""
    profile = world["users"].set_index("user_id")[PROFILE].astype("float64")
    mine = profile.loc[world["training"]["user_id"]].reset_index(drop=True)
    return planned(
        with_known(world, **{name: mine[name] for name in PROFILE}),
        shuffled(newcomers(world), hit, rng),
        model="forest",
    )


def inject_sampling(world: Tables, hit: pd.Series) -> Tables:
    """Return a test set of complete cases: users without a purchase in the window are left out."""
    study, training = study_of(world), world["training"].set_index(TASK.key)
    idle = training.loc[study[TASK.key], "purchases_30d"].to_numpy() == 0
    gone = idle & (study["part"] == "test") & study[TASK.key].isin(hit)
    return planned(world, study[~gone])


# How the study is done


def inject_scaler(world: Tables, hit: pd.Series) -> Tables:
    """Return a study whose scaler was fitted to the test rows as well."""
    return planned(world, also_seen(world, hit), step="scale")


def inject_encoding(world: Tables, hit: pd.Series) -> Tables:
    """Return a study with each user's mean answer as a feature, test rows counted as well."""
    return planned(world, also_seen(world, hit), step="encode")


def inject_oversampling(world: Tables, hit: pd.Series, *, rng: np.random.Generator) -> Tables:
    """Return a study of a rare answer that was over-sampled first and split afterwards."""
    study, truth = study_of(world), world["truth_offers"].set_index(TASK.key)[TASK.label]
    yes = truth.loc[study[TASK.key]].to_numpy(bool)
    rare = study[~yes | (rng.random(len(study)) < RARE)]
    ready = rare["part"] != "production"
    more = pd.concat([balanced(rare[ready], world), rare[~ready]])
    return planned(
        world, shuffled(more, hit, rng), model="forest", judge="auc", rows="given", balance="yes"
    )


def inject_feature_selection(
    world: Tables, hit: pd.Series, *, rng: np.random.Generator, n_small: int, noise_columns: int
) -> Tables:
    """Return a pilot of a few offers with columns of noise, the best chosen by looking at all."""
    tables = pilot(world, rng, n_small, noise_columns)
    return {**tables, "study": also_seen(tables, hit)}


def inject_test_reuse(
    world: Tables, hit: pd.Series, *, rng: np.random.Generator, n_small: int, tries: int
) -> Tables:
    """Return a pilot on noise, in which the best of many models was chosen on the test rows."""
    share = len(hit) / len(world["offers"])
    tables = pilot(world, rng, n_small, tries)
    plan = {"step": "none", "keep": "1", "tries": str(max(1, round(tries * share)))}
    return planned(tables, tables["study"], source="columns", rows="given", **plan)


def inject_horizon(world: Tables, hit: pd.Series, *, horizon_days: int) -> Tables:
    """Return a study of overlapping questions without a gap: train knows half of test's answers.

    Each week it is asked of everybody whether they will spend more than is usual in the next
    `horizon_days`, from features that never change, by a forest that remembers people.
    """
    asked = weekly_questions(world["transactions"], world["users"], horizon_days)
    offers = asked[[TASK.key, "user_id", TASK.time, TASK.label, "label_known_ts"]]
    profile = world["users"].set_index("user_id")[PROFILE].astype("float64")
    features = offers[[TASK.key, "user_id", TASK.time]].join(profile, on="user_id")
    late = (asked["part"] == "train") & (asked["week"] > -horizon_days / 7 - 1)
    kept = ~late | (asked[TASK.key] % len(world["offers"])).isin(hit)
    study = asked.loc[kept, [TASK.key, "part"]].assign(seen=asked["part"] == "train")
    tables = {**world, "offers": offers, "training": features, "served": features}
    return planned(tables, study, model="forest", judge="auc", rows="given")


def weekly_questions(
    transactions: pd.DataFrame, users: pd.DataFrame, horizon_days: int
) -> pd.DataFrame:
    """Return a question a week about each user: will they spend more than usual from now on?

    Ten weeks to learn from, two to be judged on and the last two as production: offer_id, user_id,
    prediction_ts, part, week (of the test is 0), accepted (the answer) and label_known_ts.
    """
    start = transactions["event_ts"].min().floor("D")
    days = (transactions["event_ts"] - start).dt.days.to_numpy()
    last, size = int(days.max()) + 1, (int(users["user_id"].max()) + 1, int(days.max()) + 2)
    spent = np.zeros(size)
    np.add.at(spent, (transactions["user_id"].to_numpy(), days + 1), transactions["amount_usd"])
    spent = spent.cumsum(axis=1)
    cut = int(last * 2 / 3)
    weeks = {week: cut + 7 * week for week in range(-10, 2)}
    weeks |= {100 + turn: last - horizon_days - 7 * (2 - turn) for turn in range(2)}
    tables = []
    for week, day in weeks.items():
        more = spent[:, day + horizon_days] - spent[:, day]
        table = pd.DataFrame({"user_id": users["user_id"], "week": week, "more": more})
        tables.append(table.assign(day=day, accepted=more > np.median(more)))
    asked = pd.concat(tables, ignore_index=True)
    at = start + pd.to_timedelta(asked["day"], unit="D")
    part = np.select([asked["week"] < 0, asked["week"] < 2], ["train", "test"], "production")
    return asked.drop(columns=["more", "day"]).assign(
        offer_id=FIRST_QUESTION + np.arange(len(asked)),
        prediction_ts=at,
        accepted=asked["accepted"].astype("boolean"),
        label_known_ts=at + pd.Timedelta(days=horizon_days),
        part=part,
    )


# What faults are made of


def also_seen(world: Tables, hit: pd.Series) -> pd.DataFrame:
    """Return the study with test rows among those that pre-processing looks at."""
    study = study_of(world)
    return study.assign(
        seen=study["seen"] | (study[TASK.key].isin(hit) & (study["part"] == "test"))
    )


def pilot(world: Tables, rng: np.random.Generator, n_small: int, n_columns: int) -> Tables:
    """Return a study of a few offers before production, with `columns` that are noise about 0."""
    study = study_of(world)
    asked = study[study["part"] == "production"].head(ASKED)
    few = study[study["part"] != "production"].groupby("part").tail(n_small // 2)
    rows = pd.concat([few, asked])
    names = [f"n{number:04d}" for number in range(n_columns)]
    noise = rng.standard_normal((len(rows), n_columns), dtype="float32")
    columns = pd.DataFrame(np.round(noise, 3), columns=names)
    columns.insert(0, TASK.key, rows[TASK.key].to_numpy())
    tables = {**world, "columns": columns}
    return planned(tables, rows, source="columns", step="select", rows="given")
