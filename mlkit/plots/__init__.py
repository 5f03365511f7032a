"""Figures with one look: functions take data and `ax`, return the Axes, and never show.

Broken is vermilion and dashed or hatched, repaired is blue and solid, clean is grey, so that the
figures read without colour too. A title states the finding and is formatted from the data.
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.tables import write_bytes

COLOURS = {"clean": "#595959", "broken": "#D55E00", "fixed": "#0072B2", "context": "#BFBFBF"}
HATCHES = {"clean": "", "broken": "///", "fixed": ""}
LINES = {"clean": ":", "broken": "--", "fixed": "-"}
ON_BAR: dict[str, Any] = {"rotation": 90, "ha": "center", "fontsize": 8, "color": "white"}
LOW = 0.3  # a bar below this height has no room for its name
FULL = 0.95  # above it the number on a bar would touch the title
PATHS = {"clean": "training path", "broken": "serving path"}
NAMES = {"clean": "healthy", "broken": "broken", "fixed": "repaired"}
SCORES = {
    "offline": "what the team reports",
    "honest": "the best estimate",
    "production": "the truth",
}
STYLE = "mlkit.lesson"  # for plt.style.use, in the first cell of a notebook


def axes(ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Return `ax`, or the Axes of a new figure that no window manager knows of."""
    return Figure(**kwargs).subplots() if ax is None else ax


def png(ax: Axes) -> bytes:
    """Return the figure of `ax` as PNG: the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure = ax.figure.get_figure(root=True)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save(ax: Axes, file: Path) -> None:
    """Write the figure of `ax` as a PNG file."""
    write_bytes(png(ax), file)


def show(ax: Axes, *, alt: str) -> None:
    """Display the figure of `ax` in a notebook, with a text for those who do not see it.

    Raises
    ------
    ValueError: `alt` is empty
    """
    from IPython.display import display

    if not alt.strip():
        raise ValueError("alt: expected a sentence that says what the figure shows, came nothing")
    picture = {"image/png": base64.b64encode(png(ax)).decode(), "text/plain": f"Figure: {alt}"}
    display(picture, raw=True, metadata={"image/png": {"alt": alt}})


def three_scores(
    scores: dict[str, dict[str, float]],
    *,
    unit: str = "share of right decisions",
    also: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Return bars of offline, honest and production score for clean, broken and fixed tables.

    Parameters
    ----------
    scores: state ("clean", "broken", "fixed") to the dictionary that `score` returns
    unit: what the score is, on its axis
    also: further keys of the scores and what they are, in words: shares that stand beside them
    """
    ax = axes(ax)
    groups = {**SCORES, **(also or {})}
    keys = list(groups)
    labels = [f"{key}\n{words}" for key, words in groups.items()]
    width = 0.8 / len(scores)
    for place, (state, values) in enumerate(scores.items()):
        x = np.arange(len(keys)) + (place - (len(scores) - 1) / 2) * width
        heights = [values[key] for key in keys]
        bars = ax.bar(
            x, heights, width * 0.94, color=COLOURS[state], hatch=HATCHES[state], edgecolor="white"
        )
        ax.bar_label(bars, [f"{height:.2f}" for height in heights], fontsize=8, padding=2)
        _name_bar(ax, x[0], heights[0], state)
    ax.set_xticks(range(len(keys)), labels)
    full = any(values[key] > FULL for values in scores.values() for key in keys)
    ax.set_ylim(0, 1.1 if full else 1)
    ax.set_ylabel(unit)
    broken = scores["broken"]
    ax.set_title(
        f"Offline says {broken['offline']:.2f}; production gets {broken['production']:.2f}"
        + (f", {scores['fixed']['production']:.2f} after the repair" if "fixed" in scores else "")
    )
    return ax


def _name_bar(ax: Axes, x: float, height: float, state: str) -> None:
    """Write the name of a state into its bar, or above where there is no room inside."""
    if height < LOW:
        ax.text(x, height + 0.07, NAMES[state], **{**ON_BAR, "color": COLOURS[state]})
        return
    box = {"facecolor": COLOURS[state], "edgecolor": "none", "pad": 1.5}
    ax.text(x, 0.03, NAMES[state], bbox=box, **ON_BAR)


