"""Figures of challenge 6: alarm against harm, weeks of production, strategies, calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS, LINES, NAMES, axes

MOVED: dict[str, Any] = {"color": "#222222", "linewidth": 0.8}


def quadrants(table: pd.DataFrame, *, harmful: float = 0.02, ax: Axes | None = None) -> Axes:
    """Return each change by how loud it is and what it costs: the two have little in common.

    Parameters
    ----------
    table: one row per change: alarm (largest value of a check over its limit; 1 is the limit) and
        loss (points of accuracy, in [-1, 1])
    harmful: loss from which it counts as harm
    """
    ax = axes(ax, figsize=(7.2, 4.2))
    x = np.log2(table["alarm"].clip(lower=1 / 16, upper=64))
    silent = (table["loss"] > harmful) & (table["alarm"] <= 1)
    alarmed = (table["loss"] <= harmful) & (table["alarm"] > 1)
    for place, name in enumerate(x.sort_values(kind="stable").index):
        state = "broken" if table.loc[name, "loss"] > harmful else "fixed"
        marker = "s" if state == "broken" else "o"
        ax.plot(x[name], table.loc[name, "loss"], marker, color=COLOURS[state], markersize=8)
        ax.annotate(
            name,
            (x[name], table.loc[name, "loss"]),
            (6, 6 if place % 2 else -14),
            textcoords="offset points",
            color=COLOURS[state],
        )
    low, high = float(min(x.min(), -1)) - 0.6, float(max(x.max(), 1)) + 1.6
    top = float(table["loss"].max()) * 1.3 + 0.02
    ax.axvline(0, **MOVED)
    ax.axhline(harmful, **MOVED)
    ax.set(xlim=(low, high), ylim=(min(float(table["loss"].min()), 0.0) - 0.04, top))
    corners: dict[str, Any] = {"fontsize": 9, "color": "#595959", "va": "top"}
    ax.text(low + 0.1, top, "harm, no alarm", **corners)
    ax.text(high - 0.1, top, "harm and alarm", ha="right", **corners)
    ticks = [t for t in (1 / 16, 1 / 4, 1, 4, 16, 64) if low <= np.log2(t) <= high]
    ax.set_xticks(np.log2(ticks), [f"{t:g}" for t in ticks])
    ax.set_xlabel("loudest feature: its index over the limit (right of 1: alarm)")
    ax.set_ylabel("accuracy lost in production")
    ax.set_title(f"{alarmed.sum()} changes alarm and do no harm; {silent.sum()} harm in silence")
    return ax


def in_words(table: pd.DataFrame, *, harmful: float = 0.02) -> str:
    """Return in words which changes stand in which quarter of `quadrants`, for who cannot see it.

    Parameters
    ----------
    table, harmful: as for `quadrants`
    """
    rings, harms = table["alarm"] > 1, table["loss"] > harmful
    quarters = {
        "Harm without an alarm": harms & ~rings,
        "alarm without harm": rings & ~harms,
        "both": rings & harms,
        "neither": ~rings & ~harms,
    }
    said = [f"{name}: {', '.join(table.index[q]) or 'none'}" for name, q in quarters.items()]
    return "Changes by alarm and by harm. " + "; ".join(said) + "."


def weeks(table: pd.DataFrame, *, begin: pd.Timestamp, limit: float = 0.2) -> Axes:
    """Return what the dashboard shows (the loudest feature) above what production gets.

    Parameters
    ----------
    table: one row per week, index UTC time: psi (the largest of the features), accuracy in [0, 1]
    begin: the moment of the change
    limit: of the index
    """
    top, ax = Figure(figsize=(7.2, 4.4)).subplots(2, 1, sharex=True, height_ratios=[1, 1.4])
    top.plot(table.index, table["psi"], "-o", color=COLOURS["clean"], markersize=4)
    top.axhline(limit, **MOVED)
    top.text(table.index[0], limit, "limit", va="bottom", fontsize=9)
    top.set(ylim=(0, max(limit, table["psi"].max()) * 1.4), ylabel="loudest index")
    before, after = table[table.index < begin], table[table.index >= begin]
    ax.plot(before.index, before["accuracy"], "-o", color=COLOURS["fixed"], markersize=4)
    ax.plot(after.index, after["accuracy"], "--s", color=COLOURS["broken"], markersize=4)
    for part in (top, ax):
        part.axvline(begin, **MOVED)
    ax.text(begin, 0.97, " the competitor opens", fontsize=9, va="top")
    ax.set(ylim=(0.4, 1), ylabel="right decisions")
    ax.tick_params(axis="x", labelsize=8)
    said = "no alarm" if table["psi"].max() <= limit else "an alarm"
    lost = before["accuracy"].mean() - after["accuracy"].mean()
    top.set_title(f"Features: {said} in {len(table)} weeks; accuracy: {lost:.2f} lost")
    return ax


def takeover(
    lines: dict[str, pd.Series], *, deployments: pd.DataFrame, ax: Axes | None = None
) -> Axes:
    """Return accuracy by week of several states, and when each model went live.

    Parameters
    ----------
    lines: state ("clean", "broken", "fixed") to weekly accuracy, index UTC time
    deployments: model, live_from and reason, the first row the champion
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    height = _spread(pd.Series({state: line.iloc[-1] for state, line in lines.items()}), 0.03)
    for state, line in lines.items():
        ax.plot(line.index, line, LINES[state], color=COLOURS[state], marker="o", markersize=4)
        said: dict[str, Any] = {"va": "center", "color": COLOURS[state]}
        ax.text(line.index[-1], height[state], f"  {NAMES[state]}", **said)
    for place, row in enumerate(deployments.iloc[1:].itertuples()):
        ax.axvline(row.live_from, **MOVED)
        ax.text(row.live_from, 0.45 + 0.05 * place, f" {row.reason}", fontsize=9)
    ax.set(ylim=(0.4, 1), ylabel="right decisions")
    ax.margins(x=0.12)
    ax.tick_params(axis="x", labelsize=8)
    return ax


