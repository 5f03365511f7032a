"""Figures of quizzes: small pictures side by side, with a letter and no finding for a title."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS

GUIDE: dict[str, Any] = {"color": COLOURS["context"], "linewidth": 1, "zorder": 0}


def four_errors(tables: dict[str, pd.Series], *, unit: str) -> Axes:
    """Return an error day by day, one picture per name, all on the same scale.

    Parameters
    ----------
    tables: name to the error of each day, in `unit`
    """
    panels = _panels(len(tables))
    top = max(float(table.abs().max()) for table in tables.values()) or 1.0
    for ax, (name, error) in zip(panels, tables.items(), strict=True):
        ax.axhline(0, **GUIDE)
        ax.plot(error.index, error, "-", color=COLOURS["clean"], linewidth=1.8)
        ax.set(title=name, xticks=[], yticks=[], ylim=(-0.3 * top, 1.15 * top))
    panels[0].set(ylabel=f"error ({unit})", yticks=[0])
    panels[0].figure.get_figure(root=True).supxlabel("day", fontsize=9)
    return panels[0]


def four_clocks(tables: dict[str, pd.DataFrame]) -> Axes:
    """Return when each event arrived against when it happened, one picture per name.

    Parameters
    ----------
    tables: name to a table with one row per event: happened and arrived, in one unit
    """
    panels = _panels(len(tables))
    every = pd.concat(tables.values())[["happened", "arrived"]]
    low, high = float(every.min(axis=None)), float(every.max(axis=None))
    room = 0.05 * (high - low)
    for ax, (name, table) in zip(panels, tables.items(), strict=True):
        ax.plot([low, high], [low, high], "-", **GUIDE)
        ax.plot(table["happened"], table["arrived"], ".", color=COLOURS["clean"], markersize=4)
        limits = (low - room, high + room)
        ax.set(title=name, xticks=[], yticks=[], xlim=limits, ylim=limits)
    panels[0].set_ylabel("arrived")
    panels[0].figure.get_figure(root=True).supxlabel("happened", fontsize=9)
    return panels[0]


def _panels(n: int) -> list[Axes]:
    figure = Figure(figsize=(7.2, 2.1))
    return list(figure.subplots(1, n, sharex=True, sharey=True, squeeze=False)[0])
