"""The faults of challenge 4: changes of the past in one load, and runs that cannot be told again.

A load changes rows that a model was trained on already, under the same name, and the model is
trained again. The four causes leave the data alone: two runs of one code on one version give two
models.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mlkit.contract import Kind
from mlkit.features import FEATURES
from mlkit.model import fit, log_decisions
from mlkit.params import Days, Share, checked, options
from mlkit.tables import Tables, require_tables
from mlkit.versioning import runs as recipes
from mlkit.versioning.versions import data_hash, model_hash, offline, past, with_past

FOLDER = "train_20250901"  # the name of the data, before and after the load
CAUSE = {"unseeded": "seed", "unsorted": "order", "threads": "threads", "wall_clock": "clock"}


def inject_blanked(
    rows: pd.DataFrame, luck: pd.DataFrame, *, column: str, blank_share: float
) -> pd.DataFrame:
    """Return rows of which a backfill has blanked a share of one column."""
    return rows.assign(**{column: rows[column].mask(luck["value"] < blank_share)})


def inject_relabelled(rows: pd.DataFrame, luck: pd.DataFrame, *, idle_days: int) -> pd.DataFrame:
    """Return rows in which a yes of a customer who has long not bought counts as no."""
    idle = ~(rows["days_since_last_purchase"] < idle_days)
    return rows.assign(accepted=rows["accepted"] & ~(idle & (luck["answer"] < 1)))


def inject_fix_and_relabel(
    rows: pd.DataFrame, luck: pd.DataFrame, *, column: str, blank_share: float, idle_days: int
) -> pd.DataFrame:
    """Return rows with both changes of one load."""
    relabelled = inject_relabelled(rows, luck, idle_days=idle_days)
    return inject_blanked(relabelled, luck, column=column, blank_share=blank_share)


KINDS = {
    "fix_and_relabel": Kind(
        inject_fix_and_relabel, "yes", False, "two changes of the past in one load"
    ),
    "relabelled": Kind(inject_relabelled, "yes", False, "answers of the past are decided anew"),
    "blanked": Kind(inject_blanked, "depends", False, "a backfill leaves holes in a column"),
    "unseeded": Kind(recipes.inject_unseeded, "no", False, "two runs draw other numbers"),
    "unsorted": Kind(recipes.inject_unsorted, "no", False, "two runs read in another order"),
    "threads": Kind(recipes.inject_workers, "no", False, "two runs add up in another order"),
    "wall_clock": Kind(recipes.inject_wall_clock, "depends", False, "two runs ask what day it is"),
}
if TYPE_CHECKING:
    KindName = str
    Column = str
else:
    KindName = Literal[tuple(KINDS)]
    Column = Literal[tuple(FEATURES)]


@checked
def inject(
    world: Tables,
    *,
    rng: np.random.Generator,
    kind: KindName = "fix_and_relabel",
    severity: Share = 1.0,
    column: Column = "amount_variance",
    blank_share: Share = 0.5,
    idle_days: Days = 14,
) -> Tables:
    """Return the world after a load that changed its past, or with two runs that differ.

    Parameters
    ----------
    world: tables of a shop in operation
    rng: draws which rows are touched; for the four causes, what a run leaves to the machine
    kind: one of `KINDS`
    severity: share of rows that the load may touch, in [0, 1]; 0 returns an equal world. A cause is
        there or not
    column, blank_share: `blanked`: which feature, and the share of its past values that go
    idle_days: `relabelled`: days without a purchase from which a yes is disputed

    Returns
    -------
    New tables. A load: `training` and `offers` before go-live, `decisions` of the model trained
    again, `versions` (both versions of the data, see `mlkit.versioning.versions.past`) and `runs`.
    A cause: `runs` alone, with a hash for each step; what production does is left as it was.

    Raises
    ------
    ValueError: unknown kind or an option out of range
    KeyError: a table is missing

    Source: challenge 4, what it is and why it matters.
    """
    require_tables(world, "training", "offers", "served", "decisions")
    if severity == 0:
        return dict(world)
    if kind in CAUSE:
        pair = recipes.pair(world, CAUSE[kind], rng=rng)
        return {**world, "runs": run_twice(world, pair)}
    path, before = KINDS[kind].path, past(world)
    sizes = {"column": column, "blank_share": blank_share, "idle_days": idle_days}
    luck = pd.DataFrame(rng.random((len(before), 2)) / severity, columns=["value", "answer"])
    after = path(before, luck, **{name: sizes[name] for name in options(path)})
    loaded = with_past(world, after)
    both = [before.assign(version="first"), after.assign(version="second")]
    runs = pd.DataFrame([one_run("first", world), one_run("second", loaded)])
    versions = pd.concat(both, ignore_index=True)
    return log_decisions({**loaded, "versions": versions, "runs": runs})


def one_run(name: str, tables: Tables, *, folder: str = FOLDER) -> dict[str, object]:
    """Return what a run on these tables writes down: one row of `runs`."""
    rows = past(tables)
    return {
        "run": name,
        "folder": folder,
        "rows_read": len(rows),
        "offline": offline(tables),
        "data": data_hash(rows),
        "model": model_hash(fit(tables)),
    }


def run_twice(world: Tables, pair: tuple[recipes.Run, recipes.Run]) -> pd.DataFrame:
    """Return the `runs` of two runs on one version of the data, with a hash for each step."""
    rows = past(world)
    about = {"folder": FOLDER, "rows_read": len(rows), "data": data_hash(rows)}
    made = [
        {
            "run": name,
            **about,
            "offline": run.accuracy,
            "unlike": recipes.flips(pair[0], run),
            **recipes.hashes(run),
        }
        for name, run in zip(("first", "second"), pair, strict=True)
    ]
    return pd.DataFrame(made)
