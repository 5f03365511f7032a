"""Challenge 2, data leakage: training knows what nobody knew at the moment of the decision.

What a leak always costs is the promise of the study; often it also teaches the model to lean on a
column that is weaker when it is served. So the harm is measured as a broken promise: `kept`, what
production gives less what the offline study promised. The eight types are those of Kapoor and
Narayanan (Patterns 4(9) 100804, 2023); four more stand beside them.
"""

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import Kind, findings
from mlkit.features import FEATURES, asof_features
from mlkit.leakage import checks
from mlkit.leakage.faults import (
    DEFINED,
    inject_dimension,
    inject_duplicates,
    inject_encoding,
    inject_feature_selection,
    inject_horizon,
    inject_illegitimate,
    inject_lifetime,
    inject_no_test_set,
    inject_oversampling,
    inject_same_user,
    inject_sampling,
    inject_scaler,
    inject_temporal,
    inject_test_reuse,
    inject_two_clocks,
    loyalty_then,
)
from mlkit.leakage.study import (
    KEYS,
    TASK,
    Study,
    balanced,
    design,
    feature_names,
    part_of,
    plan_of,
    planned,
    production_rows,
    study_of,
    with_truth,
)
from mlkit.params import NotNegative, Share, checked, options
from mlkit.tables import Tables, as_microseconds, require_tables

WORLD = "shop"
REGISTRY = {  # when each feature is known, in days after the offer
    **{name: {"known_after_days": 0} for name in [*FEATURES, *DEFINED]},
    "vouchers": {"known_after_days": 14, "note": "written when the offer is accepted"},
}
SCRAMBLE = 2_654_435_761  # a prime near 2**32 over the golden ratio (Knuth, TAOCP 3, 6.4)
STEADY = ["purchases_30d", "days_since_last_purchase"]  # features that do not count up
HARMLESS = "stationary"  # the preset in which the future of a customer is like the past
HARM = ("kept", 0.02)
KINDS = {
    "lifetime": Kind(inject_lifetime, "yes", False, "L2: a feature holds the future"),
    "no_test_set": Kind(inject_no_test_set, "yes", True, "L1.1: no test set"),
    "scaler": Kind(inject_scaler, "no", False, "L1.2: pre-processing on all rows, a scaler"),
    "encoding": Kind(
        inject_encoding, "yes", False, "L1.2: pre-processing on all rows, an encoding"
    ),
    "oversampling": Kind(inject_oversampling, "yes", True, "L1.2: over-sampling before the split"),
    "feature_selection": Kind(
        inject_feature_selection, "yes", False, "L1.3: feature selection on all rows"
    ),
    "duplicates": Kind(inject_duplicates, "yes", True, "L1.4: duplicates in train and test"),
    "illegitimate": Kind(
        inject_illegitimate, "yes", False, "L2: a feature that only the answer brings about"
    ),
    "temporal": Kind(inject_temporal, "depends", False, "L3.1: a random split in time"),
    "same_user": Kind(inject_same_user, "depends", False, "L3.2: the same user on both sides"),
    "sampling": Kind(inject_sampling, "yes", False, "L3.3: test rows unlike those of production"),
    "test_reuse": Kind(inject_test_reuse, "yes", False, "beside: the best of many on one test set"),
    "two_clocks": Kind(inject_two_clocks, "no", False, "beside: happened, but not yet known"),
    "dimension": Kind(
        inject_dimension, "yes", False, "beside: a dimension joined at today's value"
    ),
    "horizon": Kind(inject_horizon, "depends", False, "beside: no gap before the test rows"),
}
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]


