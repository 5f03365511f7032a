"""Figures with one look: functions take data and `ax`, return the Axes, and never show.

Broken is vermilion and dashed or hatched, repaired is blue and solid, clean is grey, so that the
figures read without colour too. A title states the finding and is formatted from the data.
"""

import base64
import io
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
NAMES = {"clean": "healthy", "broken": "broken", "fixed": "repaired"}
STYLE = "mlkit.lesson"


def axes(ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Return `ax`, or the Axes of a new figure in the kit's style."""
    if ax is not None:
        return ax
    with plt.style.context(STYLE):
        figure = Figure(**kwargs)
        return figure.subplots()


def png(ax: Axes) -> bytes:
    """Return the figure of `ax` as PNG: the same bytes for the same figure."""
    buffer = io.BytesIO()
    with plt.style.context(STYLE):
        ax.get_figure(root=True).savefig(buffer, format="png", metadata={"Software": None})
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


def three_scores(scores: dict[str, dict[str, float]], *, ax: Axes | None = None) -> Axes:
    """Return bars of offline, honest and production score for clean, broken and fixed tables.

    Parameters
    ----------
    scores: state ("clean", "broken", "fixed") to the dictionary that `score` returns
    """
    ax = axes(ax)
    keys = ["offline", "honest", "production"]
    labels = ["offline\nwhat the team reports", "honest\nmatured answers", "production\nthe truth"]
    width = 0.8 / len(scores)
    for place, (state, values) in enumerate(scores.items()):
        x = np.arange(len(keys)) + (place - (len(scores) - 1) / 2) * width
        heights = [values[key] for key in keys]
        bars = ax.bar(
            x, heights, width * 0.94, color=COLOURS[state], hatch=HATCHES[state], edgecolor="white"
        )
        ax.bar_label(bars, [f"{height:.2f}" for height in heights], fontsize=8, padding=2)
        for bar in bars[:1]:
            ax.text(
                bar.get_x() + bar.get_width() / 2, 0.02, NAMES[state], rotation=90,
                ha="center", va="bottom", fontsize=8, fontweight="bold",
                color="white", bbox={"facecolor": COLOURS[state], "edgecolor": "none", "pad": 1.5},
            )
    ax.set_xticks(range(len(keys)), labels)
    ax.set_ylim(0, 1)
    ax.set_ylabel("share of right decisions")
    broken = scores["broken"]
    ax.set_title(
        f"Offline says {broken['offline']:.2f}; production gets {broken['production']:.2f}"
        + (f", {scores['fixed']['production']:.2f} after the repair" if "fixed" in scores else "")
    )
    return ax
