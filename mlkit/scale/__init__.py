"""Challenge 3, feature engineering at scale: features from a state, kept up to date by what is new.

Nobody recomputes years of rows every night, so a job keeps a state and merges the new rows into it.
The fault lies in how it merges. `batches` is the log of what was delivered on each night, late,
doubled, corrected and withdrawn rows included; `jobs` names the job that merges them. A healthy
world has neither: its features are computed from all rows at each request. `right` is the share of
values that are what recomputing everything gives.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mlkit.contract import Kind, findings
from mlkit.features import FEATURES, asof_features
from mlkit.model import log_decisions, operate, performance, periods
from mlkit.params import Count, NotNegative, Share, checked
from mlkit.scale.faults import (
    inject_age_stored,
    inject_corrections_ignored,
    inject_deletions_ignored,
    inject_last_by_date,
    inject_late_dropped,
    inject_no_expiry,
    inject_null_weights,
    inject_replay,
    inject_row_twice,
    inject_spread_by_average,
    inject_weighted_average,
)
from mlkit.scale.nightly import ASKED, deliver, differ, reading, recompute, rows_at_stake, serve
from mlkit.scale.trials import Path, run_trials, sample_users
from mlkit.tables import Tables, require, require_tables, require_unique

WORLD = "shop"
HARMLESS = "stationary"  # the preset in which the mean of years is as good as that of a month
HARM = ("right", 0.01)
KINDS = {
    "weighted_average": Kind(
        inject_weighted_average, "yes", False, "a merged mean: no window, no ids, wrong weights"
    ),
    "replay": Kind(inject_replay, "yes", False, "no ids: a retried batch counts twice"),
    "row_twice": Kind(inject_row_twice, "yes", False, "ids of batches, none of rows"),
    "late_dropped": Kind(inject_late_dropped, "yes", False, "reads by date of event, not arrival"),
    "null_weights": Kind(inject_null_weights, "yes", False, "rows without an amount have weight"),
    "corrections_ignored": Kind(
        inject_corrections_ignored, "yes", False, "a correction cannot be un-merged"
    ),
    "deletions_ignored": Kind(
        inject_deletions_ignored, "yes", False, "a withdrawn row cannot be un-merged"
    ),
    "no_expiry": Kind(inject_no_expiry, "yes", True, "a sum does not forget: nothing expires"),
    "spread_by_average": Kind(
        inject_spread_by_average, "yes", True, "spreads are averaged, the means' distance is lost"
    ),
    "last_by_date": Kind(inject_last_by_date, "no", False, "the last of a day, without a tie key"),
    "age_stored": Kind(inject_age_stored, "yes", True, "an age is stored, not the moment"),
}
JOBS: dict[str, Path] = {
    **{name: kind.path for name, kind in KINDS.items()},
    "cells": serve,
    "full": recompute,
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
    kind: KindName = "weighted_average",
    severity: Share = 1.0,
    days: Count = 90,
    late_share: Share = 0.03,
    twice_share: Share = 0.03,
    retry_share: Share = 0.07,
    correct_share: Share = 0.04,
    delete_share: Share = 0.03,
    null_share: Share = 0.05,
) -> Tables:
    """Return the world with a nightly job that serves a share of the last offers wrongly.

    Parameters
    ----------
    world: tables with `transactions`, `offers` and `served`
    rng: draws what is delivered when, and which offers the faulty job serves
    kind: one of `KINDS`
    severity: share of the offers of these nights that the faulty job serves, in [0, 1]; a right one
        serves the others; 0 returns an equal world
    days: nights with a job, up to the last offer
    late_share, twice_share, retry_share, correct_share, delete_share, null_share: see
        `mlkit.scale.nightly.deliver`

    Returns
    -------
    New tables: `batches`, the log of deliveries; `jobs`, one row with the name of the job;
    `served` and `decisions` as they follow. Everything else is the world's own.

    Raises
    ------
    ValueError: unknown kind or an option out of range
    KeyError: a table is missing

    Source: challenge 3, solution two.
    """
    require_tables(world, "transactions", "offers", "served")
    offers = require(world["offers"], "offers", ASKED)
    hit = rng.random(len(offers)) < severity
    if not hit.any():
        return dict(world)
    shares = {"late_share": late_share, "twice_share": twice_share, "retry_share": retry_share}
    shares |= {"correct_share": correct_share, "delete_share": delete_share}
    log = deliver(
        world["transactions"],
        until=offers["prediction_ts"].max().floor("D"),
        rng=rng,
        days=days,
        null_share=null_share,
        **shares,
    )
    live = (offers["prediction_ts"] >= log["delivered_ts"].min()).to_numpy()
    if not (hit & live).any():
        return dict(world)
    wrong = KINDS[kind].path(log, offers[hit & live])
    right = recompute(log, offers[~hit & live]) if (~hit & live).any() else wrong[:0]
    return _served(world, log, pd.concat([wrong, right]), job=kind)


def _served(tables: Tables, log: pd.DataFrame, answers: pd.DataFrame, *, job: str) -> Tables:
    """Return the tables with the answers of a job as served, and the decisions that follow."""
    served = require(tables["served"], "served", {"offer_id": "int"}).copy()
    require_unique(served, "served", ["offer_id"])
    answers = answers.set_index("offer_id")[list(FEATURES)]
    hit = served["offer_id"].isin(answers.index)
    served.loc[hit, list(FEATURES)] = answers.loc[served.loc[hit, "offer_id"]].to_numpy()
    jobs = pd.DataFrame({"job": [job]})
    return log_decisions({**tables, "served": served, "batches": log, "jobs": jobs})


def requests(tables: Tables) -> pd.DataFrame:
    """Return the offers that a nightly job has served; all of them where there is none.

    Raises
    ------
    KeyError, TypeError, ValueError: no table of offers, or none since the first delivery
    """
    offers = require(tables["offers"], "offers", ASKED)
    if "batches" not in tables:
        return offers
    offers = offers[offers["prediction_ts"] >= tables["batches"]["delivered_ts"].min()]
    if offers.empty:
        raise ValueError(
            "offers: there is no offer since the first delivery in batches, expected at least one; "
            "is it the log of another world?"
        )
    return offers


def expected(tables: Tables, asked: pd.DataFrame) -> pd.DataFrame:
    """Return the features that some requests should be served, computed from all rows.

    Where a nightly job serves, as of the midnight before the request; else as of the request.
    """
    if "batches" in tables:
        return recompute(tables["batches"], asked)
    return asof_features(tables["transactions"], asked)


def as_served(tables: Tables, asked: pd.DataFrame) -> pd.DataFrame:
    """Return what some requests were served, in their order; NaN where nothing was.

    Raises
    ------
    KeyError, TypeError: `served` lacks the features, or they are no numbers
    ValueError: an offer was served twice
    """
    columns = {"offer_id": "int", **dict.fromkeys(FEATURES, "float")}
    served = require(tables["served"], "served", columns)
    require_unique(served, "served", ["offer_id"])
    return served.set_index("offer_id")[list(FEATURES)].reindex(asked["offer_id"]).reset_index()


@checked
def naive_detect(reference: Tables, suspect: Tables, *, max_gap: NotNegative = 0.2) -> pd.DataFrame:
    """Return whether the nightly job is green: all offers served, nothing lost, means as usual.

    The usual checks of a job. They say that something came out, and that it looks like numbers.

    Parameters
    ----------
    reference: tables with `served`, from before the suspicion
    suspect: tables with `offers` and `served`
    max_gap: largest difference of a mean that passes, as a share of the reference's mean

    Returns
    -------
    One row "coverage" (share of offers without features), then one row "missing" (share of
    values that are missing beyond the reference's) and one "mean" per feature: check, subject,
    value, limit, failed.

    Raises
    ------
    KeyError, TypeError, ValueError: a table, a feature or rows are missing
    """
    require_tables(reference, "served")
    require_tables(suspect, "offers", "served")
    asked = requests(suspect)
    now, usual = (as_served(tables, asked) for tables in (suspect, reference))
    lonely = 1 - asked["offer_id"].isin(suspect["served"]["offer_id"]).mean()
    coverage = pd.Series({"offers": float(lonely)})
    names = list(FEATURES)
    lost = (now[names].isna().mean() - usual[names].isna().mean()).clip(lower=0)
    means, before = now[names].mean(), usual[names].mean()
    gap = ((means - before) / before).abs().fillna(np.inf).mask(means == before, 0.0)
    parts = [findings("coverage", coverage, 0.0), findings("missing", lost, 0.05)]
    return pd.concat([*parts, findings("mean", gap, max_gap)], ignore_index=True)


@checked
def detect(
    reference: Tables, suspect: Tables, *, users: Count = 200, max_share: Share = 0.0
) -> pd.DataFrame:
    """Return whether some users are served what recomputing gives, and how the job stands trials.

    A job that merges is right when it gives what recomputing gives; a few users are enough to
    see whether it does. The trials need nobody's truth: the last batch is delivered once more, in
    two parts, a night late, with a row that is corrected or withdrawn, and the job should arrive
    at what it arrived at before.

    Parameters
    ----------
    reference: tables with `offers`
    suspect: tables with `served` and, where a nightly job serves, `batches` and `jobs`
    users: how many users are looked at
    max_share: share of values that may differ

    Returns
    -------
    One row "equal" per feature (share of values served that are not the recomputed ones), and
    where a nightly job serves one row "trial" per trial (share of users whose features change)
    and one "late" (share of delivered rows of which the event is more than two days old, one more
    than the nights explain; it fails nobody):
    check, subject, value, limit, failed.

    Raises
    ------
    KeyError, TypeError, ValueError: a table, a column or rows are missing; no such job

    Source: challenge 3, solution two; metamorphic testing: Chen et al., HKUST-CS98-01 (1998).
    """
    require_tables(reference, "offers")
    require_tables(suspect, "transactions", "offers", "served")
    asked = requests({**suspect, "offers": reference["offers"]})
    some = sample_users(asked["user_id"], n=users)
    asked = asked[asked["user_id"].isin(some)]
    wrong = differ(as_served(suspect, asked), expected(suspect, asked)).mean()
    rows = [findings("equal", wrong, max_share)]
    if "batches" in suspect:
        log = suspect["batches"]
        job = JOBS[job_of(suspect)]
        rows.append(findings("trial", run_trials(job, log[log["user_id"].isin(some)]), max_share))
        late = log["delivered_ts"] - log["event_ts"] > pd.Timedelta(days=2)
        share = float(late[log["batch_id"] > 0].mean())
        rows.append(findings("late", pd.Series({"rows": share}), 1.0))
    return pd.concat(rows, ignore_index=True)


def job_of(tables: Tables) -> str:
    """Return the name of the job that serves.

    Raises
    ------
    KeyError: there is no table `jobs`
    ValueError: not one row, or no such job
    """
    require_tables(tables, "jobs")
    names = require(tables["jobs"], "jobs", {"job": "any"})["job"].tolist()
    if len(names) != 1 or names[0] not in JOBS:
        raise ValueError(f"jobs = {names}: expected one of {', '.join(JOBS)}")
    return names[0]


@checked
def repair(suspect: Tables, *, how: Literal["cells", "full"] = "cells") -> Tables:
    """Return the tables as a job serves them that is right, and the decisions that follow.

    cells: the state of `mlkit.scale.state`. full: everything is recomputed every night; as right,
    and it reads all rows. Without a nightly job both compute at the request.

    Raises
    ------
    KeyError: a table is missing
    ValueError: another `how`
    """
    require_tables(suspect, "transactions", "offers", "served")
    if "batches" not in suspect:
        return operate(suspect)
    log = suspect["batches"]
    return _served(suspect, log, JOBS[how](log, requests(suspect)), job=how)


def score(tables: Tables) -> dict[str, float]:
    """Return offline, honest and production accuracy and the AUC, how much is right, and the cost.

    `right` is the share of the values served in production that equal the recomputed ones;
    `fewer_rows` how many times fewer rows the job reads than recomputing all history every night,
    over the last 60 nights (1 where features are computed from all rows).

    Raises
    ------
    KeyError: a table is missing; `truth_offers` is needed for production
    """
    asked = requests(tables)
    asked = asked[(periods(tables["offers"]) == "production").loc[asked.index]]
    wrong = differ(as_served(tables, asked), expected(tables, asked)).to_numpy()
    return {
        **performance(tables),
        "right": float(1 - wrong.mean()),
        "fewer_rows": _fewer_rows(tables),
    }


def _fewer_rows(tables: Tables) -> float:
    """Return history over rows read; a job with a fault reads each delivered row once."""
    if "batches" not in tables or job_of(tables) == "full":
        return 1.0
    if job_of(tables) == "cells":
        read = reading(tables["batches"])
        return read["history"] / max(read["job"], 1.0)
    stake = rows_at_stake(tables["batches"])
    return stake["history"] / max(stake["delivered"], 1.0)
