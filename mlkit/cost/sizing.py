"""Sizing: machines that wait for work, and work that waits for machines.

A machine is paid while it is on, whatever it does. Switching it off saves the hours in which
nobody needs it and costs a start, a minimum on the bill and somebody's waiting. All functions here
count hours; prices come in where hours of different kinds meet.
"""

from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import NotNegative, Positive, checked

MachineCount = Annotated[int, Interval(ge=0, le=100_000)]
AtLeastOne = Annotated[float, Interval(ge=1, le=1e6)]


@checked
def office_jobs(
    *,
    rng: np.random.Generator,
    days: Annotated[int, Interval(ge=1, le=3650)] = 28,
    per_day: Positive = 8.0,
    mean_minutes: Positive = 20.0,
) -> pd.DataFrame:
    """Return jobs that people start between nine and six, Monday to Friday.

    Returns
    -------
    start_minute: from Monday midnight on; minutes: of work, exponential. In order of time
    """
    work = [day for day in range(days) if day % 7 < 5]
    count = rng.poisson(per_day, len(work))
    start = np.repeat(work, count) * 1440.0 + rng.uniform(9 * 60, 18 * 60, count.sum())
    minutes = rng.exponential(mean_minutes, count.sum())
    jobs = pd.DataFrame({"start_minute": start, "minutes": minutes})
    return jobs.sort_values("start_minute", kind="stable", ignore_index=True)


@checked
def auto_shutdown(
    jobs: pd.DataFrame,
    *,
    idle_minutes: Annotated[float, Interval(ge=0)] = 30.0,
    start_minutes: NotNegative = 5.0,
    increment_minutes: NotNegative = 0.0,
    minimum_minutes: NotNegative = 1.0,
) -> dict[str, float]:
    """Return the hours of one machine that switches itself off after a while without work.

    Jobs run one after the other, in order of their start. A job that finds the machine off
    starts it and waits. After the last job the machine idles for `idle_minutes`, and is off.

    Parameters
    ----------
    jobs: start_minute and minutes, numbers >= 0
    idle_minutes: infinite never switches off between the first and the last job
    start_minutes: paid as well
    increment_minutes: the bill of a session is rounded up to these; 0 bills exactly
    minimum_minutes: the least that a session is billed

    Returns
    -------
    paid, busy, waited: hours; waited: of people, until their job begins. starts: how often

    Raises
    ------
    ValueError: no jobs, missing or negative numbers, or an option out of range
    """
    begin, length = _require_jobs(jobs)
    free, on_since, sessions, waited = -np.inf, 0.0, [], 0.0
    for asked, minutes in zip(begin, length, strict=True):
        if asked > free + idle_minutes or free == -np.inf:
            if free > -np.inf:
                sessions.append(free + idle_minutes - on_since)
            on_since, free = asked, asked + start_minutes
        at = max(asked, free)
        waited += at - asked
        free = at + minutes
    sessions.append(free + (idle_minutes if np.isfinite(idle_minutes) else 0.0) - on_since)
    billed = np.maximum(np.array(sessions), minimum_minutes)
    if increment_minutes:
        billed = np.ceil(billed / increment_minutes - 1e-9) * increment_minutes
    hours = {"paid": billed.sum(), "busy": length.sum(), "waited": waited}
    return {**{name: float(value) / 60 for name, value in hours.items()}, "starts": len(sessions)}


@checked
def busy_day(
    *,
    rng: np.random.Generator,
    days: Annotated[int, Interval(ge=1, le=365)] = 7,
    low: NotNegative = 2.0,
    high: NotNegative = 20.0,
    noise: NotNegative = 0.15,
) -> np.ndarray:
    """Return a demand for machines at every quarter of an hour, with a peak in the afternoon.

    Parameters
    ----------
    low, high: machines needed at night and at the peak
    noise: relative, of each quarter

    Returns
    -------
    shape (96 * days,), float64, >= 0
    """
    hour = np.arange(96 * days) / 4 % 24
    shape = np.exp(-(((hour - 15) / 4) ** 2))
    return (low + (high - low) * shape) * np.clip(1 + noise * rng.normal(size=len(hour)), 0, None)


@checked
def fixed_fleet(demand: np.ndarray, *, machines: MachineCount = 10) -> dict[str, float]:
    """Return what a fixed number of machines costs and delays; see `autoscaled`.

    Raises
    ------
    ValueError: no demand, or negative or missing numbers in it
    """
    return _serve(_require_demand(demand), np.full(len(demand), float(machines)))