def marginals(
    served: pd.Series, recomputed: pd.Series, *, unit: str, ax: Axes | None = None
) -> Axes:
    """Return both distributions of one feature on shared axes, as a dashboard would show them."""
    ax = axes(ax)
    top = float(np.nanquantile(recomputed, 0.98))
    bins = np.linspace(0, top, 41)
    for state, values in (("clean", recomputed), ("broken", served)):
        heights, _ = np.histogram(values.dropna(), bins)
        ax.stairs(heights, bins, color=COLOURS[state], linestyle=LINES[state], linewidth=2)
        ax.plot([], [], color=COLOURS[state], label=f"{PATHS[state]}: mean {values.mean():.1f}")
    ax.legend(labelcolor="linecolor", handlelength=0, prop={"weight": "bold"})
    ax.set_xlim(0, top)
    ax.set_xlabel(f"{recomputed.name} ({unit})")
    ax.set_ylabel("offers")
    ax.set_title(f"The averages: {recomputed.mean():.1f} and {served.mean():.1f} {unit}")
    return ax


def paired(
    served: pd.Series,
    recomputed: pd.Series,
    *,
    unit: str,
    rtol: float = 0.01,
    ax: Axes | None = None,
) -> Axes:
    """Return served against recomputed, one point per offer; on the diagonal both agree."""
    ax = axes(ax)
    both = (served > 0) & (recomputed > 0)
    wrong = ~np.isclose(served, recomputed, rtol=rtol, equal_nan=True)
    low, high = recomputed[both].quantile([0.001, 0.999])
    for state, rows in (("broken", both & wrong), ("clean", both & ~wrong)):
        ax.plot(
            recomputed[rows],
            served[rows],
            ".",
            color=COLOURS[state],
            markersize=2,
            alpha=0.35,
            rasterized=True,
        )
    ax.plot([low, high], [low, high], color="#222222", linewidth=0.8)
    ax.set(xscale="log", yscale="log", xlim=(low, high))
    ax.set_xlabel(f"{recomputed.name}, recomputed ({unit})")
    ax.set_ylabel(f"as served ({unit})")
    ax.text(high, high, " equal", va="center", fontsize=9)
    ax.set_title(f"{wrong.mean():.0%} of the offers were served another {recomputed.name}")
    return ax


def sweep(
    x: list[float],
    lines: dict[str, list[float]],
    *,
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """Return one labelled line per state ("clean", "broken", "fixed") over a knob."""
    ax = axes(ax)
    for state, y in lines.items():
        ax.plot(x, y, LINES[state], color=COLOURS[state], marker="o")
        if len(lines) > 1:
            ax.text(x[-1], y[-1], f"  {NAMES[state]}", va="center", color=COLOURS[state])
            ax.margins(x=0.16)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    return ax


def worlds(
    losses: pd.DataFrame,
    *,
    xlabel: str = "accuracy lost in production (right: harm, left: gain)",
    ax: Axes | None = None,
) -> Axes:
    """Return one dot per world: what the fault costs, by kind of world.

    Parameters
    ----------
    losses: columns world (text) and loss (points of accuracy, in [-1, 1])
    """
    ax = axes(ax)
    names = list(dict.fromkeys(losses["world"]))
    for row, name in enumerate(names):
        values = losses.loc[losses["world"] == name, "loss"].to_numpy()
        state = "broken" if values.mean() > 0 else "fixed"
        lift = np.linspace(-0.18, 0.18, len(values))
        ax.plot(
            values, row + lift, "o" if state == "broken" else "D", color=COLOURS[state], alpha=0.7
        )
        ax.plot([values.mean()] * 2, [row - 0.32, row + 0.32], color="#222222", linewidth=1.5)
        ax.text(values.mean(), row - 0.36, f"{values.mean():+.3f}", ha="center", fontsize=9)
    ax.axvline(0, color="#8C8C8C", linewidth=0.8)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.8)
    ax.set_xlabel(xlabel)
    return ax


