"""Nights on machines that can be taken away: a job replayed against recorded lives."""

from typing import Any

import numpy as np
import pandas as pd

Job = dict[str, Any]
Nights = list[list[int]]


def make_nights(rng: np.random.Generator, *, mean: float, n: int = 40) -> Nights:
    """Return for each night how many minutes its machines lived, one after the other."""
    return [[max(1, int(life)) for life in rng.exponential(mean, 6)] for _ in range(n)]


def minutes_of(job: Job, lives: list[int], every: int) -> int:
    """Return the minutes until a job is done, when machines live as long as recorded.

    A machine starts, works, and after every `every` minutes of work (0: never) writes a checkpoint,
    unless the work is done. When it is taken, the work since the last whole checkpoint is lost and
    the next one starts. After the recorded lives a machine stays.
    """
    clock, kept = 0, 0
    for life in [*lives, None]:
        left = job["work"] - kept
        pauses = (left - 1) // every if every else 0
        need = job["start"] + left + pauses * job["checkpoint"]
        if life is None or need <= life:
            return clock + need
        clock += life
        if every and life > job["start"]:
            kept += (life - job["start"]) // (every + job["checkpoint"]) * every
    raise AssertionError("the last machine stays")


def too_tight(job: Job, nights: Nights) -> int:
    """Return a deadline by which the cheapest interval fails on one night, by a minute."""
    minutes = {e: [minutes_of(job, lives, e) for lives in nights] for e in job["every"]}
    return max(minutes[min(minutes, key=lambda every: sum(minutes[every]))]) - 1


def on_demand(job: Job) -> float:
    """Return what a night costs on a machine that stays, in USD."""
    return (job["start"] + job["work"]) / 60 * job["usd_hour"]


def on_spot(job: Job, nights: Nights) -> dict[int, float]:
    """Return minutes between checkpoints to USD a night, for those that are always in time."""
    found = {}
    for every in job["every"]:
        minutes = [minutes_of(job, lives, every) for lives in nights]
        if max(minutes) <= job["deadline"]:
            found[every] = float(np.mean(minutes)) / 60 * job["usd_hour"] * job["spot"]
    return found


def cheapest(job: Job, nights: Nights) -> tuple[str, float]:
    """Return the choice, "on demand" or "spot, every 15 min", and its USD a night."""
    choices = {"on demand": on_demand(job)}
    choices |= {f"spot, every {every} min": usd for every, usd in on_spot(job, nights).items()}
    best = min(choices, key=lambda name: choices[name])
    return best, choices[best]


def signed_table(bills: pd.DataFrame, job: Job, nights: Nights) -> pd.DataFrame:
    """Return the cost table: measured items, the machine, the total, each with its basis.

    Parameters
    ----------
    bills: USD; index item, columns before and after
    """
    choice, usd = cheapest(job, nights)
    basis = "list price" if choice == "on demand" else "simulated"
    table = bills[["before", "after"]].assign(basis="measured", choice="")
    table.loc["machine"] = [on_demand(job), usd, basis, choice]
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), basis, ""]
    return table