@checked
def autoscaled(
    demand: np.ndarray,
    *,
    lowest: MachineCount = 1,
    highest: MachineCount = 20,
    lag: Annotated[int, Interval(ge=0, le=1000)] = 1,
    spare: NotNegative = 0.0,
) -> dict[str, float]:
    """Return what a fleet costs and delays that follows the demand some quarters later.

    Parameters
    ----------
    demand: machines needed in each quarter of an hour, shape (n,)
    lowest, highest: bounds of the number of machines
    lag: quarters between a demand and the machines for it
    spare: machines on top, as a share of the demand

    Returns
    -------
    paid: machine hours; used: share of them that worked; waiting: machine hours of work that were
    not done in their quarter, summed over quarters: what is left waits for the next

    Raises
    ------
    ValueError: no demand, negative or missing numbers in it, or lowest above highest
    """
    if lowest > highest:
        raise ValueError(f"lowest = {lowest}, highest = {highest}: expected lowest <= highest")
    demand = _require_demand(demand)
    seen = np.concatenate([np.full(lag, demand[0]), demand])[: len(demand)]
    return _serve(demand, np.clip(np.ceil(seen * (1 + spare) - 1e-9), lowest, highest))


@checked
def per_thousand(
    *,
    per_day: Positive = 100_000.0,
    per_second: Positive = 200.0,
    per_hour: Positive = 0.1,
    peak: AtLeastOne = 3.0,
    replicas: Annotated[int, Interval(ge=0, le=1000)] = 2,
) -> float:
    """Return the price of a thousand predictions of a service that is always on.

    Parameters
    ----------
    per_day: predictions asked for in a day
    per_second: predictions that one machine can do
    per_hour: price of a machine
    peak: highest demand over the mean demand, which the machines are there for
    replicas: least number of machines, whatever the demand
    """
    machines = max(replicas, int(np.ceil(per_day / 86_400 * peak / per_second - 1e-9)), 1)
    return machines * per_hour * 24 / per_day * 1000


@checked
def per_thousand_batch(
    *,
    per_day: Positive = 100_000.0,
    per_second: Positive = 200.0,
    per_hour: Positive = 0.1,
    start_minutes: NotNegative = 5.0,
    runs_per_day: Annotated[int, Interval(ge=1, le=1440)] = 1,
) -> float:
    """Return the price of a thousand predictions made in batches on a machine that then stops.

    Nobody gets an answer before the next batch: it is another product, not the same for less.

    Parameters
    ----------
    see `per_thousand`; start_minutes: paid before each batch
    """
    hours = per_day / per_second / 3600 + runs_per_day * start_minutes / 60
    return hours * per_hour / per_day * 1000


@checked
def break_even_use(
    *,
    fast_per_hour: Positive = 1.0,
    fast_per_second: Positive = 2000.0,
    slow_per_hour: Positive = 0.1,
    slow_per_second: Positive = 100.0,
) -> float:
    """Return the utilisation above which a fast machine (a GPU) is cheaper for each prediction.

    The slow machines (CPUs) are small enough to be busy all the time; the fast one is paid while
    it waits too. Above 1 the fast machine never pays.

    Examples
    --------
    >>> break_even_use(fast_per_hour=1.0, fast_per_second=2000.0)
    0.5
    """
    return (fast_per_hour / fast_per_second) / (slow_per_hour / slow_per_second)


@checked
def price_at_use(
    use: Any, *, per_hour: Positive = 1.0, per_second: Positive = 2000.0
) -> np.ndarray:
    """Return the price of a thousand predictions of a machine at some utilisations in (0, 1]."""
    use = np.asarray(use, dtype="float64")
    if not ((use > 0) & (use <= 1)).all():
        raise ValueError("use: expected utilisations above 0 and at most 1")
    return per_hour / 3600 / (per_second * use) * 1000


def _require_jobs(jobs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    missing = {"start_minute", "minutes"} - set(getattr(jobs, "columns", []))
    if missing or not len(jobs):
        raise ValueError(
            "jobs: expected a table with rows and the columns start_minute and minutes, came "
            + (f"none of {', '.join(sorted(missing))}" if missing else "no rows")
        )
    jobs = jobs.sort_values("start_minute", kind="stable")
    numbers = jobs[["start_minute", "minutes"]].to_numpy(dtype="float64")
    if not (np.isfinite(numbers) & (numbers >= 0)).all():
        raise ValueError("jobs: expected numbers >= 0, came missing, infinite or negative ones")
    return numbers[:, 0], numbers[:, 1]


def _require_demand(demand: np.ndarray) -> np.ndarray:
    demand = np.asarray(demand, dtype="float64")
    if demand.ndim != 1 or not len(demand) or not (np.isfinite(demand) & (demand >= 0)).all():
        raise ValueError("demand: expected a list of numbers >= 0, at least one")
    return demand


def _serve(demand: np.ndarray, machines: np.ndarray) -> dict[str, float]:
    """Return paid hours, utilisation and waiting of a queue that is served quarter by quarter."""
    left, waiting, done = 0.0, 0.0, 0.0
    for asked, there in zip(demand, machines, strict=True):
        served = min(left + asked, there)
        left += asked - served
        done, waiting = done + served, waiting + left
    paid = float(machines.sum())
    used = float(done) / paid if paid else float("nan")
    return {"paid": paid / 4, "used": used, "waiting": float(waiting) / 4}
