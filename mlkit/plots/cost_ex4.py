"""Break-even: what optimisations have saved by day, and where a layout begins to pay."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS, LINES, axes

TOP = 4.0  # dollars: where the picture of break-even ends
ZERO: dict[str, Any] = {"color": "#222222", "linewidth": 0.8}


def break_even(saved: pd.DataFrame, paid: pd.Series, *, ax: Axes | None = None) -> Axes:
    """Return what each option has saved for each dollar paid at first, and from when on it pays.

    Parameters
    ----------
    saved: index day, one column per option, in what it costs at first
    paid: by option, the day from which on it pays; infinity: never
    """
    ax = axes(ax, figsize=(8.2, 4.4))
    days, last = saved.index.to_numpy(), saved.iloc[-1]
    ax.set(xlim=(days[0], days[-1] * 2), ylim=(-TOP, TOP), xlabel="day")
    heights = _apart(last[last.abs() < TOP])
    for name in saved:
        state = "fixed" if np.isfinite(paid[name]) else "broken"
        how = f"from day {paid[name]:.0f}" if state == "fixed" else "never"
        ax.plot(days, saved[name], LINES[state], color=COLOURS[state], linewidth=2)
        x = days[-1] if name in heights else days[saved[name].abs() >= TOP][0]
        y = heights.get(name, 0.93 * TOP * np.sign(last[name]))
        said: dict[str, Any] = {"color": COLOURS[state], "va": "center", "fontsize": 9}
        ax.text(x + 0.5, y, f"{name}: {how}", fontweight="bold", **said)
    ax.hlines(0, days[0], days[-1], **ZERO)
    never = int(np.isinf(paid).sum())
    ax.set_title(f"{len(paid) - never} of {len(paid)} optimisations pay, {never} never do")
    ax.set_ylabel("saved so far, for a dollar paid at first")
    ax.set_xticks([day for day in (1, 5, 10, 15, 20, 25, 30) if day <= days[-1]])
    return ax


def _apart(ends: pd.Series, gap: float = 0.1 * TOP) -> dict[str, float]:
    """Return where the name of each line stands: at its end, with room between the names."""
    heights: dict[str, float] = {}
    for name, end in ends.sort_values(kind="stable").items():
        heights[str(name)] = max([float(end), *(height + gap for height in heights.values())])
    return heights


def layouts(costs: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return what one look costs in two layouts, by the number of rows, rows on a logarithmic axis.

    Parameters
    ----------
    costs: index rows; two columns in USD, the plain layout first
    """
    ax = axes(ax, figsize=(6.4, 3.8))
    plain, split = costs.columns
    for name, state in ((plain, "clean"), (split, "fixed")):
        ax.plot(costs.index, costs[name] * 1e6, LINES[state], color=COLOURS[state], marker="o")
        said: dict[str, Any] = {"color": COLOURS[state], "fontweight": "bold", "va": "center"}
        ax.text(costs.index[-1] * 1.15, costs[name].iloc[-1] * 1e6, name, fontsize=9, **said)
    ax.set(xscale="log", xlabel="rows", ylabel="USD for a million looks", ylim=(0, None))
    ax.set_xlim(costs.index[0] * 0.8, costs.index[-1] * 5)
    worse = costs.index[costs[split] > costs[plain]]
    better = costs.index[costs[split] <= costs[plain]]
    ends = f"loses up to {worse[-1]:,} rows" if len(worse) else "never loses"
    wins = f"pays from {better[0]:,} on" if len(better) else "pays nowhere here"
    ax.set_title(f"{split[0].upper() + split[1:]} {ends}, {wins}")
    return ax


def four_savings(tables: dict[str, pd.Series]) -> Axes:
    """Return what four options have saved, day by day, one small picture per name.

    Parameters
    ----------
    tables: name to the money saved so far, by day
    """
    figure = Figure(figsize=(7.2, 2.1))
    row = figure.subplots(1, len(tables), sharex=True, sharey=True, squeeze=False)[0]
    top = max(float(table.abs().max()) for table in tables.values()) or 1.0
    for ax, (name, table) in zip(row, tables.items(), strict=True):
        ax.axhline(0, color=COLOURS["context"], linewidth=1, zorder=0)
        ax.plot(table.index, table, "-", color=COLOURS["clean"], linewidth=1.8)
        ax.set(title=name, xticks=[], yticks=[], ylim=(-1.15 * top, 1.15 * top))
    row[0].set(ylabel="saved so far", yticks=[0])
    figure.supxlabel("day", fontsize=9)
    return row[0]