@checked
def inject(
    world: Tables,
    *,
    rng: np.random.Generator,
    kind: KindName = "lifetime",
    severity: Share = 1.0,
    copies: Share = 0.3,
    n_small: Annotated[int, Interval(ge=20, le=10_000)] = 160,
    noise_columns: Annotated[int, Interval(ge=20, le=100_000)] = 3000,
    tries: Annotated[int, Interval(ge=1, le=10_000)] = 200,
    horizon_days: Annotated[int, Interval(ge=7, le=60)] = 28,
) -> Tables:
    """Return the world with an offline study that leaks.

    Parameters
    ----------
    world: tables of a shop in operation
    rng: draws the offers that the fault touches, and what it makes up
    kind: one of `KINDS`
    severity: share of offers that the fault may touch, in [0, 1]; 0 returns an equal world
    copies: `duplicates`: share of the training rows that come in twice
    n_small, noise_columns: `feature_selection`: offers in the pilot, columns of noise
    n_small, tries: `test_reuse`: offers in the pilot, models tried on its test rows
    horizon_days: `horizon`: days over which an answer is counted

    Returns
    -------
    New tables: `training` and `served` with the columns that the fault brings along, and where it
    lies in how the study is done, `study`, `plan` and `columns` (see `mlkit.leakage.study`). The
    decisions that were logged stay those of the healthy model.

    Raises
    ------
    ValueError: unknown kind or an option out of range
    KeyError: a table is missing

    Source: challenge 2; Kapoor & Narayanan, Patterns 4(9) 100804 (2023).
    """
    require_tables(world, "transactions", "offers", "training", "served", "users")
    offers = world["offers"][TASK.key]
    hit = offers[rng.random(len(offers)) < severity]
    if hit.empty:
        return dict(world)
    fault = KINDS[kind].path
    sizes = {"copies": copies, "n_small": n_small, "noise_columns": noise_columns, "tries": tries}
    sizes["horizon_days"] = horizon_days
    draws = {"rng": rng} if "rng" in inspect.signature(fault).parameters else {}
    return fault(world, hit, **draws, **{name: sizes[name] for name in options(fault)})


@checked
def naive_detect(reference: Tables, suspect: Tables, *, max_gap: Share = 0.04) -> pd.DataFrame:
    """Return whether the offline score holds under a split in time.

    The usual check: temporal validation. The study is done again twice, with train and test rows
    dealt at random and dealt by time. A score, reported or at random, that lies more than `max_gap`
    above the one in time fails. A column that holds the future holds it under any split.

    Parameters
    ----------
    reference: not looked at; every check is asked the same way
    suspect: tables of a study
    max_gap: largest fall of the score that passes

    Returns
    -------
    One row: check ("temporal split"), subject ("study"), value (the fall), limit, failed.

    Raises
    ------
    KeyError, ValueError: see `Study`

    Source: challenge 2, solution 3.
    """
    study = study_of(suspect)
    deals = (study, dealt_at_random(study), dealt_by_time(study, suspect["offers"], gap=False))
    reported, random, in_time = (offline({**suspect, "study": deal}) for deal in deals)
    return findings(
        "temporal split", pd.Series({"study": max(reported, random) - in_time}), max_gap
    )


def offline(tables: Tables) -> float:
    """Return the score of a study on its own test rows, in [0, 1]."""
    study = Study(tables)
    return study.score(study.test)


@checked
def detect(
    reference: Tables,
    suspect: Tables,
    *,
    rtol: NotNegative = 0.01,
    max_share: Share = 0.01,
    max_luck: Share = 0.05,
) -> pd.DataFrame:
    """Return every check of the features, the rows and the plan of a study.

    Parameters
    ----------
    reference: not looked at: a study is held to what production was asked, not to another study
    suspect: tables with `offers`, `training`, `served` and, where they differ from the healthy
        ones, `study` and `plan`
    rtol: largest relative difference between a feature and its recomputation as of the request
    max_share: share of rows that may break a rule
    max_luck: largest gain to be expected from having tried many models on the same test rows

    Returns
    -------
    check, subject, value, limit, failed: "as of" for each feature (share of the study's rows whose
    value is another than at the request), "availability" for each (days until it is known),
    "repeated rows", "shared entities" (where production will meet new users only), "time order"
    and "label horizon" (shares of train rows), "sampling" (test rows against production),
    "pre-processing" (share of test rows that it saw) and "test reuse" (expected luck).

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing, or not as expected

    Source: challenge 2, how to prevent; Kapoor & Narayanan's eight types.
    """
    rows = design(suspect)
    train, test = part_of(rows, "train"), part_of(rows, "test")
    production = rows[rows["part"] == "production"]
    tables = [asof_parity(suspect, rtol=rtol, max_share=max_share)]
    tables += [checks.availability(feature_names(suspect), REGISTRY, decision="the offer")]
    tables += [checks.repeated_rows(train, test, columns=[*KEYS[1:], TASK.label])]
    if not production["user_id"].isin(train["user_id"]).any():
        tables += [checks.shared_entities(train, test, entity="user_id")]
    tables += [checks.time_order(train, test, time=TASK.time, known="label_known_ts")]
    steady = [name for name in STEADY if name in suspect["served"]]
    served = suspect["served"].set_index(TASK.key)[steady]
    judged, asked = (served.loc[part[TASK.key]] for part in (test, production))
    tables += [checks.sampling(judged, asked, columns=steady)] if steady else []
    tables += [_of_the_plan(suspect, test, max_share=max_share, max_luck=max_luck)]
    columns = ["check", "subject", "value", "limit", "failed"]
    return pd.concat([table[columns] for table in tables], ignore_index=True)


