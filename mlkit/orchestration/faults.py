"""The faults of challenge 7: daily loads whose tasks die and are tried again, and what is left.

A logical date is the day on which a row arrived. What arrived is closed at midnight and never
changes (`landing`), so a date can be loaded again at any time with the same input. Each fault says
how often each of these rows is in the warehouse afterwards.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import Kind
from mlkit.features import FEATURES, asof_features
from mlkit.model import log_decisions
from mlkit.orchestration.crashes import keyless
from mlkit.orchestration.designs import POINTS
from mlkit.params import Count, Positive, Share, checked, options
from mlkit.tables import Tables, require, require_complete, require_tables

DIES_AT = [point for point in POINTS if point not in ("old rows gone", "in the swap")]
DIES_IN_PLACE = [point for point in POINTS if point != "in the swap"]
ROWS = {"user_id": "int", "ingest_ts": "time", "amount_usd": "float"}
DAY, START = pd.Timedelta(days=1), pd.Timedelta(hours=1)  # the nightly run begins at one
Retries = Annotated[int, Interval(ge=0, le=20)]


def dates_of(landing: pd.DataFrame) -> pd.Series:
    """Return the logical date of each row: the day on which it arrived."""
    return landing["ingest_ts"].dt.floor("D").rename("logical_date")


def deaths(
    dates: pd.Index,
    *,
    rng: np.random.Generator,
    p_crash: float,
    retries: int,
    points: list[str] = DIES_AT,
    lost: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return one row per attempt: logical_date, attempt, died_at ("" where it did not).

    A run that dies is tried again, `retries` times at most. The last attempt succeeds, except on
    dates that are lost: there each of them dies before it has read anything.
    """
    dead = np.minimum(rng.geometric(1 - p_crash, len(dates)) - 1, retries)
    if lost is not None:
        dead, points = np.where(lost, retries + 1, dead), ["before read"]
    tries = np.minimum(dead, retries) + 1
    rows = pd.DataFrame({"logical_date": np.repeat(dates, tries)})
    rows["attempt"] = rows.groupby("logical_date").cumcount() + 1
    fell = rows["attempt"].to_numpy() <= np.repeat(dead, tries)
    rows["died_at"] = np.where(fell, np.array(points)[rng.integers(0, len(points), len(rows))], "")
    return rows


