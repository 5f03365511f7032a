"""Figures of the gallery of challenge 8: shares of CSV, curves over a knob, bars with a limit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlkit.plots import COLOURS, HATCHES, LINES, axes

MARKS = {"clean": ("^", "none"), "broken": ("s", "none"), "fixed": ("o", "full")}


def shares(table: pd.DataFrame, states: Mapping[str, str], *, ax: Axes | None = None) -> Axes:
    """Return bytes as shares of CSV: a row for each kind of data, a mark for each format.

    Parameters
    ----------
    table: index kinds of data, columns formats, values shares of CSV, above 0
    states: format to "clean", "broken" or "fixed"; formats that are not named are left out
    """
    ax = axes(ax, figsize=(7.2, 0.5 * len(table) + 1.5))
    for format, state in states.items():
        marker, fill = MARKS[state]
        face = COLOURS[state] if fill == "full" else "white"
        ax.plot(
            table[format],
            range(len(table)),
            marker,
            color=COLOURS[state],
            markerfacecolor=face,
            markersize=8,
            label=format,
        )
    for row, values in enumerate(table[list(states)].to_numpy()):
        ax.plot([values.min(), values.max()], [row, row], color=COLOURS["context"], zorder=0)
    ax.axvline(1, color="#222222", linewidth=0.8)
    ax.text(1, -0.75, "as CSV ", ha="right", va="top", fontsize=9)
    ax.set_yticks(range(len(table)), table.index)
    ax.set_ylim(len(table) - 0.5, -0.9)
    ax.set_xlim(0, max(1.05, float(table[list(states)].to_numpy().max()) * 1.08))
    ax.set_xlabel("bytes, as a share of the same table in CSV")
    colours = [COLOURS[state] for state in states.values()]
    ax.legend(labelcolor=colours, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(states))
    low, high = table["parquet, snappy"].min(), table["parquet, snappy"].max()
    ax.set_title(f"Parquet with snappy takes {low:.2f} to {high:.2f} of CSV", pad=28)
    return ax


def curves(
    table: pd.DataFrame,
    states: Mapping[str, str],
    *,
    xlabel: str,
    ylabel: str,
    log: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Return one line for each column over the index, each labelled at its end.

    Parameters
    ----------
    table: numbers; the index is the knob
    states: column to "clean", "broken" or "fixed"
    log: "x", "y" or "xy" for logarithmic axes
    """
    ax = axes(ax)
    x = table.index.to_numpy()
    for name, state in states.items():
        ax.plot(x, table[name], LINES[state], color=COLOURS[state], marker="o", markersize=4)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    else:
        ax.set_ylim(min(0, float(table[list(states)].min(axis=None))))
    room: dict[str, Any] = {"fontsize": 9, "va": "center", "annotation_clip": False}
    for name, y in _apart(ax, table.iloc[-1][list(states)]).items():
        at = (1.02, float(y))
        ax.annotate(name, at, xycoords="axes fraction", color=COLOURS[states[str(name)]], **room)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    return ax


def bars(
    values: pd.Series,
    states: Mapping[str, str],
    *,
    xlabel: str,
    notes: Mapping[str, str] | None = None,
    limit: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Return one bar for each value, with what it is and a note beside it.

    Parameters
    ----------
    values: numbers >= 0, the index names the bars
    states: name to "clean", "broken" or "fixed"
    notes: name to what is written beside the bar; by default the value
    limit: where to draw a line
    """
    ax = axes(ax, figsize=(7.2, 0.42 * len(values) + 1.2))
    for row, (name, value) in enumerate(values.items()):
        state = states[str(name)]
        ax.barh(row, value, 0.66, color=COLOURS[state], hatch=HATCHES[state], edgecolor="white")
        note = notes[str(name)] if notes else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.annotate(
            note,
            (value, row),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox=box,
        )
    if limit is not None:
        ax.axvline(limit, color="#222222", linewidth=0.8)
    ax.set_yticks(range(len(values)), values.index)
    ax.set_ylim(len(values) - 0.5, -0.6)
    ax.set_xlim(0, float(values.max()) * 1.3)
    ax.set_xlabel(xlabel)
    return ax


def _apart(ax: Axes, ends: pd.Series) -> pd.Series:
    """Return heights for labels at the ends of lines, in shares of the axes, none over another."""
    points = ax.transAxes.inverted().transform(
        ax.transData.transform([(ax.get_xlim()[1], value) for value in ends])
    )
    heights = pd.Series(np.clip(points[:, 1], 0.0, 1.0), index=ends.index)
    heights = heights.sort_values(kind="stable")
    for above, below in zip(range(1, len(heights)), range(len(heights) - 1), strict=True):
        heights.iloc[above] = max(heights.iloc[above], heights.iloc[below] + 0.08)
    over = max(float(heights.iloc[-1]) - 1.0, 0.0)
    return heights - over
