"""Four lenders for compliance.3: one with nothing wrong, and three with another cause each."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlkit.features import LOAN_FEATURES, loan_features
from mlkit.params import stream
from mlkit.tables import Tables
from mlkit.worlds.loans import make_loans

MECHANISMS = ("none", "mapping", "noise", "label_bias")
COLUMNS = list(LOAN_FEATURES)
MEASURED = COLUMNS[:4]
CLERICAL = 0.01  # share of all labels that somebody typed wrongly, whoever they are about
SAMPLE = 0.4  # share of the later applications whose documents were looked at
# `memo.told` names the mechanism of 400 of 400 cases at seeds 0 to 99, where its limits were set,
# and of 400 of 400 at seeds 3000 to 3099. With half as many applications a few of mapping are
# missed: the interval of the gap holds zero.
N = 12_000


class Case(NamedTuple):
    """What the learner is given, and what is behind it."""

    tables: Tables
    mechanism: str


@cache
def cases_of(seed: int) -> list[Case]:
    """Return a learner's four cases, in an order of their own."""
    rng = stream(seed, "exercise", "compliance.3")
    order = [str(name) for name in rng.permutation(MECHANISMS)]
    return [Case(case(name, rng), name) for name in order]


def case(mechanism: str, rng: np.random.Generator) -> Tables:
    """Return past, later, payments and documents of a lender.

    Where nothing is wrong, lenders are drawn until women fare worse by chance in one: such a one
    is looked into, and the others are not. Its interval holds zero, whichever method makes it.
    """
    for _ in range(60):
        tables = lender(mechanism, rng)
        gap, low, _high = gap_of(tables["later"], tables["later"]["granted"])
        if mechanism != "none" or (gap > 0.004 and low < -0.003):
            break
    return tables


def lender(mechanism: str, rng: np.random.Generator) -> Tables:
    """Return the tables of one lender, with the decisions of its model on later applications."""
    loans = make_loans(
        rng=rng,
        n=N,
        n_days=1800,
        share_women=float(rng.uniform(0.24, 0.30)),
        mechanism=mechanism,
        label_flip=float(rng.uniform(0.18, 0.28)),
        measure_sd=float(rng.uniform(0.45, 0.65)),
        steepness=8.0,
        late_level=-1.5,
        late_spiral=2.2,
        applications_per_user=2.0,
    )
    asked, users = loans["applications"], loans["users"]
    rows = loan_features(asked, loans["payments"]).drop(columns="applied_ts")
    gender = users["gender"].astype(str).to_numpy()[rows["user_id"]]
    rows.insert(2, "gender", gender)
    typed = rng.random(N) < CLERICAL
    rows["repaid"] = ~asked["defaulted"].to_numpy(bool, na_value=False) ^ typed
    known, early = asked["defaulted"].notna().to_numpy(), np.arange(N) < 0.4 * N
    past, later = (rows[known & part].reset_index(drop=True) for part in (early, ~early))
    later["granted"] = decided(past, past["repaid"], later)
    looked = later["application_id"][rng.random(len(later)) < SAMPLE]
    exact = loans["truth_applications"].set_index("application_id").loc[looked]
    return {
        "past": past,
        "later": later,
        "payments": loans["payments"].drop(columns="user_id"),
        "documents": _read(exact, rng),
    }


def _read(exact: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the measurements as documents have them: with a little error, the same for all."""
    table = exact[MEASURED].astype(float)
    error = rng.normal(size=(len(table), 2))
    table["credit_score"] = (table["credit_score"] + 7.5 * error[:, 0]).clip(300, 850).round()
    table["years_in_job"] = (table["years_in_job"] * np.exp(0.05 * error[:, 1])).round(1)
    return table.reset_index()


def decided(
    past: pd.DataFrame, repaid: pd.Series, rows: pd.DataFrame, weights: pd.Series | None = None
) -> np.ndarray:
    """Return which rows a plain model grants that learned from the past, shape (n,), bool."""
    from mlkit.model import plain_model

    model = plain_model().fit(past[COLUMNS], repaid, logisticregression__sample_weight=weights)
    return model.predict(rows[COLUMNS]).astype(bool)


def by_payments(payments: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Return for each row whether the loan was paid back: no three late payments in a row."""
    table = payments.sort_values(["application_id", "due_ts"], kind="stable")
    late = table["late"].astype(int)
    three = late + late.shift(1, fill_value=0) + late.shift(2, fill_value=0) == 3
    same = table["application_id"] == table["application_id"].shift(2)
    return ~rows["application_id"].isin(table["application_id"][three & same])


def shares(hits: pd.Series | np.ndarray, rows: pd.DataFrame) -> tuple[float, float]:
    """Return the share of hits among men and among women."""
    hit, women = np.asarray(hits, dtype=bool), (rows["gender"] == "F").to_numpy()
    return float(hit[~women].mean()), float(hit[women].mean())


def gap_of(
    rows: pd.DataFrame, granted: pd.Series | np.ndarray, z: float = 1.96
) -> tuple[float, float, float]:
    """Return men's less women's share of decisions that agree with the record, and bounds."""
    men, women = shares(granted == rows["repaid"], rows)
    counts = rows["gender"].value_counts()
    half = z * float(np.sqrt(men * (1 - men) / counts["M"] + women * (1 - women) / counts["F"]))
    return men - women, men - women - half, men - women + half
