"""Figures of challenge 7: what is left after a crash and a retry, what readers see meanwhile."""

from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlkit.lineage import Stage
from mlkit.orchestration.crashes import heat_table
from mlkit.plots import COLOURS, HATCHES, axes


def crash_map(table: pd.DataFrame, *, due: int, ax: Axes | None = None) -> Axes:
    """Return wrong rows after a successful retry, by design and kill point.

    A cell with wrong rows is filled, hatched and bold; one without says 0; a design that has no
    such point has a dot.

    Parameters
    ----------
    table: wrong rows, one row per design and one column per kill point; NaN: no such point
    due: rows that the date should have
    """
    ax = _grid(table, axes(ax, figsize=(7.8, 0.5 * len(table) + 1.5)))
    for y, x in np.ndindex(*table.shape):
        wrong = table.iloc[y, x]
        if np.isnan(wrong):
            ax.text(x, y, "·", ha="center", va="center", color="#8C8C8C")
            continue
        bad = wrong > 0
        look: dict[str, Any] = {
            "facecolor": COLOURS["broken"] if bad else "#F2F2F2",
            "edgecolor": "white",
        }
        hatch = HATCHES["broken"] if bad else ""
        ax.add_patch(plt.Rectangle((x - 0.47, y - 0.42), 0.94, 0.84, hatch=hatch, **look))
        _number(ax, x, y, f"{wrong:.0f}", state="broken" if bad else "clean")
    clean = int(((table == 0) | table.isna()).all(axis=1).sum())
    ax.set_title(f"Wrong rows after a retry, of {due}: {clean} of {len(table)} designs have none",
                 pad=34)  # fmt: skip
    return ax