def asof_parity(tables: Tables, *, rtol: float = 0.01, max_share: float = 0.01) -> pd.DataFrame:
    """Return for each feature the share of the study's rows whose value was not so at the request.

    The strongest check there is: every value of the training table against the same value
    recomputed as of its request (or logged when it was served).
    """
    asked = study_of(tables).loc[lambda s: s["part"] != "production", TASK.key]
    mine, theirs = (
        tables[path].set_index(TASK.key).loc[asked, feature_names(tables)]
        for path in ("training", "served")
    )
    differ = ~np.isclose(mine, theirs, rtol=rtol, atol=1e-9, equal_nan=True)
    return findings("as of", pd.Series(differ.mean(axis=0), index=mine.columns), max_share)


def _of_the_plan(
    tables: Tables, test: pd.DataFrame, *, max_share: float, max_luck: float
) -> pd.DataFrame:
    plan = plan_of(tables)
    saw = float(test["seen"].mean()) if plan["step"] != "none" else 0.0
    luck = np.sqrt(0.25 / len(test)) * largest_of(int(plan["tries"]))
    return pd.concat(
        [
            findings("pre-processing", pd.Series({plan["step"]: saw}), max_share),
            findings("test reuse", pd.Series({f"{plan['tries']} models": luck}), max_luck),
        ]
    )


def largest_of(tries: int) -> float:
    """Return the expected largest of so many standard normal draws, 0 for one (Blom, 1958)."""
    from scipy.stats import norm

    return float(norm.ppf((tries - 0.375) / (tries + 0.25))) if tries > 1 else 0.0


@checked
def repair(suspect: Tables, *, how: Literal["as_of", "served"] = "as_of") -> Tables:
    """Return the tables with an honest study of the same question.

    Features are those of the request, recomputed (`as_of`) or as logged when they were served;
    those that the registry does not know in time are dropped. Train and test rows are dealt anew:
    by time with a gap of the label delay, or by user where production asks new users only, each
    row once. Pre-processing is fitted to the training rows, and one model is judged on the test
    rows.

    Raises
    ------
    KeyError: a table is missing
    ValueError: another `how`

    Source: challenge 2, solutions one to three; gap: Lopez de Prado, Advances in Financial
    Machine Learning (2018), chapter 7.
    """
    require_tables(suspect, "transactions", "offers", "training", "served")
    late = checks.availability(feature_names(suspect), REGISTRY).query("failed")["subject"]
    served = suspect["served"].drop(columns=late)
    training = as_of_request(suspect, served) if how == "as_of" else served
    tables = {**suspect, "training": training, "served": served}
    if "study" not in suspect:
        return tables
    step = plan_of(suspect)["step"]
    step = {"encode": "encode_folds"}.get(step, step)
    return planned(tables, honest_study(suspect), tries="1", step=step)


def as_of_request(tables: Tables, served: pd.DataFrame) -> pd.DataFrame:
    """Return the features of `served`, each recomputed as of the request.

    What has a definition is computed from the purchases known by then; a dimension is joined at
    its value of that moment; what never changes stays as it is.
    """
    names = [name for name in served if name not in KEYS]
    text = {name: {**FEATURES, **DEFINED}[name] for name in names}
    sql = {name: definition for name, definition in text.items() if definition}
    known = asof_features(tables["transactions"], tables["offers"], definitions=sql or FEATURES)
    if "loyalty" in names:
        known = known.assign(loyalty=loyalty_then(tables["offers"], tables["loyalty"]))
    return served.assign(**{name: known[name] for name in names if name in known})


