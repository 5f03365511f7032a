"""Figures of lesson 10: what was reported and is left, who finds whom where, what a refit moves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mlkit.plots import COLOURS, HATCHES, axes

BEFORE, AFTER = ("raw\nbefore", "decoding\nbefore"), ("raw\nafter", "decoding\nafter")
CELLS = {  # word to colours of face, edge and ink
    "": ("#F2F2F2", "white", "white"),
    "finds": (COLOURS["clean"], "white", "white"),
    "takes rows": (COLOURS["fixed"], "white", "white"),
    "still": ("#FBE3D0", COLOURS["broken"], "#222222"),
}
SMALL: dict[str, Any] = {"fontsize": 9, "va": "center"}


def left(found: pd.Series, *, listed: Sequence[str], ax: Axes | None = None) -> Axes:
    """Return how many rows of those who asked each store still holds.

    Parameters
    ----------
    found: rows left, index the stores
    listed: the stores on the list, of which the report says 0
    """
    ax = axes(ax, figsize=(7.2, 0.3 * len(found) + 1.3))
    rows = np.arange(len(found))
    ax.barh(rows, found, 0.62, color=COLOURS["broken"], hatch=HATCHES["broken"], edgecolor="white")
    for y, (store, n) in enumerate(found.items()):
        words = "reported: 0 left" if store in listed else "not on the list"
        ax.text(n, y, f"  {n:.0f}   ({words})", **SMALL)
    ax.set_yticks(rows, list(found.index))
    ax.set_ylim(len(found) - 0.4, -0.6)
    ax.set_xlim(0, max(1.0, float(found.max())) * 1.5)
    ax.set_xlabel("rows of those who asked, found by their keys")
    full = int((found > 0).sum())
    ax.set_title(f"The report says 0 rows left; {full} of {len(found)} stores hold the people")
    return ax


def searches(looks: dict[str, pd.DataFrame], stores: list[str], *, emptied: list[str]) -> Axes:
    """Return who finds a person in which store, before a DELETE and after it.

    Parameters
    ----------
    looks: "raw before", "raw after", "decoding before" and "decoding after" to what each search
        found: a column store
    stores: all of them, in order
    emptied: those of which the DELETE took rows
    """
    cells = pd.DataFrame("", index=stores, columns=[*BEFORE, "DELETE", *AFTER])
    for title, word in {**dict.fromkeys(BEFORE, "finds"), **dict.fromkeys(AFTER, "still")}.items():
        cells.loc[cells.index.isin(looks[title.replace("\n", " ")]["store"]), title] = word
    cells.loc[cells.index.isin(emptied), "DELETE"] = "takes rows"
    ax = axes(None, figsize=(8.2, 0.3 * len(cells) + 1.3))
    for y, (_, row) in enumerate(cells.iterrows()):
        for x, word in enumerate(row):
            _cell(ax, x, y, word)
    ax.set_xticks(range(cells.shape[1]), list(cells.columns), fontsize=9)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(cells)), list(cells.index), fontsize=9)
    ax.set(xlim=(-0.55, cells.shape[1] - 0.45), ylim=(len(cells) - 0.45, -0.55))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    left, shown = (looks[f"{how} after"]["store"].nunique() for how in ("decoding", "raw"))
    ax.set_title(
        f"After the DELETE she is in {left} of {len(stores)} stores; raw bytes show {shown}", pad=24
    )
    return ax


def _cell(ax: Axes, x: int, y: int, word: str) -> None:
    """Draw one cell of a table; a word says in which state it is, a colour says it again."""
    face, edge, ink = CELLS[word]
    hatch = HATCHES["broken"] if word == "still" else None
    place = ((x - 0.47, y - 0.42), 0.94, 0.84)
    ax.add_patch(Rectangle(*place, facecolor=face, edgecolor=edge, linewidth=0.6, hatch=hatch))
    box = {"facecolor": face, "edgecolor": "none", "pad": 1} if hatch else None
    ax.text(x, y, word, ha="center", va="center", fontsize=8, color=ink, bbox=box)


def moves(refits: dict[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Return how far scores move without one person, a dot for each, and without one percent.

    Parameters
    ----------
    refits: name of a model to its refits (see `mlkit.compliance.influence.refits`)
    """
    ax = axes(ax, figsize=(7.2, 2.6))
    people = {m: t.filter(like="person", axis=0)["mean"].clip(lower=1e-6)
              for m, t in refits.items()}  # fmt: skip
    for y, (model, mean) in enumerate(people.items()):
        ax.scatter(mean, np.full(len(mean), y), s=44, alpha=0.55, color=COLOURS["clean"])
        many = refits[model].loc["one percent", "mean"]
        ax.scatter(many, y + 0.3, marker="D", s=40, facecolor="white", edgecolor="#222222")
        ax.annotate("one percent of them", (many, y + 0.3), xytext=(8, 0),
                    textcoords="offset points", **SMALL)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yticks(range(len(people)), [f"{m}:\none person each" for m in people])
    ax.set_ylim(len(people) - 0.4, -0.4)
    ax.set_xlabel("mean move of everybody else's scores (the same rows: none)")
    folds = ", ".join(f"{model} {m.max() / m.min():.3g}-fold" for model, m in people.items())
    ax.set_title(f"Who goes matters: {folds}")
    return ax