def readers(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return which share of a date readers see between a crash and its retry.

    Parameters
    ----------
    table: rows of `mlkit.orchestration.crash_table`: design, point, seen, due, partial
    """
    wide = table.assign(share=table["seen"] / table["due"])
    share, partial = (heat_table(wide, value) for value in ("share", "partial"))
    ax = _grid(share, axes(ax, figsize=(7.8, 0.5 * len(share) + 1.5)))
    for y, x in np.ndindex(*share.shape):
        seen = share.iloc[y, x]
        if np.isnan(seen):
            ax.text(x, y, "·", ha="center", va="center", color="#8C8C8C")
            continue
        state = "broken" if partial.iloc[y, x] else "clean"
        ax.add_patch(plt.Rectangle((x - 0.47, y - 0.42), 0.94, 0.84, facecolor="#F2F2F2"))
        height = 0.84 * min(seen, 1.0)
        look: dict[str, Any] = {
            "facecolor": COLOURS[state],
            "edgecolor": "white",
            "hatch": HATCHES[state],
        }
        ax.add_patch(plt.Rectangle((x - 0.47, y + 0.42 - height), 0.94, height, **look))
        _number(ax, x, y, f"{seen:.0%}", state=state)
    shown = int(partial.fillna(False).astype(bool).any(axis=1).sum())
    ax.set_title(f"Share of the date that readers see meanwhile: {shown} of {len(share)} designs "
                 "show a part", pad=34)  # fmt: skip
    return ax


def _grid(table: pd.DataFrame, ax: Axes) -> Axes:
    ax.set(xlim=(-0.5, table.shape[1] - 0.5), ylim=(len(table) - 0.5, -0.5))
    labels = [str(name).replace(" ", "\n", 1) for name in table.columns]
    ax.set_xticks(range(table.shape[1]), labels, fontsize=9)
    ax.set_yticks(range(len(table)), table.index)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.spines[:].set_visible(False)
    return ax


def _number(ax: Axes, x: float, y: float, text: str, *, state: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
    weight = "bold" if state == "broken" else "normal"
    ax.text(x, y, text, ha="center", va="center", color=COLOURS[state], fontweight=weight,
            bbox=box)  # fmt: skip


def by_kind(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return for each kind of fault the share of wrong offers, and beside it what accuracy loses.

    Parameters
    ----------
    table: index kind; columns wrong (share of offers) and lost (accuracy)
    """
    ax = axes(ax, figsize=(7.4, 0.46 * len(table) + 1.3))
    rows = table.sort_values("wrong", kind="stable")
    ax.barh(range(len(rows)), rows["wrong"], 0.6, color=COLOURS["broken"],
            hatch=HATCHES["broken"], edgecolor="white")  # fmt: skip
    for y, (wrong, lost) in enumerate(rows[["wrong", "lost"]].to_numpy()):
        said = f"  {wrong:.1%} of the offers, accuracy {0.0 - lost:+z.3f}"
        ax.text(wrong, y, said, va="center", fontsize=9)
    ax.set_yticks(range(len(rows)), [str(kind).replace("_", " ") for kind in rows.index])
    ax.set_xlim(0, float(rows["wrong"].max()) * 1.75)
    ax.set_xlabel("share of the offers that were served a wrong feature")
    most, moved = rows["wrong"].max(), rows["lost"].abs().max()
    ax.set_title(f"Up to {most:.0%} of the offers wrong, accuracy moves by {moved:.3f} at most")
    return ax


def alike(shares: pd.Series, *, ax: Axes | None = None) -> Axes:
    """Return the share of honest rows that `drop_duplicates` deletes, by what a table keeps.

    Parameters
    ----------
    shares: index the columns that are kept, in words; values in [0, 1]
    """
    ax = axes(ax, figsize=(7.2, 0.42 * len(shares) + 1.2))
    ax.barh(range(len(shares)), shares, 0.6, color=COLOURS["broken"], hatch=HATCHES["broken"],
            edgecolor="white")  # fmt: skip
    for y, share in enumerate(shares):
        ax.text(share, y, f"  {share:.1%}", va="center", fontsize=9)
    ax.set_yticks(range(len(shares)), shares.index)
    ax.set_ylim(len(shares) - 0.5, -0.5)
    ax.set_xlim(0, max(float(shares.max()) * 1.15, 0.01))
    ax.set_xlabel("share of honest purchases that are deleted")
    ax.set_title(f"Alike is not twice: up to {shares.max():.1%} of honest rows go")
    return ax


def loads(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return held against due rows of each logical date, with the usual spread for comparison.

    Parameters
    ----------
    rows: index logical_date; columns due, missing, doubled
    """
    ax = axes(ax, figsize=(7.4, 3.4))
    held = rows["due"] - rows["missing"] + rows["doubled"]
    off = held != rows["due"]
    ax.plot(rows.index, rows["due"], ".", color=COLOURS["clean"], markersize=4)
    ax.plot(rows.index[off], held[off], "s", color=COLOURS["broken"], markersize=4)
    for at in rows.index[off]:
        ax.plot([at, at], [rows["due"][at], held[at]], "--", color=COLOURS["broken"], linewidth=1)
    last: dict[str, Any] = {"va": "center", "fontsize": 9, "fontweight": "bold"}
    ax.text(rows.index[-1], rows["due"].median(), "  due", color=COLOURS["clean"], **last)
    if off.any():
        ax.text(rows.index[-1], held[off].max(), "  held", color=COLOURS["broken"], **last)
    ax.margins(x=0.08)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("rows of the logical date")
    ax.tick_params(axis="x", labelsize=8)
    ax.set_title(f"{int(off.sum())} of {len(rows)} dates hold other rows than the source")
    return ax


def dag(stages: Sequence[Stage], *, ax: Axes | None = None) -> Axes:
    """Return the stages of a pipeline as a graph: what a stage needs stands above it.

    Parameters
    ----------
    stages: as `mlkit.lineage.stages` reads them; an arrow where one reads what another writes,
        unless a longer way says so already
    """
    writer = {out: stage.name for stage in stages for out in stage.outs}
    needs = {s.name: {writer[d] for d in s.deps if d in writer} - {s.name} for s in stages}
    depth: dict[str, int] = {}
    for name in TopologicalSorter(needs).static_order():
        depth[name] = max((depth[need] + 1 for need in needs[name]), default=0)
    levels = [[name for name in needs if depth[name] == d] for d in sorted(set(depth.values()))]
    widest = max(map(len, levels))
    place = {
        name: ((row + 0.5) * widest / len(names), level)
        for level, names in enumerate(levels)
        for row, name in enumerate(names)
    }
    ax = axes(ax, figsize=(7.4, 0.62 * len(levels) + 0.6))
    for late, early in _direct(needs):
        (x, y), (x0, y0) = place[late], place[early]
        ax.annotate("", (x, y - 0.2), (x0, y0 + 0.2),
                    arrowprops={"arrowstyle": "->", "color": "#8C8C8C"})  # fmt: skip
    for name, (x, y) in place.items():
        box = {"facecolor": "white", "edgecolor": COLOURS["fixed"], "boxstyle": "round"}
        ax.text(x, y, name, ha="center", va="center", fontsize=9, bbox=box)
    ax.set(xlim=(0, widest), ylim=(len(levels) - 0.5, -0.5), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(f"{len(stages)} stages on {len(levels)} levels: none runs before what it needs")
    return ax


def _direct(needs: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return pairs of a stage and what it needs, without those that follow from others."""
    above: dict[str, set[str]] = {}
    for name in TopologicalSorter(needs).static_order():
        above[name] = needs[name].union(*(above[need] for need in needs[name]))
    return [
        (name, need)
        for name in needs
        for need in sorted(needs[name])
        if not any(need in above[other] for other in needs[name])
    ]
