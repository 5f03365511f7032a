"""What is collected and what may be used: how much a column, a row or a consent is worth."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.features import LOAN_FEATURES
from mlkit.model import periods, plain_model
from mlkit.params import Count, Share, checked
from mlkit.stats import auc
from mlkit.tables import Tables, require, require_tables, require_unique
from mlkit.tasks import TASKS

PERSONAL = ("birth_year", "region", "woman")
YEAR = pd.Timedelta(days=365)


def answered(tables: Tables) -> pd.DataFrame:
    """Return one row per application whose answer is known, in order of time.

    Returns
    -------
    The columns of `training`, then defaulted (bool), late_payment_count, period (see
    `mlkit.model.periods`), and of the applicant birth_year, region, woman (1 or 0) and consent.

    Raises
    ------
    KeyError: a table or a column is missing
    """
    require_tables(tables, "training", "applications", "users")
    asked, users = tables["applications"], tables["users"]
    known = asked[["application_id", "defaulted", "late_payment_count"]].assign(
        period=periods(asked, TASKS["loans"])
    )
    people = users[["user_id", "birth_year", "region", "consent"]].assign(
        woman=(users["gender"] == "F").astype(float)
    )
    rows = tables["training"].merge(known.dropna(subset=["defaulted"]), on="application_id")
    rows = rows.merge(people, on="user_id", validate="m:1")
    return rows.astype({"defaulted": bool, "late_payment_count": float})


# How much a column or a row is worth


def learned(train: pd.DataFrame, test: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return the probability of default of the test rows, by a plain model of these columns."""
    names = list(columns)
    model = plain_model().fit(train[names], train["defaulted"])
    return model.predict_proba(test[names])[:, 1]


