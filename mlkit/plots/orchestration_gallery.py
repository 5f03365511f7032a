"""Figures of the gallery of challenge 7: Gantt charts, retries, herds, records, races."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlkit.orchestration.history import final, makespan, succeeded
from mlkit.orchestration.simulate import FAILED
from mlkit.plots import COLOURS, HATCHES, LINES, axes

WHITE: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 1}


def gantt(
    attempts: pd.DataFrame,
    *,
    path: Iterable[str] = (),
    until: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Return the attempts of a run as bars over the minutes, failed ones hatched.

    Parameters
    ----------
    attempts: see `mlkit.orchestration.simulate.simulate`; a thin line is time in a queue
    path: tasks whose names are bold, such as the critical path
    until: end of the axis in minutes, for pairs of figures
    """
    tasks = attempts.sort_values(["ready", "end"], kind="stable")["task"].unique()
    until = until or makespan(attempts) * 1.02
    ax = axes(ax, figsize=(7.2, 0.34 * len(tasks) + 1.3))
    for y, task in enumerate(tasks):
        rows = attempts[attempts["task"] == task]
        for row in rows.itertuples():
            _bar(ax, y, row)
        _word(ax, y, rows.iloc[-1], until)
    ax.set_yticks(range(len(tasks)), tasks)
    for label in ax.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in path else "normal")
    ax.set_ylim(len(tasks) - 0.4, -0.6)
    ax.set_xlim(0, until * 1.3)
    ax.set_xlabel("minutes")
    ax.set_title(_outcome(attempts))
    return ax


def _bar(ax: Axes, y: int, row: Any) -> None:
    state = "broken" if row.state in FAILED else "fixed"
    if row.attempt == 0:
        ax.plot(row.end, y, "x", color=COLOURS["clean"], markersize=5)
        return
    ax.hlines(y, row.ready, row.start, color=COLOURS["clean"], linewidth=1)
    look: dict[str, Any] = {"color": COLOURS[state], "hatch": HATCHES[state], "edgecolor": "white"}
    ax.barh(y, row.end - row.start, left=row.start, height=0.66, **look)
    if row.end - row.start == 0:
        ax.plot(row.end, y, "|", color=COLOURS[state], markersize=11, markeredgewidth=2)


def _word(ax: Axes, y: int, last: pd.Series, until: float) -> None:
    """The final state of a task beside its last bar, with the number of attempts."""
    tries = f", attempt {last['attempt']}" if last["attempt"] > 1 else ""
    text = f"{last['state'].replace('_', ' ')}{tries}"
    style: dict[str, Any] = {"va": "center", "fontsize": 8, "color": "#222222", "bbox": WHITE}
    ax.text(last["end"] + until * 0.015, y, text, **style)


def _outcome(attempts: pd.DataFrame) -> str:
    last = final(attempts)["state"]
    bad = int(last.isin(FAILED).sum())
    if succeeded(attempts):
        return f"Done after {makespan(attempts):g} minutes, {len(attempts)} attempts"
    return f"{bad} of {len(last)} tasks without success after {makespan(attempts):g} minutes"


def chances(
    formula: pd.DataFrame, simulated: pd.DataFrame, *, tasks: int, ax: Axes | None = None
) -> Axes:
    """Return the share of runs that succeed: by formula as lines, simulated as points.

    Parameters
    ----------
    formula, simulated: index probability that an attempt fails, one column per number of retries
    tasks: how many tasks the DAG has
    """
    ax = axes(ax)
    styles = [LINES["broken"], LINES["clean"], LINES["fixed"]]
    colours = [COLOURS["broken"], COLOURS["clean"], COLOURS["fixed"]]
    for retries, line, colour in zip(formula.columns, styles, colours, strict=True):
        ax.plot(formula.index, formula[retries], line, color=colour)
        ax.plot(simulated.index, simulated[retries], "o", color=colour, markersize=4)
        middle = int(np.abs(formula[retries] - 0.55).to_numpy().argmin())
        at = formula.index[middle], formula[retries].iloc[middle]
        ax.text(
            *at,
            "1 retry" if retries == 1 else f"{retries} retries",
            color=colour,
            ha="center",
            fontsize=9,
            bbox=WHITE,
        )
    ax.set(ylim=(0, 1.05), xlabel="probability that an attempt fails by chance")
    ax.set_ylabel("share of runs that succeed")
    gap = float((formula.loc[simulated.index] - simulated).abs().to_numpy().max())
    ax.set_title(f"{tasks} tasks in a row: formula and simulation differ by up to {gap:.2f}")
    return ax


