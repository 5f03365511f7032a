"""Figures of challenge 5: two clocks, freshness against correctness, and what being wrong costs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlkit.plots import COLOURS, LINES, axes

BOLD: dict[str, Any] = {"fontsize": 9, "fontweight": "bold"}


def clocks(
    log: pd.DataFrame, *, asked: pd.Timestamp, minutes: float, ax: Axes | None = None
) -> Axes:
    """Return a log on two clocks: above when each charge happened, below when it was delivered.

    Solid: what the request may count. Dashed: what the clock of arrival counts too. Dotted: what
    neither does.

    Parameters
    ----------
    log: charge_id, event_ts and arrival_ts UTC, one row per delivery of one card
    asked: the moment of the request
    minutes: the window before it
    """
    ax = axes(ax, figsize=(7.2, 3.0))
    first = asked - pd.Timedelta(minutes=minutes)
    ax.axvspan(first, asked, color="#F2F2F2", zorder=0)
    ax.axvline(asked, color="#222222", linewidth=1.2)
    again = log["charge_id"].duplicated().to_numpy()
    inside = log["event_ts"].ge(first) & log["event_ts"].lt(asked) & log["arrival_ts"].le(asked)
    came = log["arrival_ts"].ge(first) & log["arrival_ts"].le(asked)
    states = np.select([inside & ~again, came], ["fixed", "broken"], "clean")
    for row, copy, state in zip(log.itertuples(), again, states, strict=True):
        line, colour = LINES[state], COLOURS[state]
        ax.plot([row.event_ts, row.arrival_ts], [1, 0], line, color=colour, linewidth=1.2)
        ax.plot(row.arrival_ts, 0, "s" if copy else "o", color=colour, markersize=7)
        if not copy:
            ax.plot(row.event_ts, 1, "o", color=colour, markersize=7)
            ax.text(row.event_ts, 1.1, str(row.charge_id), ha="center", color=colour, **BOLD)
    ax.text(asked, 1.32, " the request", fontsize=9, va="top")
    ax.set(ylim=(-0.25, 1.35), yticks=[0, 1], yticklabels=["delivered", "happened"])
    ticks = pd.date_range(first, asked, periods=6)
    ax.set_xticks(ticks, [f"{t:%H:%M}" for t in ticks])
    counts = f"{int((inside & ~again).sum())} happened and are known, {int(came.sum())} came in"
    ax.set_title(f"In the last {minutes:.0f} minutes {counts}")
    return ax


def freshness(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return how many windows are wrong against how long their answers wait.

    Parameters
    ----------
    table: index allowed_seconds; columns wrong (share of windows, in [0, 1]) and delay_seconds
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    minutes, share = table["delay_seconds"] / 60, table["wrong"] * 100
    ax.plot(minutes, share, "-o", color=COLOURS["fixed"])
    for allowed, x, y in zip(table.index, minutes, share, strict=True):
        ax.text(x * 1.06, y, f" {span(allowed)} allowed", va="bottom", fontsize=9)
    ax.set_xscale("log")
    ticks = [2, 5, 10, 30, 60, 180, 360]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set(xlim=(1.6, minutes.max() * 2.6), ylim=(0, share.max() * 1.15))
    ax.set_xlabel("minutes from the end of a window to its answer (median)")
    ax.set_ylabel("windows answered wrongly (%)")
    ends = (table.iloc[0], table.iloc[-1])
    wrong, waits = ([row[key] for row in ends] for key in ("wrong", "delay_seconds"))
    ax.set_title(
        f"From {wrong[0]:.1%} wrong after {waits[0] / 60:.0f}, "
        f"to {wrong[1]:.1%} after {waits[1] / 60:.0f} minutes"
    )
    return ax


def span(seconds: float) -> str:
    """Return a span of time in words: "0 s", "10 min", "6 h"."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def wrong_and_harm(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return two bars for each kind of fault: what it gets wrong, what it keeps less.

    Parameters
    ----------
    table: index the kind, in order; wrong (share of charges, in [0, 1]), lost (points of the score
        that production keeps less of the promise)
    """
    ax = axes(ax, figsize=(7.2, 0.42 * len(table) + 1.5))
    rows = range(len(table))
    harm = table["lost"].clip(lower=0)
    ax.barh(rows, -table["wrong"], 0.6, color=COLOURS["context"])
    ax.barh(rows, harm, 0.6, color=COLOURS["broken"], hatch="///", edgecolor="white")
    for row, wrong, lost in zip(rows, table["wrong"], table["lost"], strict=True):
        ax.text(-wrong - 0.02, row, f"{wrong:.1%}", ha="right", va="center", fontsize=9)
        ax.text(max(lost, 0) + 0.02, row, f"{lost:z.3f}", va="center", fontsize=9)
    ax.axvline(0, color="#222222", linewidth=0.8)
    ax.set_yticks(rows, [name.replace("_", " ") for name in table.index])
    ax.set(ylim=(len(table) - 0.4, -1.2), xlim=(-1.25, 0.75), xticks=[])
    ax.text(-0.03, -0.8, "charges with wrong features", ha="right", color="#595959", **BOLD)
    ax.text(0.03, -0.8, "of the promise not kept", color=COLOURS["broken"], **BOLD)
    ax.spines["bottom"].set_visible(False)
    return ax


def waiting(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return the score of decisions that wait for the log, against how long they wait.

    Parameters
    ----------
    table: index seconds of waiting, in order; column production (average precision)
    """
    ax = axes(ax)
    x = range(len(table))
    ax.plot(x, table["production"], "-o", color=COLOURS["fixed"])
    for place, value in zip(x, table["production"], strict=True):
        ax.text(place, value + 0.004, f"{value:.3f}", ha="center", fontsize=9)
    ax.set_xticks(x, [span(seconds) for seconds in table.index])
    low, high = table["production"].min(), table["production"].max()
    ax.set_ylim(low - 0.02, high + 0.02)
    ax.set_xlabel("how long the decision waits")
    ax.set_ylabel("average precision")
    ax.set_title(f"Waiting is worth {high - table['production'].iloc[0]:.2f}: the log catches up")
    return ax
