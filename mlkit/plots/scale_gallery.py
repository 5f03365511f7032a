"""Figures of the gallery of challenge 3: memory, bytes, shuffles, reducers, medians."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlkit.plots import COLOURS, HATCHES, LINES, axes

LIMIT: dict[str, Any] = {"color": "#222222", "linewidth": 0.8}
STOPPED = {
    "limit": "refused by the system: address-space limit",
    "watch": "no such limit here: stopped itself",
    "none": "no limit",
}


def bars(
    values: pd.Series,
    *,
    states: list[str],
    xlabel: str,
    labels: list[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Return horizontal bars, the first on top, each with its number behind it.

    Parameters
    ----------
    values: words to number
    states: "clean", "broken" or "fixed" for each
    labels: what to write behind each bar; the number without one
    """
    ax = axes(ax, figsize=(7.2, 0.48 * len(values) + 1.3))
    places = np.arange(len(values))
    colours = [COLOURS[state] for state in states]
    hatches = [HATCHES[state] for state in states]
    drawn = ax.barh(places, values, 0.7, color=colours, hatch=hatches, edgecolor="white")
    words = labels or [f"{value:,.0f}" for value in values]
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.bar_label(drawn, words, padding=4, fontsize=9, bbox=box, zorder=3)
    ax.set_yticks(places, values.index)
    ax.set(ylim=(len(values) - 0.4, -0.6), xlabel=xlabel)
    ax.set_xlim(0, float(values.max()) * 1.25)
    return ax


def race(table: pd.DataFrame, *, room_mb: float, ax: Axes | None = None) -> Axes:
    """Return the memory that each way took beyond its start, and which of them died.

    Parameters
    ----------
    table: one row per way: ended, peak_mb, start_mb and stop, as `in_child` reports them
    room_mb: the room that each had
    """
    taken = (table["peak_mb"] - table["start_mb"]).clip(lower=1)
    dead = table["ended"] != "finished"
    states = ["broken" if died else "fixed" for died in dead]
    words = [str(ended) for ended in table["ended"]]
    xlabel = f"resident memory taken (MB); {STOPPED[table['stop'].iloc[0]]}"
    ax = bars(taken, states=states, xlabel=xlabel, labels=words, ax=ax)
    ax.axvline(room_mb, **LIMIT)
    ax.text(room_mb, len(table) - 0.45, " room", fontsize=9, va="bottom")
    ax.set_xlim(0, max(float(taken.max()), room_mb) * 1.35)
    ax.set_title(f"{int(dead.sum())} of {len(table)} died with {room_mb:.0f} MB of room")
    return ax


def small_files(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return what many small files add: the bytes of their footers beside the data.

    Parameters
    ----------
    table: index number of files; columns bytes (column chunks that are read) and footers
    """
    ax = axes(ax, figsize=(7.2, 3.6))
    for name, state, words in (("bytes", "clean", "data"), ("footers", "broken", "footers")):
        sizes = table[name] / 1e6
        ax.plot(table.index, sizes, LINES[state], color=COLOURS[state], marker="o")
        ax.annotate(words, (table.index[-1], sizes.iloc[-1]), (8, 0), textcoords="offset points",
                    color=COLOURS[state], va="center", annotation_clip=False)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="files", ylabel="MB to fetch")
    last = table.iloc[-1]
    share = last["footers"] / (last["footers"] + last["bytes"])
    ax.set_title(f"In {table.index[-1]} files, {share:.0%} of what is fetched says where to look")
    return ax


def reducers(hot: np.ndarray, salted: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Return the rows of each reducer, largest first, with the key as it is and with salt.

    Parameters
    ----------
    hot, salted: rows per reducer, of equal sums
    """
    ax = axes(ax, figsize=(7.2, 3.6))
    x = np.arange(1, len(hot) + 1)
    for words, loads, state in (("by user", hot, "broken"), ("by user and salt", salted, "fixed")):
        y = np.sort(loads, kind="stable")[::-1]
        ax.plot(x, y, LINES[state], color=COLOURS[state], marker="o", markersize=4)
        said: dict[str, Any] = {"textcoords": "offset points", "color": COLOURS[state]}
        place = 0 if state == "broken" else len(x) // 2  # where no other line is
        ax.annotate(words, (x[place], y[place]), (10, -3 if state == "broken" else 8), **said)
    ax.set(ylim=(0, float(hot.max()) * 1.1), xlabel="reducer, largest first", ylabel="rows it gets")
    times = hot.max() / salted.max()
    ax.set_title(f"One key gives one reducer {times:.1f} times the rows that any gets with salt")
    return ax


def medians(
    errors: dict[str, tuple[str, np.ndarray]], *, limit: float, ax: Axes | None = None
) -> Axes:
    """Return relative errors as the share of users that are off by more, on log axes.

    Parameters
    ----------
    errors: words to state ("clean", "broken", "fixed") and relative errors, one per user
    limit: the error that is declared
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    for words, (state, each) in errors.items():
        off = np.sort(np.abs(each[np.isfinite(each)]), kind="stable")
        above = 1 - np.arange(len(off)) / len(off)
        seen = off > 1e-4
        ax.plot(off[seen], above[seen], LINES[state], color=COLOURS[state], linewidth=2)
        place, left = int(seen.sum() * 0.6), state == "fixed"
        beside: dict[str, Any] = {"textcoords": "offset points", "ha": "right" if left else "left"}
        spot = (-8, -8) if left else (8, 4)
        ax.annotate(words, (off[seen][place], above[seen][place]), spot, color=COLOURS[state],
                    **beside)  # fmt: skip
    ax.axvline(limit, **LIMIT)
    ax.text(limit, 1.02, " declared error", fontsize=9)
    ax.set(xscale="log", ylim=(0, 1.1), xlabel="relative error of a user's median",
           ylabel="share of users that are off by more")  # fmt: skip
    return ax


def room(
    lines: dict[str, tuple[str, float]], *, memory_gb: list[int], ax: Axes | None = None
) -> Axes:
    """Return how much memory a table takes as it grows, and where that passes some machines.

    Parameters
    ----------
    lines: words to state ("clean", "broken", "fixed") and MB for a million rows at the peak
    memory_gb: machines to draw
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    millions = np.logspace(0, 4, 41)
    for words, (state, each) in lines.items():
        y = each * millions / 1024
        ax.plot(millions, y, LINES[state], color=COLOURS[state], linewidth=2)
        ax.annotate(words, (millions[-1], y[-1]), (6, 0), textcoords="offset points", va="center",
                    color=COLOURS[state], annotation_clip=False)  # fmt: skip
    for size in memory_gb:
        ax.axhline(size, **LIMIT)
        ax.text(1, size, f"{size} GB", va="bottom", fontsize=9)
    ax.set(xscale="log", yscale="log", xlabel="million rows", ylabel="GB at the peak")
    return ax
