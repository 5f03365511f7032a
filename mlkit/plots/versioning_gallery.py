"""Figures of the gallery of challenge 4: where runs part, how far they differ, what is stored."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mlkit.plots import COLOURS, HATCHES, LINES, axes


def partings(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return which steps of two runs have unlike hashes, one row per cause.

    Parameters
    ----------
    table: index causes, columns steps in order, values bool: do the hashes differ?
    """
    ax = axes(ax, figsize=(7.2, 0.5 * len(table) + 1.3))
    first = table.to_numpy().argmax(axis=1)
    for row, unlike in enumerate(table.to_numpy()):
        for step, differs in enumerate(unlike):
            word = ("parts" if step == first[row] else "differs") if differs else "="
            _cell(ax, step, row, word)
    ax.set_xticks(range(table.shape[1]), [name.replace("_", "\n") for name in table])
    ax.set_yticks(range(len(table)), table.index)
    ax.set_xlim(-0.6, table.shape[1] - 0.4)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(length=0)
    found = {table.columns[at] for at, any_ in zip(first, table.any(axis=1), strict=True) if any_}
    ax.set_title(f"{int(table.any(axis=1).sum())} faults, {len(found)} steps at which runs part")
    return ax


def _cell(ax: Axes, step: int, row: int, word: str) -> None:
    """A box with its word: hatched where runs part, grey where they differ, empty where equal."""
    parts, equal = word == "parts", word == "="
    fill = COLOURS["broken" if parts else "context"]
    style: dict[str, Any] = {
        "facecolor": "white" if equal else fill,
        "edgecolor": fill if equal else "white",
        "hatch": HATCHES["broken"] if parts else "",
    }
    ax.add_patch(Rectangle((step - 0.46, row - 0.42), 0.92, 0.84, **style))
    box = {"facecolor": fill, "edgecolor": "none", "pad": 1} if parts else None
    colour = "white" if parts else "#222222"
    ax.text(step, row, word, ha="center", va="center", fontsize=8, color=colour, bbox=box)


def strips(accuracy: dict[str, pd.Series], *, ax: Axes | None = None) -> Axes:
    """Return the accuracy of each run as a dot, a strip for each recipe.

    Parameters
    ----------
    accuracy: recipe to the accuracies of its runs, in [0, 1]; the first is the settled one
    """
    ax = axes(ax, figsize=(7.2, 0.55 * len(accuracy) + 1.3))
    for row, values in enumerate(accuracy.values()):
        colour = COLOURS["broken" if row else "fixed"]
        height = row + 0.24 * np.sin(np.arange(len(values)) * 2.4)  # apart, not at random
        face = "none" if row else colour
        ax.plot(values, height, "o", markersize=5, color=colour, markerfacecolor=face)
        ax.text(
            1.02,
            row,
            f"{values.min():.3f} to {values.max():.3f}" if values.nunique() > 1 else "one score",
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=colour,
        )
    ax.set_yticks(range(len(accuracy)), list(accuracy))
    ax.set_ylim(len(accuracy) - 0.5, -0.5)
    ax.set_xlabel("accuracy on the run's own test rows")
    every = pd.concat(list(accuracy.values()))
    ax.set_title(f"The same rows and code score {every.min():.3f} to {every.max():.3f}")
    return ax


def digits(gaps: pd.Series, *, ax: Axes | None = None) -> Axes:
    """Return the largest gap between features by the number of parts in which sums are added.

    Parameters
    ----------
    gaps: index numbers of workers, values largest absolute differences to one worker
    """
    ax = axes(ax, figsize=(6, 2.8))
    x = np.arange(len(gaps))
    ax.bar(x, gaps / 1e-14, 0.6, color=COLOURS["broken"], hatch="///", edgecolor="white")
    ax.set_xticks(x, gaps.index)
    ax.set_xlabel("workers that add up their part")
    ax.set_ylabel("largest gap ($10^{-14}$)")
    ax.set_title(f"Other workers, other digits: up to {gaps.max():.0e}")
    return ax


def later(flips: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return the share of decisions that a later run of the same recipe takes otherwise.

    Parameters
    ----------
    flips: index days between the two runs, columns "now" and "as_of", values in [0, 1]
    """
    ax = axes(ax, figsize=(6, 2.8))
    names = {"now": ("broken", "days up to now"), "as_of": ("fixed", "days up to the offer")}
    for column, (state, name) in names.items():
        ax.plot(flips.index, flips[column] * 1e4, LINES[state], color=COLOURS[state], marker="o")
        ax.annotate(
            name,
            (1.02, flips[column].iloc[-1] * 1e4),
            xycoords=("axes fraction", "data"),
            va="center",
            color=COLOURS[state],
            annotation_clip=False,
        )
    ax.set_xlabel("days between the two runs")
    ax.set_ylabel("decisions that flip\n(of 10,000)")
    most = flips["now"].max() * 1e4
    ax.set_ylim(-0.05 * max(most, 1), 1.1 * max(most, 1))
    ax.set_title(f"The clock on the wall moves at most {most:.0f} in 10,000 decisions")
    return ax


def stored(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return what each way of keeping versions takes up, as a share of whole copies.

    Parameters
    ----------
    table: see `mlkit.versioning.storage.stored`
    """
    ax = axes(ax, figsize=(7.2, 0.62 * len(table) + 1.4))
    share = table.div(table["copies"], axis=0)
    places = {"files by hash": ("broken", -0.2), "parts by hash": ("fixed", 0.2)}
    rows = np.arange(len(share))
    for name, (state, shift) in places.items():
        style: dict[str, Any] = {
            "color": COLOURS[state],
            "hatch": HATCHES[state],
            "edgecolor": "white",
        }
        bars = ax.barh(rows + shift, share[name], 0.36, label=name, **style)
        ax.bar_label(bars, [f"{value:.2f}" for value in share[name]], fontsize=8, padding=3)
    ax.axvline(1, color=COLOURS["clean"], linestyle=LINES["clean"])
    ax.text(1.01, -0.2, "copies", color=COLOURS["clean"], fontsize=9, va="center")
    ax.set_yticks(rows, share.index)
    ax.set_ylim(len(share) - 0.4, -0.6)
    ax.set_xlim(0, 1.2)
    ax.set_xlabel("bytes, as a share of whole copies")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    low = share.loc["grows"]
    title = f"A table that grows: files save {1 - low['files by hash']:.0%}, parts "
    ax.set_title(title + f"{1 - low['parts by hash']:.0%}", pad=26)
    return ax


def months(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return how many rows of each month came, and how many changed, between two versions.

    Parameters
    ----------
    counts: index months as text, columns "added" and "changed": rows
    """
    ax = axes(ax, figsize=(7.2, 3))
    x = np.arange(len(counts))
    for place, (name, state) in enumerate((("added", "fixed"), ("changed", "broken"))):
        style: dict[str, Any] = {
            "color": COLOURS[state],
            "hatch": HATCHES[state],
            "edgecolor": "white",
        }
        bars = ax.bar(x + (place - 0.5) * 0.42, counts[name], 0.4, label=name, **style)
        ax.bar_label(bars, [f"{v:,}" if v else "" for v in counts[name]], fontsize=8, padding=2)
    ax.set_xticks(x, counts.index)
    ax.set_ylim(0, 1.15 * max(1, int(counts.to_numpy().max())))
    ax.set_ylabel("rows")
    ax.set_xlabel("month of the purchase")
    ax.legend()
    changed = f"{counts['changed'].max():,} rows of month {counts['changed'].idxmax()} changed"
    ax.set_title(f"{counts['added'].sum():,} rows came, as expected; {changed}")
    return ax
