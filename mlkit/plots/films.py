"""Figures of the chest films: what is on them, and where the model looks."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from mlkit.leakage.films import ILL, share_on_lungs
from mlkit.plots import COLOURS, LINES

WHEN = {"broken": "before the repair", "fixed": "after", "clean": "in an even archive"}
GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255}


def where_it_looks(examples: dict[str, np.ndarray], maps: dict[str, np.ndarray]) -> Axes:
    """Return films of each kind above the places where the model finds its evidence.

    Parameters
    ----------
    examples: what is on a film, in words, to the film: grey values 0 to 255, shape (32, 32)
    maps: state ("broken", "fixed", "clean") to the evidence that the model finds, shape (32, 32),
        drawn as shares of all its evidence; the outlines are where pneumonia can be. An even
        archive is one in which equipment is as common among the healthy as among the sick

    Raises
    ------
    ValueError: no film or no map, or a map of another shape
    """
    if not examples or not maps:
        raise ValueError(
            f"expected at least one film and one map, came {len(examples)} and {len(maps)}"
        )
    shares = {state: share_on_lungs(evidence) for state, evidence in maps.items()}
    tall = min(3.4, 7.0 / len(maps))
    figure = Figure(figsize=(7.2, 2.3 + tall))
    rows: Any = figure.subfigures(2, 1, height_ratios=(2.2, tall + 0.1))
    small = rows[0].subplots(1, len(examples), squeeze=False)[0]
    large = rows[1].subplots(1, len(maps), squeeze=False)[0]
    for ax, (words, film) in zip(small, examples.items(), strict=True):
        _film(ax, film, words)
    under = np.mean(list(examples.values()), axis=0)
    found = {state: np.clip(evidence, 0, None) for state, evidence in maps.items()}
    found = {state: evidence / max(evidence.sum(), 1e-9) for state, evidence in found.items()}
    top = max(1e-9, *(evidence.max() for evidence in found.values()))
    for ax, (state, evidence) in zip(large, found.items(), strict=True):
        _film(ax, 190 + under / 4, f"{WHEN[state]}: {shares[state]:.0%}")
        ax.imshow(evidence, cmap=_ink(state), vmin=0, vmax=top)
        ax.contour(ILL, [0.5], colors=COLOURS[state], linestyles=LINES[state], linewidths=1.2)
    said = ", ".join(f"{shares[state]:.0%} {WHEN[state]}" for state in maps)
    title: dict[str, Any] = {"x": 0.02, "ha": "left", "fontsize": 11, "fontweight": "bold"}
    figure.suptitle(f"Evidence on the lungs: {said}", **title)
    return large[0]


def _film(ax: Axes, film: np.ndarray, words: str) -> None:
    ax.imshow(film, **GREY)
    ax.set_title(words, fontsize=9, fontweight="normal", loc="center", pad=4)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _ink(state: str) -> LinearSegmentedColormap:
    """Return a colour that covers more, the more evidence there is."""
    colour = to_rgb(COLOURS[state])
    return LinearSegmentedColormap.from_list(state, [(*colour, 0.0), (*colour, 0.95)])