def inject_append(
    landing: pd.DataFrame, *, rng: np.random.Generator, p_crash: float, retries: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return loads that add rows: what a dead attempt had written stays, and is written again."""
    attempts = deaths(_dates(landing), rng=rng, p_crash=p_crash, retries=retries)
    died = pd.crosstab(attempts["logical_date"], attempts["died_at"])
    whole, half = (
        dates_of(landing).map(died.reindex(columns=points, fill_value=0).sum(axis=1)).to_numpy()
        for points in (["all written", "committed"], ["half written"])
    )
    return 1 + whole + half * _first_half(landing), attempts


def inject_drop_duplicates(
    landing: pd.DataFrame, *, rng: np.random.Generator, p_crash: float, retries: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return loads that drop what is alike in user, day and price: honest repeats go with them."""
    attempts = deaths(_dates(landing), rng=rng, p_crash=p_crash, retries=retries)
    return (~keyless(landing).duplicated()).to_numpy("int64"), attempts


def inject_skipped_date(
    landing: pd.DataFrame, *, rng: np.random.Generator, p_crash: float, retries: int, p_lost: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return loads of which some dates are lost after all retries, and downstream ran anyway."""
    dates = _dates(landing)
    lost = rng.random(len(dates)) < p_lost
    attempts = deaths(dates, rng=rng, p_crash=p_crash, retries=retries, lost=lost)
    return (~dates_of(landing).isin(dates[lost])).to_numpy("int64"), attempts


def inject_now_in_backfill(
    landing: pd.DataFrame, *, rng: np.random.Generator, every_days: int, outage_days: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return a backfill that asks for the rows of now(): each missing date gets those of one day.

    From time to time the pipeline rests for some days; on the day after, these dates are loaded.
    """
    dates = _dates(landing)
    attempts = deaths(dates, rng=rng, p_crash=0.0, retries=0)
    times = pd.Series(1, index=dates)
    for first in range(int(rng.integers(0, every_days)), len(dates) - outage_days, every_days):
        times.iloc[first : first + outage_days] = 0
        times.iloc[first + outage_days] = 1 + outage_days
    return dates_of(landing).map(times).to_numpy("int64"), attempts


def inject_race(
    landing: pd.DataFrame, *, rng: np.random.Generator, p_race: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return dates that a backfill and the daily run wrote in place at the same time.

    The second empties the partition while the first is halfway, and both write to their end.
    """
    dates = _dates(landing)
    attempts = deaths(dates, rng=rng, p_crash=0.0, retries=0)
    raced = dates_of(landing).isin(dates[rng.random(len(dates)) < p_race]).to_numpy()
    return 1 + (raced & ~_first_half(landing)), attempts


def inject_overwrite_in_place(
    landing: pd.DataFrame, *, rng: np.random.Generator, p_crash: float, retries: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return nightly rewrites of the last dates, in place: right in the end, not in between."""
    found = deaths(_dates(landing), rng=rng, p_crash=p_crash, retries=retries, points=DIES_IN_PLACE)
    return np.ones(len(landing), "int64"), found


def inject_write_audit_publish(
    landing: pd.DataFrame, *, rng: np.random.Generator, p_crash: float, retries: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return loads that die as often as any, and publish a date whole or not at all."""
    attempts = deaths(_dates(landing), rng=rng, p_crash=p_crash, retries=retries)
    return np.ones(len(landing), "int64"), attempts


def _dates(landing: pd.DataFrame) -> pd.Index:
    return pd.Index(np.sort(dates_of(landing).unique()), name="logical_date")


def _first_half(landing: pd.DataFrame) -> np.ndarray:
    """Return which rows are in the first half of their date."""
    by_date = dates_of(landing).groupby(dates_of(landing))
    return (by_date.cumcount() < by_date.transform("size") // 2).to_numpy()


KINDS = {
    "append": Kind(inject_append, "yes", False, "a retry adds the rows again"),
    "drop_duplicates": Kind(
        inject_drop_duplicates, "yes", False, "honest repeats look like copies"
    ),
    "overwrite_in_place": Kind(
        inject_overwrite_in_place, "depends", False, "readers see a partition half written"
    ),
    "skipped_date": Kind(inject_skipped_date, "yes", False, "lost, and downstream ran anyway"),
    "now_in_backfill": Kind(inject_now_in_backfill, "yes", False, "now() for the logical date"),
    "race": Kind(inject_race, "yes", False, "two writers of one date"),
    "write_audit_publish": Kind(
        inject_write_audit_publish, "no", False, "tasks die, and nothing happens"
    ),
}
DESIGN_OF = {
    "append": "append",
    "drop_duplicates": "drop_duplicates",
    "overwrite_in_place": "overwrite in place",
    "skipped_date": "overwrite partition",
    "now_in_backfill": "overwrite partition",
    "race": "overwrite in place",
    "write_audit_publish": "write-audit-publish",
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
    kind: KindName = "append",
    severity: Share = 1.0,
    p_crash: Annotated[float, Interval(ge=0, le=0.9)] = 0.1,
    retries: Retries = 3,
    p_lost: Share = 0.03,
    p_race: Share = 0.1,
    every_days: Count = 60,
    outage_days: Annotated[int, Interval(ge=1, le=365)] = 3,
    down_hours: Positive = 8.0,
    window_days: Count = 30,
) -> Tables:
    """Return the world as daily loads leave it whose tasks die and are tried again.

    Parameters
    ----------
    world: tables of a shop in operation
    kind: one of `KINDS`
    severity: share of the logical dates that are loaded this way, the others by a design that
        swaps them in whole; 0 returns an equal world
    p_crash: probability that an attempt dies
    retries: attempts after the first; the last one succeeds
    p_lost: `skipped_date`: probability that a date is lost after all retries
    p_race: `race`: probability that two writers meet on a date
    every_days, outage_days: `now_in_backfill`: days between two outages, and how long one is
    down_hours: `overwrite_in_place`: hours from a death to the next attempt
    window_days: `overwrite_in_place`: last dates that each nightly run rewrites

    Returns
    -------
    New tables: `landing`, what arrived and never changes; `attempts`, one row per attempt with
    logical_date, attempt, died_at, state (success, failed, or skipped: downstream ran all the
    same) and design; `transactions`, `training`, `served` and `decisions` as the loads leave them.

    Raises
    ------
    ValueError: unknown kind, an option out of range, no rows or a row without a time of arrival
    KeyError, TypeError: a table or a column is missing or not as expected

    Source: challenge 7, retries and idempotency.
    """
    require_tables(world, "transactions", "offers", "served")
    require(world["transactions"], "transactions", ROWS)
    require_complete(world["transactions"], "transactions", ["ingest_ts"])
    if severity == 0:
        return dict(world)
    given = {"p_crash": p_crash, "retries": retries, "p_lost": p_lost, "p_race": p_race}
    given |= {"every_days": every_days, "outage_days": outage_days}
    path, landing = KINDS[kind].path, world["transactions"]
    times, attempts = path(landing, rng=rng, **{name: given[name] for name in options(path)})
    dates = _dates(landing)
    spared = dates[rng.random(len(dates)) >= severity]
    times = np.where(dates_of(landing).isin(spared), 1, times)
    attempts = attempts[~attempts["logical_date"].isin(spared) | (attempts["attempt"] == 1)]
    attempts = attempts.assign(
        died_at=attempts["died_at"].mask(attempts["logical_date"].isin(spared), "")
    )
    runs = as_run(attempts, kind)
    whole = runs["design"].mask(runs["logical_date"].isin(spared), DESIGN_OF["write_audit_publish"])
    held = {**world, "landing": landing, "attempts": runs.assign(design=whole)}
    if kind == "overwrite_in_place":
        seen = in_between(world, attempts, down_hours=down_hours, window_days=window_days)
        return log_decisions({**held, "served": seen})
    if (times == 1).all():
        return held
    rows = landing.iloc[np.repeat(np.arange(len(landing)), times)].reset_index(drop=True)
    features = asof_features(rows, world["offers"])
    return log_decisions({**held, "transactions": rows, "training": features, "served": features})


def as_run(attempts: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the attempts with their state and the design that their task used."""
    last = ~attempts.duplicated("logical_date", keep="last")
    state = np.select([attempts["died_at"] == "", last], ["success", "skipped"], "failed")
    return attempts.assign(state=state, design=DESIGN_OF[kind]).reset_index(drop=True)


def in_between(
    world: Tables, attempts: pd.DataFrame, *, down_hours: float, window_days: int
) -> pd.DataFrame:
    """Return the features as served while the last dates are rewritten in place.

    From the death of an attempt until the next one, readers see none of the rewritten dates
    (`old rows gone`) or the older half of them (`half written`).
    """
    offers, served = world["offers"], world["served"].copy()
    night = (offers["prediction_ts"] - START).dt.floor("D")
    passed = offers["prediction_ts"] - START - night
    which = pd.DataFrame({"logical_date": night - DAY})
    which["attempt"] = (passed // pd.Timedelta(hours=down_hours) + 1).astype("int64")
    died = which.merge(attempts, how="left", on=["logical_date", "attempt"])["died_at"]
    hidden = died.map({"old rows gone": 1.0, "half written": 0.5}).fillna(0.0).to_numpy()
    asked = offers.assign(last=night - DAY, hidden=hidden)[hidden > 0]
    if asked.empty:
        return served
    rows = world["transactions"].merge(asked[["offer_id", "user_id", "last", "hidden"]], "inner")
    age = (rows["last"] - dates_of(rows)) // DAY
    gone = (age >= 0) & (age < window_days * rows["hidden"])
    rows = rows[~gone].assign(user_id=rows["offer_id"])  # each offer sees a table of its own
    seen = asof_features(rows, asked.assign(user_id=asked["offer_id"]))
    served.loc[hidden > 0, list(FEATURES)] = seen[list(FEATURES)].to_numpy()
    return served
