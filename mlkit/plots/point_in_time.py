"""What two splits promise for a feature that holds the future, and what production gets."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlkit.plots import COLOURS, HATCHES, axes

COLUMNS = {
    "random": "random split",
    "temporal": "temporal split",
    "replay": "replay\nas of the request",
    "production": "production\nthe truth",
}
STATES = {"table": "broken", "as_of": "fixed"}
NAMES = {"table": "finished table", "as_of": "as of the request"}


def two_splits(scores: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return bars of what each split claims for each feature, of the replay, and of production.

    Parameters
    ----------
    scores: shares of right decisions; index table and as_of; columns random, temporal, replay and
        production
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    for place, (feature, state) in enumerate(STATES.items()):
        x = np.arange(len(COLUMNS)) + (place - 0.5) * 0.4
        heights = scores.loc[feature, list(COLUMNS)].to_numpy(float)
        bars = ax.bar(
            x, heights, 0.38, color=COLOURS[state], hatch=HATCHES[state], edgecolor="white"
        )
        ax.bar_label(bars, [f"{height:.3f}" for height in heights], fontsize=9, padding=2)
        box = {"facecolor": COLOURS[state], "edgecolor": "none", "pad": 1.5}
        said: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 9}
        ax.text(x[0], 0.03, NAMES[feature], bbox=box, color="white", **said)
    ax.axvline(1.5, color="#222222", linewidth=0.8)
    ax.text(1.45, 0.98, "what a split claims", ha="right", va="top", fontsize=9)
    ax.text(1.55, 0.98, "what comes of it", va="top", fontsize=9)
    ax.set_xticks(range(len(COLUMNS)), list(COLUMNS.values()))
    ax.set(ylim=(0, 1), ylabel="share of right decisions")
    table = scores.loc["table"]
    ax.set_title(
        f"Both splits promise {table['random']:.2f} and {table['temporal']:.2f}; "
        f"production gets {table['production']:.2f}"
    )
    return ax
