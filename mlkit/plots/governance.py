"""Figures of lesson 09: a calm feed, two weeks of amounts, which check sees which change."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlkit.plots import COLOURS, LINES, axes, lamps

BOLD: dict[str, Any] = {"fontsize": 9, "fontweight": "bold"}
STATES = {"clean": "the weeks before", "broken": "the first week"}


def calm(days: pd.Series, *, passed: list[str], ax: Axes | None = None) -> Axes:
    """Return the rows delivered a day, and below them a lamp for each check that passed.

    Parameters
    ----------
    days: number of rows, index UTC days
    passed: words of the checks
    """
    ax = axes(ax, figsize=(7.2, 3.4))
    ax.plot(days.index, days, LINES["fixed"], color=COLOURS["clean"], linewidth=1.2)
    ax.set_ylim(0, float(days.max()) * 1.15)
    ax.set_ylabel("purchases a day")
    ax.tick_params(axis="x", labelsize=8)
    halves = days.iloc[: len(days) // 2].mean(), days.iloc[len(days) // 2 :].mean()
    ax.set_title(f"As many rows as ever: {halves[0]:.0f} a day, then {halves[1]:.0f}")
    lamps(ax, passed)
    return ax


def amounts(before: pd.Series, now: pd.Series, *, ax: Axes | None = None) -> Axes:
    """Return two distributions of amounts on one logarithmic axis, as shares of their rows."""
    ax = axes(ax, figsize=(7.2, 3.2))
    low, high = (f(float(f(s.dropna())) for s in (before, now)) for f in (min, max))
    bins = np.geomspace(max(low, 0.01), max(high, 1.0), 61)
    for state, values in (("clean", before), ("broken", now)):
        share = np.histogram(values.dropna(), bins)[0] / max(len(values), 1)
        ax.stairs(share, bins, color=COLOURS[state], linestyle=LINES[state], linewidth=2)
        at, top = float(values.median()), float(share.max())
        ax.text(at, top * 1.04, STATES[state], ha="center", color=COLOURS[state], **BOLD)
    ax.set_xscale("log")
    ax.set_ylim(0, ax.get_ylim()[1] * 1.12)
    ax.set_xlabel("amount_usd, as it says")
    ax.set_ylabel("share of the purchases")
    ax.set_title(f"The median goes from {before.median():,.0f} to {now.median():,.0f}")
    return ax


def matrix(seen: pd.DataFrame, lost: pd.Series, *, legal: list[str]) -> Axes:
    """Return which check sees which change, with the points of accuracy that it costs beside it.

    Parameters
    ----------
    seen: one row per change and one column per check: "sees", "cannot run" or nothing
    lost: accuracy lost in production, same index
    legal: the changes, last in `seen`, that upstream may make
    """
    figure = Figure(figsize=(8.2, 0.36 * len(seen) + 1.3))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2.4, 1])
    fills = {"sees": COLOURS["fixed"], "cannot run": COLOURS["context"], "": "#F2F2F2"}
    for y, (_, row) in enumerate(seen.iterrows()):
        for x, word in enumerate(row):
            place = ((x - 0.47, y - 0.42), 0.94, 0.84)
            left.add_patch(Rectangle(*place, color=fills[word], linewidth=0))
            colour = "white" if word == "sees" else "#222222"
            left.text(x, y, word, ha="center", va="center", fontsize=8, color=colour)
    left.set_xticks(range(seen.shape[1]), seen.columns, fontsize=9)
    left.xaxis.tick_top()
    left.set_yticks(range(len(seen)), [str(name).replace("_", " ") for name in seen.index])
    left.set(xlim=(-0.6, seen.shape[1] - 0.4), ylim=(len(seen) - 0.4, -0.6))
    for ax in (left, right):
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.axhline(len(seen) - len(legal) - 0.5, color="#8C8C8C", linewidth=0.8)
    _harm(right, lost.reindex(seen.index))
    ten = seen.drop(legal)
    figure.suptitle(
        f"The schema check sees {(ten['schema'] == 'sees').sum()} of {len(ten)} changes; "
        f"all five together {(ten == 'sees').any(axis=1).sum()}",
        x=0.02, ha="left", fontsize=11, fontweight="bold",
    )  # fmt: skip
    return left


def _harm(ax: Axes, lost: pd.Series) -> None:
    """Draw what each change costs as bars with their numbers."""
    ax.barh(range(len(lost)), lost, 0.6, color=COLOURS["broken"], hatch="///", edgecolor="white")
    for y, value in enumerate(lost):
        ax.text(max(value, 0), y, f" {value + 0.0:z.3f}", va="center", fontsize=9)
    ax.set_xlim(min(0.0, float(lost.min())), max(float(lost.max()) * 1.3, 0.01))
    ax.set_xticks([])
    ax.set_title("accuracy lost in production", fontsize=9, fontweight="normal")


def completeness(alarms: pd.DataFrame, *, promise: float, ax: Axes | None = None) -> Axes:
    """Return how often a delivery breaks a promise of completeness, by its number of rows.

    Parameters
    ----------
    alarms: probability of more missing values than promised; index rows, one column per true
        share of missing values
    promise: the share that is promised not to be exceeded
    """
    ax = axes(ax, figsize=(7.2, 3.2))
    for share in alarms.columns:
        state = "clean" if share <= promise else "broken"
        ax.plot(alarms.index, alarms[share], LINES[state], color=COLOURS[state], marker="o",
                markersize=4)  # fmt: skip
        words = f" {share:.1%} missing: {'kept' if share <= promise else 'broken'}"
        first = (alarms.index[0], alarms[share].iloc[0])
        lift = 16 if share == max(alarms.columns) else 8
        ax.annotate(words, first, (-2, lift), textcoords="offset points", color=COLOURS[state],
                    fontsize=9)  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks(list(alarms.index), [f"{rows:,}" for rows in alarms.index], fontsize=8)
    ax.minorticks_off()
    ax.set(ylim=(-0.03, 1.05), xlabel="rows of a delivery", ylabel="probability of an alarm")
    kept = [share for share in alarms.columns if share <= promise]
    first = alarms[kept[-1]]
    ax.set_title(f"Promise kept, and {first.iloc[0]:.0%} alarms at {first.index[0]} rows")
    return ax