def _spread(values: pd.Series, gap: float) -> dict[Any, float]:
    """Return heights for labels, in the order of the values and at least `gap` apart."""
    steps = gap * np.arange(len(values))
    ordered = values.sort_values(kind="stable")
    places = np.maximum.accumulate(ordered.to_numpy() - steps) + steps
    return dict(zip(ordered.index, places, strict=True))


def strategies(table: pd.DataFrame, *, begin: pd.Timestamp, ax: Axes | None = None) -> Axes:
    """Return accuracy over time of several ways to keep a model, each labelled at its end.

    Parameters
    ----------
    table: one row per week, one column per strategy, the first drawn as the broken one
    begin: the moment of the change
    """
    ax = axes(ax, figsize=(7.2, 4))
    height = _spread(table.iloc[-1], 0.055 * float(np.ptp(table.to_numpy())))
    shades = [COLOURS["broken"], COLOURS["fixed"], "#595959", "#009E73", "#CC79A7", "#8C8C8C"]
    styles = ["--", "-", ":", "-.", "-", ":"]
    for place, name in enumerate(table.columns):
        colour = shades[place % len(shades)]
        ax.plot(table.index, table[name], styles[place % len(styles)], color=colour, linewidth=1.7)
        ax.annotate(name, (table.index[-1], height[name]), (6, 0), textcoords="offset points",
                    color=colour, va="center", fontsize=9, annotation_clip=False)  # fmt: skip
    ax.axvline(begin, **MOVED)
    ax.set_ylabel("right decisions")
    ax.set_xlim(table.index[0], table.index[-1] + (table.index[-1] - table.index[0]) * 0.36)
    ax.tick_params(axis="x", labelsize=8)
    return ax