def heat(table: pd.DataFrame, *, fired: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Return a table of numbers with the cells marked in which a check fired.

    Parameters
    ----------
    table: numbers to print, one row per fault and one column per check
    fired: booleans of the same shape; True cells are filled and bold
    """
    ax = axes(ax, figsize=(7.2, 0.42 * len(table) + 1.2))
    for y, fault in enumerate(table.index):
        for x, check in enumerate(table.columns):
            hot = bool(fired.loc[fault, check])
            colour = COLOURS["fixed"] if hot else "#F2F2F2"
            ax.add_patch(plt.Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, color=colour))
            ax.text(
                x,
                y,
                f"{table.loc[fault, check] + 0.0:z.2f}",
                ha="center",
                va="center",
                color="white" if hot else "#595959",
                fontweight="bold" if hot else "normal",
            )
    ax.set(xlim=(-0.5, table.shape[1] - 0.5), ylim=(len(table) - 0.5, -0.5))
    ax.set_xticks(range(table.shape[1]), table.columns)
    ax.set_yticks(range(len(table)), table.index)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.spines[:].set_visible(False)
    return ax


def pictures(truth: pd.Series, served: dict[str, pd.Series], *, unit: str) -> Axes:
    """Return small unlabelled pictures side by side: what was served against what is true."""
    figure = Figure(figsize=(7.2, 2.3))
    panels = figure.subplots(1, len(served), sharex=True, sharey=True)
    top = float(truth.quantile(0.98))
    for ax, (name, values) in zip(panels, served.items(), strict=True):
        ax.plot(truth, values, ".", color=COLOURS["clean"], markersize=1.5, alpha=0.3)
        ax.plot([0, top], [0, top], color="#222222", linewidth=0.6)
        ax.set(xlim=(0, top), ylim=(-0.04 * top, top), title=name, xticks=[], yticks=[])
    panels[0].set_ylabel(f"as served ({unit})")
    figure.supxlabel(f"{truth.name}, recomputed ({unit})", fontsize=9)
    return panels[0]


def bets(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return each bet beside its truth, a line between them.

    Parameters
    ----------
    table: one row per bet, columns guess and truth in the same unit
    """
    ax = axes(ax, figsize=(6, 0.45 * len(table) + 1.4))
    rows = np.arange(len(table))
    for row, guess, truth in zip(rows, table["guess"], table["truth"], strict=True):
        ax.plot([guess, truth], [row, row], color=COLOURS["context"], linewidth=3, zorder=1)
    ax.plot(table["guess"], rows, "D", color=COLOURS["broken"], label="your bet")
    ax.plot(table["truth"], rows, "o", color=COLOURS["fixed"], label="the truth")
    ax.legend(labelcolor="linecolor", loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    ax.set_yticks(rows, table.index)
    ax.set_ylim(len(table) - 0.5, -0.5)
    miss = float((table["guess"] - table["truth"]).abs().astype(float).mean())
    ax.set_title(f"Your bets were {miss:.2f} off on average", pad=26)
    return ax


def timeline(
    weeks: pd.DataFrame, *, offline: float, live_from: pd.Timestamp, ax: Axes | None = None
) -> Axes:
    """Return what a team sees over the weeks of production, and what is true.

    Parameters
    ----------
    weeks: index UTC time; column accuracy in [0, 1]
    offline: the score that the team reports
    live_from: the moment of the change
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    before, after = (weeks[at] for at in (weeks.index < live_from, weeks.index >= live_from))
    ax.axhline(offline, color=COLOURS["clean"], linestyle=":", linewidth=1.5)
    said: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 9}
    ax.text(weeks.index[-1], offline + 0.01, "what the team reports: offline", **said)
    ax.plot(before.index, before["accuracy"], "-o", color=COLOURS["fixed"], markersize=4)
    ax.plot(after.index, after["accuracy"], "--s", color=COLOURS["broken"], markersize=4)
    box: dict[str, Any] = {
        "color": COLOURS["broken"],
        "fontweight": "bold",
        "va": "top",
        "ha": "right",
    }
    ax.text(weeks.index[-1], after["accuracy"].min() - 0.025, "what production gets", **box)
    ax.axvline(live_from, color="#222222", linewidth=0.8)
    ax.text(live_from, 0.985, " the service is rewritten", fontsize=9, va="top")
    ax.set(ylim=(0.45, 1.0), ylabel="share of right decisions")
    ax.tick_params(axis="x", labelsize=8)
    return ax


def lamps(ax: Axes, checks: list[str]) -> Axes:
    """Return the Axes with a strip of green lamps below it, each with its words."""
    for place, check in enumerate(checks):
        x = (place + 0.02) / len(checks)
        dot: dict[str, Any] = {"transform": ax.transAxes, "clip_on": False}
        ax.plot(x + 0.015, -0.2, "o", color="#2E7D32", markersize=9, **dot)
        ax.text(x + 0.04, -0.2, f"{check}: passed", fontsize=9, va="center", **dot)
    return ax


def journey(places: dict[str, list[str]], *, ax: Axes | None = None) -> Axes:
    """Return a map: the stations of a pipeline from left to right, and what goes wrong at each."""
    ax = axes(ax, figsize=(7.6, 2.2))
    last = len(places) - 1
    ax.plot([0, last], [0, 0], color=COLOURS["context"], linewidth=10, zorder=1)
    for x, (station, faults) in enumerate(places.items()):
        ax.plot(x, 0, "o", color=COLOURS["fixed"], markersize=16, zorder=2)
        ax.text(x, 0.22, station, ha="center", fontweight="bold", fontsize=10)
        ax.text(x, -0.24, "\n".join(faults), ha="center", va="top", fontsize=9, linespacing=1.6)
    ax.set(xlim=(-0.55, last + 0.55), ylim=(-1.0, 0.45), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax
