"""Spot machines: cheap by the hour, taken away at random, so that hours are paid twice.

A machine starts for `start_minutes`, works, and is taken away at a constant rate. Every hour of it
is paid, the starts too. What a checkpoint has kept need not be done again. `expected_hours` is
exact; `paid_hours` draws runs, and the tests hold one against the other.
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from mlkit.params import NotNegative, Positive, Share, checked

Runs = Annotated[int, Interval(ge=1, le=1_000_000)]
Nodes = Annotated[int, Interval(ge=1, le=1000)]
Copies = Annotated[int, Interval(ge=1, le=3)]
MOST_TRIES = 5_000.0  # expected restarts of one part above which no run is simulated


@checked
def paid_hours(
    *,
    rng: np.random.Generator,
    work_hours: Positive = 2.0,
    interruptions_per_hour: NotNegative = 0.1,
    checkpoint_minutes: float | None = None,
    write_minutes: NotNegative = 0.0,
    start_minutes: NotNegative = 10.0,
    runs: Runs = 1000,
) -> np.ndarray:
    """Return the hours that each run of one job on one machine pays, shape (runs,), float64.

    Parameters
    ----------
    work_hours: hours of work without any interruption
    interruptions_per_hour: rate, the same at every moment, while a machine starts as well
    checkpoint_minutes: work between two checkpoints; None keeps nothing
    write_minutes: what writing a checkpoint takes, paid as well; the end of the work writes none
    start_minutes: from asking for a machine to the first work

    Raises
    ------
    ValueError: an option out of range, or a job that will hardly ever end at this rate
    """
    parts = _parts(work_hours, checkpoint_minutes, write_minutes)
    start, ends = start_minutes / 60, np.cumsum(parts)
    _require_an_end(interruptions_per_hour * (start + parts.max()))
    paid, kept = np.zeros(runs), np.zeros(runs)
    scale = 1 / interruptions_per_hour if interruptions_per_hour else np.inf
    alive = np.arange(runs)
    while len(alive):
        lasts = rng.exponential(1.0, len(alive)) * scale
        need = start + ends[-1] - kept[alive]
        paid[alive] += np.minimum(lasts, need)
        reached = kept[alive] + np.maximum(lasts - start, 0)
        done = np.searchsorted(ends, reached + 1e-12, side="right")
        kept[alive] = np.maximum(kept[alive], np.concatenate([[0.0], ends])[done])
        alive = alive[lasts < need]
    return paid


@checked
def expected_hours(
    *,
    work_hours: Positive = 2.0,
    interruptions_per_hour: NotNegative = 0.1,
    checkpoint_minutes: float | None = None,
    write_minutes: NotNegative = 0.0,
    start_minutes: NotNegative = 10.0,
) -> float:
    """Return the exact mean of `paid_hours`, in hours.

    A part of length c that must be done in one piece costs (exp(l c) - 1) / l hours. After a
    checkpoint the next part is tried on the machine that runs already; only when that fails a
    start comes before it.

    Source: the mean time to a first success without interruption, for example Daly, Future
    Generation Computer Systems 22 (2006) 303-312.

    Examples
    --------
    >>> round(expected_hours(work_hours=2.0, interruptions_per_hour=1.0, start_minutes=0.0), 3)
    6.389
    """
    parts = _parts(work_hours, checkpoint_minutes, write_minutes)
    start, rate = start_minutes / 60, interruptions_per_hour
    if rate == 0:
        return float(start + parts.sum())
    _require_an_end(rate * (start + parts.max()))
    again = np.expm1(rate * (start + parts)) / rate
    lost = -np.expm1(-rate * parts[1:])
    return float(again[0] + (lost / rate + lost * again[1:]).sum())


@checked
def cost_ratio(
    *,
    discount: Share = 0.7,
    work_hours: Positive = 2.0,
    interruptions_per_hour: NotNegative = 0.1,
    checkpoint_minutes: float | None = None,
    write_minutes: NotNegative = 0.0,
    start_minutes: NotNegative = 10.0,
) -> float:
    """Return the expected cost on spot over that on demand, where nothing is interrupted.

    Parameters
    ----------
    discount: what is taken off the price of an hour, in [0, 1]
    the others: as in `paid_hours`; on demand the same job writes no checkpoint

    Raises
    ------
    ValueError: as `expected_hours`
    """
    spot = expected_hours(
        work_hours=work_hours,
        interruptions_per_hour=interruptions_per_hour,
        checkpoint_minutes=checkpoint_minutes,
        write_minutes=write_minutes,
        start_minutes=start_minutes,
    )
    return (1 - discount) * spot / (start_minutes / 60 + work_hours)


@checked
def fleet_hours(
    *,
    rng: np.random.Generator,
    kind: Literal["task", "core"] = "task",
    nodes: Nodes = 10,
    work_hours: Positive = 2.0,
    interruptions_per_hour: NotNegative = 0.1,
    task_minutes: Positive = 5.0,
    start_minutes: NotNegative = 10.0,
    copies: Copies = 1,
    runs: Annotated[int, Interval(ge=1, le=10_000)] = 100,
) -> np.ndarray:
    """Return the node hours that each run of a job on a cluster pays, shape (runs,), float64.

    A lost node is replaced after `start_minutes`. With it the task in its hands is lost. A task
    node computes and stores nothing. A core node holds a share of what the cluster has computed
    so far (HDFS), and that share must be computed again, unless another node has a copy.

    Parameters
    ----------
    kind: which nodes are on spot, all of them of this kind; others are not counted
    work_hours: hours that all nodes together need when none is lost
    interruptions_per_hour: rate of each node
    task_minutes: length of a task on one node; on average half of one is lost with the node
    copies: how often a block is stored; copies cost disks and network, which is not counted

    Raises
    ------
    ValueError: an option out of range, or a cluster that loses results about as fast as it
        computes them
    """
    away = interruptions_per_hour * start_minutes / 60
    keeps = copies - 1 if kind == "core" else None
    lost = 0.0 if keeps is None else work_hours * (away / (1 + away)) ** keeps
    if interruptions_per_hour * max(lost, 2 * (task_minutes + start_minutes) / 60) > 0.95:
        raise ValueError(
            f"interruptions_per_hour = {interruptions_per_hour:g}: {nodes} {kind} nodes would lose "
            "results about as fast as they compute them; use task nodes, more copies or less work"
        )
    job = (nodes, work_hours * nodes, task_minutes / 60, start_minutes / 60)
    return np.array([_one_fleet(rng, job, interruptions_per_hour, keeps) for _ in range(runs)])


def _one_fleet(
    rng: np.random.Generator, job: tuple[int, float, float, float], rate: float, keeps: int | None
) -> float:
    """Return the node hours of one run: from one lost or replaced node to the next."""
    nodes, work, task, start = job
    paid, done, now = nodes * start, 0.0, 0.0
    back: list[float] = []  # when lost nodes are working again
    while True:
        live = nodes - len(back)
        lost_in = rng.exponential(1 / (rate * live)) if rate and live else np.inf
        step = min(lost_in, back[0] - now if back else np.inf)
        if live and done + live * step >= work:
            return paid + live * (work - done) / live
        now, done, paid = now + step, done + live * step, paid + live * step
        if step < lost_in:
            back.pop(0)
            continue
        gone = done / nodes * (len(back) / max(nodes - 1, 1)) ** keeps if keeps is not None else 0.0
        done = max(done - gone - task * rng.random(), 0.0)
        back.append(now + start)
        paid += start


def _parts(work_hours: float, checkpoint_minutes: float | None, write_minutes: float) -> np.ndarray:
    """Return the hours of the parts that must be done in one piece, each with its checkpoint."""
    if checkpoint_minutes is not None and not checkpoint_minutes > 0:
        raise ValueError(
            f"checkpoint_minutes = {checkpoint_minutes}: expected minutes > 0, or None for no "
            "checkpoint"
        )
    every = work_hours if checkpoint_minutes is None else checkpoint_minutes / 60
    count = max(int(np.ceil(work_hours / every - 1e-9)), 1)
    if count > 100_000:
        raise ValueError(
            f"checkpoint_minutes = {checkpoint_minutes}: {count:,} checkpoints; save less often"
        )
    parts = np.full(count, every + write_minutes / 60)
    parts[-1] = work_hours - (count - 1) * every
    return parts


def _require_an_end(load: float) -> None:
    if load > np.log(MOST_TRIES):
        raise ValueError(
            f"interruptions: {load:.1f} of them are expected in each piece of work that must be "
            f"done at once, at most {np.log(MOST_TRIES):.1f} can be simulated; it would hardly "
            "ever end: save checkpoints, or more often"
        )