def reliability(curves: dict[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Return the share of positive answers against the mean score, in bins; on the diagonal equal.

    Parameters
    ----------
    curves: state ("clean", "broken", "fixed") to a frame with score and label, one row a decision
    """
    ax = axes(ax, figsize=(4.6, 4.2))
    ax.plot([0, 1], [0, 1], **MOVED)
    for state, rows in curves.items():
        bins = np.minimum((rows["score"] * 8).astype(int), 7)
        mean = rows[["score", "label"]].astype(float).groupby(bins).mean()
        ax.plot(mean["score"], mean["label"], LINES[state], color=COLOURS[state], marker="o")
        ax.plot([], [], color=COLOURS[state], label=NAMES[state])
    ax.legend(labelcolor="linecolor", handlelength=0, prop={"weight": "bold"}, loc="upper left")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="score", ylabel="share that accepts")
    return ax


def curves(
    x: Sequence[float],
    lines: dict[str, tuple[str, Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str,
    at: int = -1,
    ax: Axes | None = None,
) -> Axes:
    """Return lines over a knob, each with its own words; what is infinite is left out.

    Parameters
    ----------
    x: the knob
    lines: words to state ("clean", "broken", "fixed") and heights, one per x
    at: place of the point beside which the words stand
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    for words, (state, y) in lines.items():
        known = np.isfinite(np.asarray(y, dtype=float))
        left, height = np.asarray(x)[known], np.asarray(y)[known]
        colour = COLOURS[state]
        ax.plot(left, height, LINES[state], color=colour, marker="o", markersize=4)
        beside: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False}
        ax.annotate(words, (left[at], height[at]), (8, 0), color=colour, va="center", **beside)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.margins(x=0.04)
    return ax


def sums(daily: pd.Series, found: pd.DataFrame, *, begin: pd.Timestamp, day_limit: float) -> Axes:
    """Return daily values with the limit of a single day, above their cumulative sum with its own.

    Parameters
    ----------
    daily: one value per day, index UTC time
    found: what `mlkit.drift.sequential.cusum` returned for them
    begin: the moment of the change
    day_limit: above which one day alone would alarm
    """
    from matplotlib.figure import Figure

    top, ax = Figure(figsize=(7.2, 4.4)).subplots(2, 1, sharex=True)
    top.plot(daily.index, daily, "o", color=COLOURS["clean"], markersize=3)
    top.axhline(day_limit, **MOVED)
    top.text(daily.index[0], day_limit, "limit of one day", va="bottom", fontsize=9)
    top.set_ylabel("wrong that day")
    ax.plot(found["subject"], found["value"], LINES["broken"], color=COLOURS["broken"])
    ax.axhline(found["limit"].iloc[0], **MOVED)
    ax.text(daily.index[0], found["limit"].iloc[0], "limit of the sum", va="bottom", fontsize=9)
    ax.set_ylabel("CUSUM")
    for part in (top, ax):
        part.axvline(begin, **MOVED)
        part.margins(y=0.2)
    ax.tick_params(axis="x", labelsize=8)
    after = found[found["failed"] & (found["subject"] >= begin)]
    waited = (after["subject"].min() - begin).days if len(after) else None
    top.set_title(
        "The sum never alarms"
        if waited is None
        else f"The sum alarms {waited} days after the change"
    )
    return top


def four_months(months: dict[str, pd.DataFrame], *, unit: str) -> Axes:
    """Return small unlabelled pictures side by side: a feature above, the accuracy below.

    Parameters
    ----------
    months: name to a table with one row per day, columns feature (in `unit`) and accuracy
    """
    figure = Figure(figsize=(7.2, 3.0))
    panels = figure.subplots(2, len(months), sharex=True, sharey="row", squeeze=False)
    top = 1.1 * max(float(table["feature"].max()) for table in months.values())
    for column, (name, table) in zip(panels.T, months.items(), strict=True):
        for ax, key in zip(column, ("feature", "accuracy"), strict=True):
            ax.plot(np.arange(len(table)), table[key], "-", color=COLOURS["clean"], linewidth=1.5)
            ax.set(xticks=[], yticks=[])
        column[0].set(title=name, ylim=(0, top))
        column[1].set(ylim=(0, 1))
    panels[0, 0].set_ylabel(f"feature ({unit})")
    panels[1, 0].set(ylabel="accuracy", yticks=[0, 1])
    figure.supxlabel("day", fontsize=9)
    return panels[0, 0]