def honest_study(tables: Tables) -> pd.DataFrame:
    """Return the rows of a study dealt anew: each once, by time with a gap or by user."""
    given, plan = study_of(tables), plan_of(tables)
    offers = tables["offers"].set_index(TASK.key)
    rows = given.drop_duplicates(TASK.key).reset_index(drop=True)
    user = offers["user_id"].loc[rows[TASK.key]].to_numpy()
    asked = rows["part"] == "production"
    if plan["rows"] == "given":
        rows = dealt_by_time(rows, tables["offers"])
    else:
        newcomers_only = not np.isin(user[asked], user[~asked]).any()
        rows = study_of({"offers": tables["offers"]})
        if newcomers_only:
            rows = by_user(rows, offers["user_id"].loc[rows[TASK.key]].to_numpy(), user[asked])
    rows = rows.assign(seen=rows["part"] == "train")
    if plan["balance"] == "no":
        return rows
    train = rows["part"] == "train"
    return pd.concat([balanced(rows[train], tables), rows[~train]], ignore_index=True)


def by_user(rows: pd.DataFrame, user: np.ndarray, new: np.ndarray) -> pd.DataFrame:
    """Return the rows of a launch: no user is in two of train, test and production."""
    old, held_out = ~np.isin(user, new), user % 6 == 0
    keep = {"train": old & ~held_out, "test": old & held_out, "production": ~old}
    return rows[np.select([rows["part"] == part for part in keep], list(keep.values()), False)]


def dealt_by_time(study: pd.DataFrame, offers: pd.DataFrame, *, gap: bool = True) -> pd.DataFrame:
    """Return the study with as many train rows as before, and these the oldest.

    With a gap, train rows whose answers were not known before the first test row are left out.
    """
    when = offers.set_index(TASK.key).loc[study[TASK.key]]
    at, known = (as_microseconds(when[name]) for name in (TASK.time, "label_known_ts"))
    dealt = _dealt(study, at)
    cut = at[(dealt["part"] == "test").to_numpy()].min(initial=np.iinfo("int64").max)
    late = (dealt["part"] == "train").to_numpy() & (known >= cut) & gap
    return dealt[~late].reset_index(drop=True)


def dealt_at_random(study: pd.DataFrame) -> pd.DataFrame:
    """Return the study with as many train rows as before, dealt by a scramble of row numbers."""
    return _dealt(study, np.arange(len(study)) * SCRAMBLE % 2**32)


def _dealt(study: pd.DataFrame, order: np.ndarray) -> pd.DataFrame:
    """Return the study with its first rows in an order as train and the others as test.

    Test rows whose answers pre-processing saw stay seen.
    """
    ready = np.flatnonzero(study["part"] != "production")
    first = ready[np.argsort(order[ready], kind="stable")][: (study["part"] == "train").sum()]
    part = study["part"].mask(study["part"] != "production", "test").to_numpy(object)
    part[first] = "train"
    saw = (part == "train") | (study["seen"] & (study["part"] == "test"))
    return study.assign(part=part, seen=saw)


def fit(tables: Tables) -> Any:
    """Return the model of a study, fitted as its plan says.

    Raises
    ------
    KeyError, ValueError: see `Study`
    """
    return Study(tables).model


def score(tables: Tables) -> dict[str, float]:
    """Return what the study promised, what production gave, and how much of the promise it kept.

    Returns
    -------
    offline: the study's own score on its test rows. honest: the same model on the requests of
    production whose answers are known by now (a shadow run). production: on all of them, by the
    truth. Accuracy, or AUC where the plan says so. kept: production less offline, 0 for an honest
    study and below it for a leak.

    Raises
    ------
    KeyError: a table is missing; `truth_offers` is needed for production
    ValueError: no rows to learn from or to be judged on
    """
    require_tables(tables, "truth_offers")
    study, asked = Study(tables), production_rows(tables)
    offline = study.score(study.test)
    production = study.score(with_truth(asked, tables["truth_offers"]))
    honest = study.score(asked[asked[TASK.label].notna()])
    return {
        "offline": offline,
        "honest": honest,
        "production": production,
        "kept": production - offline,
    }