def by_worth(train: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the columns, the dearest first: one after the other is left out that costs least.

    Judged by the AUC of three folds of the training rows, the rows of a user in one fold.
    """
    fold = train["user_id"].to_numpy() % 3
    left, order = list(columns), []
    while len(left) > 1:
        cost = {name: _crossed(train, fold, [c for c in left if c != name]) for name in left}
        order.append(max(left, key=cost.__getitem__))
        left.remove(order[-1])
    return [*left, *reversed(order)]


def _crossed(train: pd.DataFrame, fold: np.ndarray, columns: Sequence[str]) -> float:
    parts = [(train[fold != k], train[fold == k]) for k in range(3)]
    return float(np.mean([auc(new["defaulted"], learned(old, new, columns)) for old, new in parts]))


def rounded_to(rows: pd.DataFrame, columns: Sequence[str], bands: int) -> pd.DataFrame:
    """Return the rows with each column told in so many bands of equal count: 0, 1, 2 ..."""
    share = rows[list(columns)].rank(pct=True)
    return rows.assign(**{c: np.ceil(share[c] * bands) - 1 for c in columns})


@checked
def gain(
    test: pd.DataFrame,
    more: np.ndarray,
    less: np.ndarray,
    *,
    rng: np.random.Generator,
    draws: Count = 200,
) -> tuple[float, float, float]:
    """Return how much AUC one score has more than another, and its 95 % interval (low, high).

    Both are judged on the same rows, and users are drawn, as their rows resemble each other.
    """
    truth, user = test["defaulted"].to_numpy(), pd.factorize(test["user_id"])[0]
    drawn = []
    for _ in range(draws):
        times = np.bincount(
            rng.integers(0, user.max() + 1, user.max() + 1), minlength=user.max() + 1
        )
        rows = np.repeat(np.arange(len(user)), times[user])
        drawn.append(auc(truth[rows], more[rows]) - auc(truth[rows], less[rows]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return auc(truth, more) - auc(truth, less), float(low), float(high)


# Consent


@checked
def consents(
    users: pd.DataFrame, *, rng: np.random.Generator, until: pd.Timestamp, leave: Share = 0.3
) -> pd.DataFrame:
    """Return a register of consents: who agreed to what, and when it was withdrawn.

    Parameters
    ----------
    users: user_id, signup_ts, consent; those without consent never agreed
    until: the end of the register; who signed up later is not in it
    leave: share of the consents that are withdrawn at some moment before the end

    Returns
    -------
    user_id, purpose (scoring for all who agreed, marketing for half of them), given_ts,
    withdrawn_ts (missing: not withdrawn).
    """
    there = users["consent"] & (users["signup_ts"] < until)
    agreed = users.loc[there, ["user_id", "signup_ts"]]
    half = agreed[rng.random(len(agreed)) < 0.5]
    table = pd.concat([agreed.assign(purpose="scoring"), half.assign(purpose="marketing")])
    table = table.rename(columns={"signup_ts": "given_ts"}).reset_index(drop=True)
    at = table["given_ts"] + rng.random(len(table)) * (until - table["given_ts"])
    gone = rng.random(len(table)) < leave
    columns = ["user_id", "purpose", "given_ts", "withdrawn_ts"]
    return table.assign(withdrawn_ts=at.dt.as_unit("us").where(gone))[columns]


def allowed(
    rows: pd.DataFrame, register: pd.DataFrame, *, purpose: str, at: pd.Timestamp | pd.Series
) -> pd.Series:
    """Return for each row whether its user's consent to a purpose is valid at a moment.

    Parameters
    ----------
    rows: with user_id
    register: see `consents`; one row per user and purpose
    purpose: what the rows are used for
    at: the moment of the use: one, or one per row

    Raises
    ------
    KeyError: a column is missing
    ValueError: nobody agreed to this purpose (mistyped?), or a user agreed twice
    """
    require(rows, "rows", {"user_id": "int"})
    require(register, "register", {"purpose": "any", "given_ts": "time", "withdrawn_ts": "time"})
    asked = register[register["purpose"] == purpose]
    if asked.empty:
        names = ", ".join(sorted(register["purpose"].unique()))
        raise ValueError(f"purpose = {purpose!r}: nobody agreed to it; the register has {names}")
    require_unique(asked, f"register of {purpose}", ["user_id"])
    given, withdrawn = (
        rows["user_id"].map(asked.set_index("user_id")[column])
        for column in ("given_ts", "withdrawn_ts")
    )
    return (given <= at) & (withdrawn.isna() | (withdrawn > at))


@checked
def inject_choosy(
    rows: pd.DataFrame,
    *,
    rng: np.random.Generator,
    depends_on: Literal["nothing", "credit_score", "defaulted"],
    share: Annotated[float, Interval(gt=0, lt=1)] = 0.6,
    strength: Annotated[float, Interval(ge=0, le=20)] = 1.5,
) -> pd.Series:
    """Return which rows are free to use when consent hangs together with what is learned.

    With `depends_on` credit_score the well rated agree more often, with defaulted those who paid
    back do; `strength` is the log-odds ratio of one standard deviation, and `share` agree.
    """
    pull = np.zeros(len(rows))
    if depends_on != "nothing":
        value = rows[depends_on].to_numpy(float) * (-1 if depends_on == "defaulted" else 1)
        pull = strength * (value - value.mean()) / value.std()
    wish = pull + rng.logistic(size=len(rows))
    return pd.Series(wish > np.quantile(wish, 1 - share), index=rows.index, name="agreed")


@checked
def lopsided(
    train: pd.DataFrame,
    test: pd.DataFrame,
    agreed: pd.Series,
    *,
    rng: np.random.Generator,
    draws: Count = 20,
) -> dict[str, float]:
    """Return what a model of those who agreed is worth, beside models of as many drawn rows.

    Returns
    -------
    rows; auc and auc_drawn; bias and bias_drawn: the mean predicted default less what came. Of the
    drawn ones the mean of `draws`.
    """
    n = int(agreed.sum())
    scores = [learned(train[agreed], test, LOAN_FEATURES)]
    for _ in range(draws):
        drawn = np.sort(rng.permutation(len(train))[:n])
        scores.append(learned(train.iloc[drawn], test, LOAN_FEATURES))
    aucs = [auc(test["defaulted"].to_numpy(), score) for score in scores]
    bias = [float(score.mean() - test["defaulted"].mean()) for score in scores]
    result = {"rows": float(n), "auc": aucs[0], "auc_drawn": float(np.mean(aucs[1:]))}
    return {**result, "bias": bias[0], "bias_drawn": float(np.mean(bias[1:]))}
