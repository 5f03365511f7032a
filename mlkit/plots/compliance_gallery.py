"""Figures of the gallery of challenge 10: hiding in a crowd, worth, attacks, and reasons."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS, axes

ATTACKS = {  # state, marker, and what it is filled with (the control is hollow)
    "one threshold": ("clean", "o", COLOURS["clean"]),
    "by row": ("broken", "s", COLOURS["broken"]),
    "other model": ("clean", "D", "white"),
}
BOLD = {"x": 0.02, "ha": "left", "fontweight": "bold"}  # a title over several panels


def crowd(table: pd.DataFrame, *, k: int, ax: Axes | None = None) -> Axes:
    """Return by bands, from fine to coarse, how many people are unique or in too small a class.

    Parameters
    ----------
    table: index the bands in words; columns unique and small (shares in [0, 1])
    k: the size from which a class is large enough
    """
    ax = axes(ax, figsize=(7.2, 0.5 * len(table) + 1.4))
    rows = np.arange(len(table))
    ax.barh(rows, table["small"], 0.7, color=COLOURS["context"])
    ax.barh(rows, table["unique"], 0.35, color=COLOURS["broken"], hatch="///", edgecolor="white")
    for row, (unique, small) in enumerate(zip(table["unique"], table["small"], strict=True)):
        ax.text(small + 0.01, row, f"{small:.1%} ({unique:.1%} unique)", va="center", fontsize=9)
    ax.set_yticks(rows, table.index)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlim(0, 1.35)
    ax.set_xticks([0, 0.5, 1], ["0", "half", "all"])
    ax.set_xlabel(f"people who look like fewer than {k}, and like nobody else (hatched)")
    ax.set_title(f"{table['unique'].iloc[0]:.0%} are unique by four columns without a name", x=0)
    return ax


def worth(curves: dict[str, pd.Series]) -> Axes:
    """Return the AUC over what was collected, a panel for each kind.

    Parameters
    ----------
    curves: what is counted to AUC in [0, 1], indexed by how many; the first counts columns
    """
    figure = Figure(figsize=(8.2, 3.1))
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for ax, (name, curve) in zip(panels, curves.items(), strict=True):
        x = np.arange(len(curve))
        ax.plot(x, curve, "-o", color=COLOURS["clean"])
        ax.axhline(curve.iloc[-1], color=COLOURS["context"], linewidth=0.8, zorder=0)
        ax.set_xticks(x, [str(at) for at in curve.index], fontsize=8)
        ax.set_xlabel(name)
        last = len(curve) - 1
        for at, points in ((0, -7), (last, 7)):
            side = {"ha": "center", "va": "bottom" if at else "top", "fontsize": 8}
            place = {"xytext": (0, points), "textcoords": "offset points"}
            ax.annotate(f"{curve.iloc[at]:.3f}", (at, curve.iloc[at]), **place, **side)
        ax.margins(x=0.15, y=0.2)
    panels[0].set_ylabel("AUC on later applications")
    columns = next(iter(curves.values()))
    rest, last = len(columns.loc[4:]), columns.iloc[-1]
    title = f"Three columns reach {columns[3]:.3f}, the other {rest} bring it to {last:.3f}"
    figure.suptitle(title, **BOLD)
    return panels[0]


def attacks(table: pd.DataFrame, *, at_most: float = 0.01) -> Axes:
    """Return how attacks do on each model: by the average, and where few are accused wrongly.

    Parameters
    ----------
    table: columns model, attack (one threshold, by row, other model), accuracy, found
    at_most: share of the others who are accused: what guessing would find
    """
    figure = Figure(figsize=(8.2, 3.4))
    panels = figure.subplots(1, 2, sharey=True)
    models = list(dict.fromkeys(table["model"]))
    for ax, key, chance in ((panels[0], "accuracy", 0.5), (panels[1], "found", at_most)):
        ax.axvline(chance, color=COLOURS["context"], linewidth=1.5, zorder=0)
        for lift, (attack, look) in zip((-0.2, 0, 0.2), ATTACKS.items(), strict=True):
            part = table[table["attack"] == attack].set_index("model")[key]
            state, marker, fill = look
            style: dict[str, Any] = {"color": COLOURS[state], "markerfacecolor": fill}
            at = np.arange(len(models)) + lift
            ax.plot(part[models], at, marker, linestyle="none", label=attack, **style)
    panels[0].set_xlabel("right guesses, one in two is a member")
    panels[1].set_xlabel(f"members found, {at_most:.0%} of the others accused")
    panels[0].set_yticks(range(len(models)), models)
    panels[0].set_ylim(len(models) - 0.5, -0.6)
    panels[1].legend(loc="upper right")
    best = table.loc[table["found"].idxmax()]
    figure.suptitle(
        f"By row, {best['found']:.0%} of the members are found ({best['model']}), "
        f"{at_most:.0%} of the others accused",
        **BOLD,
    )
    return panels[0]


def waterfall(values: pd.Series, row: pd.Series, *, start: float, ax: Axes | None = None) -> Axes:
    """Return the way from the mean of the background to one applicant's log-odds.

    Parameters
    ----------
    values: contributions by feature, in log-odds of a default
    row: the applicant's features
    start: mean log-odds of the background
    """
    ax = axes(ax, figsize=(7.2, 0.55 * len(values) + 1.5))
    order = values.abs().sort_values(kind="stable").index
    reach = start
    for place, name in enumerate(order):
        up = values[name] > 0  # towards the refusal; down is light and hatched
        shade, hatch = ("clean", "") if up else ("context", "///")
        ax.barh(
            place, values[name], 0.65, left=reach,
            color=COLOURS[shade], hatch=hatch, edgecolor="white",
        )  # fmt: skip
        edge = max(reach, reach + values[name])
        ax.text(edge + 0.05, place, f"{values[name]:+.2f}", va="center", fontsize=9)
        reach += values[name]
        ax.plot([reach, reach], [place - 0.3, place + 1.3], color="#8C8C8C", linewidth=0.8)
    ax.axvline(0, color="#222222", linewidth=0.8)
    ax.text(0, len(order) - 0.35, " refused from here", fontsize=8)
    ax.axvline(start, color=COLOURS["clean"], linestyle=":")
    ax.text(start, -0.9, f"  background {start:.2f}", fontsize=8)
    ax.set_yticks(range(len(order)), [f"{name} = {row[name]:g}" for name in order])
    ax.set_ylim(-1.1, len(order))
    ax.use_sticky_edges = False
    ax.margins(x=0.14)
    ax.set_xlabel("log-odds of a default, as the model sees it")
    way = f"{values[order[-1]]:+.2f} of {reach - start:+.2f}"
    ax.set_title(f"Most by {order[-1]}: {way} log-odds", x=0)
    return ax


def pairs(
    table: pd.DataFrame, *, unit: str, title: str, second: str = "context", ax: Axes | None = None
) -> Axes:
    """Return bars side by side: the same thing by feature, told in two ways.

    Parameters
    ----------
    table: index features; two columns, each a way of telling; the second is drawn hatched
    unit: what the bars are, on the axis
    title: the finding
    second: what the second way is: broken, or context where neither is wrong
    """
    ax = axes(ax, figsize=(7.2, 0.6 * len(table) + 1.6))
    rows = np.arange(len(table))
    for lift, state, name in zip((-0.2, 0.2), ("clean", second), table, strict=True):
        style: dict[str, Any] = {
            "color": COLOURS[state],
            "hatch": "" if state == "clean" else "///",
        }
        bars = ax.barh(rows + lift, table[name], 0.38, label=name, edgecolor="white", **style)
        ax.bar_label(bars, fmt="{:.2f}", fontsize=8, padding=3)
    ax.axvline(0, color="#222222", linewidth=0.8)
    ax.set_yticks(rows, table.index)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.margins(x=0.1)
    ax.set_xlabel(unit)
    ax.legend(loc="lower right")
    ax.set_title(title, x=0)
    return ax
