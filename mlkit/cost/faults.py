"""The faults of challenge 8: plans that waste, and four that save by computing something else.

A waste leaves the features as they are and the bill higher than it need be. A cheat makes the bill
fall and the features wrong. Both are ways of doing the jobs, so `inject` writes a `jobs` table;
for a cheat it also puts what that plan computes where the right features were.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import Kind
from mlkit.cost.jobs import JOBS, Changes, merged, plan
from mlkit.cost.ledger import features_of
from mlkit.features import FEATURES
from mlkit.model import log_decisions
from mlkit.params import Share, checked, options
from mlkit.tables import Tables, require_tables

STEPS: dict[str, Changes] = {  # from the plan as it grew to the lean one
    "Parquet for CSV": {"land": {"format": "parquet"}, "keep": {"format": "parquet"}},
    "only needed columns": {"build": {"columns": "needed"}},
    "only new rows": {"land": {"partition": "month"}, "build": {"incremental": "yes"}},
    "features cached": {"train": {"cached": "yes"}},
    "old copies colder": {"keep": {"tier": "cold"}},
    "each feature kept once": {"keep": {"incremental": "yes", "tier": "hot"}},
    "new scores sent only": {"score": {"incremental": "yes"}},
    "off when idle": {job: {"machine": "on_demand"} for job in JOBS},
    "spot, checkpoints": {job: {"machine": "spot", "checkpoint_minutes": 15} for job in JOBS},
}


def inject_csv() -> Changes:
    """Return a plan that keeps everything as CSV."""
    return {"land": {"format": "csv"}, "keep": {"format": "csv"}}


def inject_full_scan() -> Changes:
    """Return a plan that computes all features of all time again each day."""
    return {"build": {"incremental": "no"}}


def inject_all_columns() -> Changes:
    """Return a plan that reads all columns."""
    return {"build": {"columns": "all"}}


def inject_no_cache() -> Changes:
    """Return a plan in which each experiment computes the features for itself."""
    return {"train": {"cached": "no"}}


def inject_always_on() -> Changes:
    """Return a plan whose clusters run day and night."""
    return {job: {"machine": "always_on"} for job in JOBS}


def inject_on_demand() -> Changes:
    """Return a plan that pays the full price of an hour."""
    return {job: {"machine": "on_demand"} for job in JOBS}


def inject_spot_without_checkpoints() -> Changes:
    """Return a plan on spot machines that begins again when one is taken away."""
    return {job: {"checkpoint_minutes": 0} for job in JOBS}


def inject_small_files() -> Changes:
    """Return a plan that adds a small file each day and never puts them together."""
    return {"land": {"partition": "day"}, "keep": {"partition": "day"}}


def inject_hot_forever() -> Changes:
    """Return a plan that keeps a whole copy of the features of each day, hot and for ever."""
    return {"keep": {"incremental": "no"}}


def inject_cold_but_read() -> Changes:
    """Return a plan that moves old rows to a cold tier, from which every experiment reads."""
    return {"land": {"tier": "cold"}, "train": {"cached": "no"}}


def inject_send_all() -> Changes:
    """Return a plan that sends all scores of all time out each day."""
    return {"score": {"incremental": "no"}}


def inject_as_it_grew() -> Changes:
    """Return the plan that nobody made: CSV, everything read and kept, machines always on."""
    parts = [inject_csv(), inject_full_scan(), inject_all_columns(), inject_no_cache()]
    parts += [inject_hot_forever(), inject_send_all(), inject_always_on()]
    parts += [inject_spot_without_checkpoints(), {"land": {"partition": "none"}}]
    return merged(*parts)


def inject_dropped_columns() -> Changes:
    """Return a plan that keeps four columns only: not what was bought, nor when it arrived."""
    return {"land": {"columns": "few"}}


def inject_skipped_late_rows() -> Changes:
    """Return a plan that takes the rows of the day (`date > last`): what comes later is lost."""
    return {"land": {"late_rows": "skipped"}}


def inject_sampling(*, sample: float) -> Changes:
    """Return a plan that keeps a share of the rows and computes the features from them."""
    return {"land": {"sample": sample}}


def inject_stale_cache(*, refresh_hours: int) -> Changes:
    """Return a plan that answers from features computed some hours or days ago."""
    return {"build": {"refresh_hours": refresh_hours}}


KINDS = {
    "as_it_grew": Kind(inject_as_it_grew, "yes", False, "waste: nobody ever looked at the bill"),
    "csv": Kind(inject_csv, "yes", False, "waste: rows as text"),
    "full_scan": Kind(inject_full_scan, "depends", False, "waste: everything computed again"),
    "all_columns": Kind(inject_all_columns, "no", False, "waste: columns that nobody needs"),
    "no_cache": Kind(inject_no_cache, "yes", False, "waste: each experiment starts from raw rows"),
    "always_on": Kind(inject_always_on, "yes", False, "waste: machines that wait"),
    "on_demand": Kind(inject_on_demand, "yes", False, "waste: the full price of an hour"),
    "spot_without_checkpoints": Kind(
        inject_spot_without_checkpoints, "no", False, "waste: work done twice"
    ),
    "small_files": Kind(inject_small_files, "yes", False, "waste: a request for every day"),
    "hot_forever": Kind(inject_hot_forever, "yes", False, "waste: a whole copy for every day"),
    "cold_but_read": Kind(inject_cold_but_read, "yes", False, "waste: cheap to keep, dear to read"),
    "send_all": Kind(inject_send_all, "yes", False, "waste: what was sent is sent again"),
    "dropped_columns": Kind(inject_dropped_columns, "yes", False, "cheat: columns not kept"),
    "skipped_late_rows": Kind(inject_skipped_late_rows, "yes", False, "cheat: late rows not read"),
    "sampling": Kind(inject_sampling, "yes", False, "cheat: a share of the rows"),
    "stale_cache": Kind(inject_stale_cache, "yes", False, "cheat: features of last week"),
}
CHEATS = ("dropped_columns", "skipped_late_rows", "sampling", "stale_cache")
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]


@checked
def inject(
    world: Tables,
    *,
    rng: np.random.Generator,
    kind: KindName = "as_it_grew",
    severity: Share = 1.0,
    sample: Annotated[float, Interval(gt=0, le=1)] = 0.5,
    refresh_hours: Annotated[int, Interval(ge=1, le=720)] = 168,
) -> Tables:
    """Return the world with a `jobs` table that wastes or cheats.

    Parameters
    ----------
    world: tables of a shop in operation
    rng: draws which customers a cheat touches where severity is below one
    kind: one of `KINDS`
    severity: share of the company's shops that do it this way (and, for a cheat, of the customers
        of this shop), in [0, 1]; 0 returns an equal world
    sample: `sampling`: share of the rows that is kept
    refresh_hours: `stale_cache`: hours between two refreshes of the features

    Returns
    -------
    New tables: `jobs`; for a cheat also `training`, `served` and `decisions` as it leaves them.

    Raises
    ------
    ValueError: unknown kind or an option out of range
    KeyError: a table is missing

    Source: challenge 8, common cost drivers and optimisation strategies.
    """
    require_tables(world, "transactions", "offers", "served")
    if severity == 0:
        return dict(world)
    path, sizes = KINDS[kind].path, {"sample": sample, "refresh_hours": refresh_hours}
    changes = path(**{name: sizes[name] for name in options(path)})
    jobs = plan(changes).assign(share=float(severity))
    broken = {**world, "jobs": jobs}
    return cheated(broken, jobs, rng=rng, severity=severity) if kind in CHEATS else broken


def cheated(
    world: Tables, jobs: pd.DataFrame, *, rng: np.random.Generator, severity: float
) -> Tables:
    """Return the world whose features, of a share of the customers, are those of the plan."""
    served, wrong = world["served"], features_of(world, jobs)
    users = np.sort(served["user_id"].unique())
    hit = served["user_id"].isin(users[rng.random(len(users)) < severity]).to_numpy()
    mixed = served.copy()
    mixed.loc[hit, list(FEATURES)] = wrong.loc[hit, list(FEATURES)].to_numpy()
    return log_decisions({**world, "training": mixed, "served": mixed})