def herds(requests: Mapping[str, pd.DataFrame], *, capacity: int, ax: Axes | None = None) -> Axes:
    """Return the requests per minute after a common failure, without and with jitter.

    Parameters
    ----------
    requests: name to `mlkit.orchestration.policy.herd`; the first is drawn as broken
    capacity: how many requests a minute the service answers
    """
    ax, heads = axes(ax, figsize=(7.2, 3.6)), []
    last = max(int(table["minute"].max()) for table in requests.values())
    for place, (state, (name, table)) in enumerate(
        zip(("broken", "fixed"), requests.items(), strict=True)
    ):
        minutes = table["minute"].astype(int)
        counts = minutes.value_counts().reindex(range(last + 2), fill_value=0)
        ax.step(counts.index, counts, LINES[state], where="post", color=COLOURS[state])
        served = table.loc[table["served"], "client"].nunique()
        clients = table["client"].nunique()
        heads.append(f"{name}: {served} of {clients}")
        style: dict[str, Any] = {"color": COLOURS[state], "ha": "right", "fontsize": 9}
        text = f"{name}: {len(table)} requests, {served} clients served"
        ax.text(0.99, 0.93 - 0.08 * place, text, transform=ax.transAxes, **style)
    ax.axhline(capacity, color="#222222", linewidth=1, linestyle=":")
    text = f"answered in a minute: {capacity}"
    ax.text(0.99, 0.77, f"dotted: {text}", transform=ax.transAxes, ha="right", fontsize=8)
    ax.set(xlabel="minutes since the failure", ylabel="requests in the minute")
    ax.set_title(f"Served, {'; '.join(heads)}")
    return ax


def records(weeks: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return the score that is remembered of the champion, and what it is worth, week by week.

    Parameters
    ----------
    weeks: index week; columns record and champion, means over many runs
    """
    ax = axes(ax)
    for name, state, text in (
        ("record", "broken", "its remembered score"),
        ("champion", "fixed", "the champion's accuracy"),
    ):
        ax.plot(weeks.index, weeks[name], LINES[state], color=COLOURS[state])
        style: dict[str, Any] = {"color": COLOURS[state], "ha": "right", "fontsize": 9}
        ax.text(weeks.index[-1], weeks[name].iloc[-1] + 0.002, text, va="bottom", **style)
    gap = (weeks["record"] - weeks["champion"]).iloc[-1]
    ax.margins(y=0.15)
    ax.set(xlabel="week", ylabel="share of right decisions")
    ax.set_title(f"After {weeks.index[-1]} weeks the record is {gap:.3f} above the truth")
    return ax


def nights(shares: pd.DataFrame, *, limit: float, ax: Axes | None = None) -> Axes:
    """Return how many nights end in time, late, or not at all, by the number of retries.

    Parameters
    ----------
    shares: index retries; columns in time, late, failed
    limit: the deadline in minutes
    """
    ax = axes(ax, figsize=(7.2, 0.6 * len(shares) + 1.6))
    looks = {"in time": ("fixed", ""), "late": ("context", ""), "failed": ("broken", "///")}
    left = np.zeros(len(shares))
    for name, (state, hatch) in looks.items():
        width = shares[name].to_numpy()
        look: dict[str, Any] = {"color": COLOURS[state], "hatch": hatch, "edgecolor": "white"}
        ax.barh(range(len(shares)), width, left=left, height=0.7, **look)
        for y, (start, share) in enumerate(zip(left, width, strict=True)):
            if share > 0.08:
                text = f"{name} {share:.2f}"
                ax.text(
                    start + share / 2, y, text, ha="center", va="center", fontsize=8, bbox=WHITE
                )
        left = left + width
    names = ["1 retry" if retries == 1 else f"{retries} retries" for retries in shares.index]
    ax.set_yticks(range(len(shares)), names)
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.5, -0.5), xlabel="share of nights")
    saved = shares["failed"].iloc[0] - shares["failed"].iloc[-1]
    late = shares["late"].iloc[-1] - shares["late"].iloc[0]
    ax.set_title(f"Retries save {saved:.2f} of the nights; {late:.2f} more end after {limit:g} min")
    return ax


def race(
    jobs: pd.DataFrame, gone: pd.DataFrame, *, delivered: float, ax: Axes | None = None
) -> Axes:
    """Return the jobs of the last partitions around midnight, and the arrival that gets lost.

    Parameters
    ----------
    jobs: see `mlkit.orchestration.backfill.race`
    gone: the rows lost, see `mlkit.orchestration.backfill.lost`
    delivered: minute of the day at which the file arrives
    """
    day, midnight = int(jobs["date"].max()), (jobs["date"].max() + 1) * 1440.0
    shown = jobs[jobs["date"] > day - 3]
    ax = axes(ax, figsize=(7.2, 3.2))
    for job in shown.itertuples():
        daily = job.who == "daily"
        y = (day - job.date) + (0.2 if daily else -0.2)
        state = "fixed" if daily else "broken"
        look: dict[str, Any] = {
            "color": COLOURS[state],
            "hatch": HATCHES[state],
            "edgecolor": "white",
        }
        left = (job.start - midnight) / 60
        ax.barh(y, (job.end - job.start) / 60, left=left, height=0.34, **look)
        ax.text((job.end - midnight) / 60 + 0.04, y, job.who, va="center", fontsize=8)
    ax.axvline(delivered / 60, color="#222222", linewidth=1, linestyle=":")
    ax.text(delivered / 60, -0.62, "the file arrives ", ha="right", fontsize=8)
    ax.set_yticks(range(3), [f"day {day - back}" for back in range(3)])
    ax.set(
        ylim=(2.6, -0.8), xlabel="hours after midnight (bar: reads at its left, writes at right)"
    )
    ax.margins(x=0.12)
    ax.set_title(f"{len(gone)} rows lost: read before the file, written after the daily run")
    return ax
