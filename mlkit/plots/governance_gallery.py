"""Figures of the gallery of challenge 9: sources of features, blast radius, a week of nothing."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter

from mlkit.plots import COLOURS, LINES, axes

MARKS: dict[str, dict[str, Any]] = {
    "value": {"marker": "s", "markersize": 13, "color": COLOURS["clean"]},
    "filter": {"marker": "o", "markersize": 9, "color": COLOURS["clean"], "fillstyle": "none"},
    "key": {"marker": "x", "markersize": 7, "color": COLOURS["clean"]},
}
SAYS = {"value": "in its value", "filter": "chooses its rows", "key": "groups them"}
GRAINS = {"column": "broken", "file": "clean"}


def sources(lineage: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return which columns each feature depends on, and how.

    Parameters
    ----------
    lineage: see `mlkit.governance.columns.feature_lineage`
    """
    ax = axes(ax, figsize=(7.6, 3.9))
    names, columns = list(lineage["feature"].unique()), sorted(lineage["source"].unique())
    both = lineage.duplicated(["feature", "source"], keep=False)
    for role, style in MARKS.items():
        for inside in (False, True):  # a circle inside a square is white
            rows = lineage[(lineage["role"] == role) & (both == inside)]
            x, y = rows["source"].map(columns.index), rows["feature"].map(names.index)
            white = {"color": "white", "markersize": 7} if inside and role == "filter" else {}
            label = "" if inside else SAYS[role]
            ax.plot(x, y, linestyle="none", label=label, **{**style, **white})
    ax.set_xticks(range(len(columns)), [name.split(".")[1] for name in columns], rotation=25)
    ax.tick_params(axis="x", labelsize=8, length=0)
    ax.tick_params(axis="y", length=0)
    ax.set_yticks(range(len(names)), names)
    tables = pd.Series(range(len(columns))).groupby([name.split(".")[0] for name in columns])
    for table, places in tables:
        ax.text(places.mean(), -0.75, table, ha="center", fontsize=9, fontweight="bold")
        ax.plot([places.min() - 0.4, places.max() + 0.4], [-0.6, -0.6], color="#8C8C8C", lw=0.8)
    ax.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(names) - 0.4, -0.9))
    ax.spines[:].set_visible(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=3, markerscale=0.7)
    none = [n for n in names if "value" not in set(lineage.loc[lineage["feature"] == n, "role"])]
    count = lineage.loc[lineage["feature"].isin(none), "source"].nunique()
    ax.set_title(
        f"{', '.join(none) or 'No feature'}: no column in its value, {count} that can move it",
        x=-0.25,
    )
    return ax


def blast(hits: pd.DataFrame, *, start: str, graph: Any, ax: Axes | None = None) -> Axes:
    """Return who is hit by a change, from left to right by the number of steps.

    Parameters
    ----------
    hits: see `mlkit.governance.blast.blast_radius`
    start: the node that changes
    graph: see `mlkit.governance.blast.lineage_graph`; its edges between these nodes are drawn
    """
    ax = axes(ax, figsize=(8.6, 3.0))
    places = {start: (0.0, 0.0)}
    for distance, group in hits.groupby("distance"):
        height = group["path"].str.split(" > ").str[-2].map(places).str[1]
        order = group.assign(height=height).sort_values(
            ["grain", "height"], ascending=[False, True]
        )
        middle = (len(order) - 1) / 2
        places |= {node: (float(distance), i - middle) for i, node in enumerate(order["node"])}
    grains = {start: "broken", **hits.set_index("node")["grain"].map(GRAINS).to_dict()}
    for one, other, grain in graph.subgraph(places).edges(data="grain"):
        (x1, y1), (x2, y2), state = places[one], places[other], GRAINS[grain]
        style: dict[str, Any] = {"color": COLOURS[state], "linestyle": LINES[state]}
        ax.plot([x1, x2], [y1, y2], linewidth=1, zorder=1, **style)
    for node, (x, y) in places.items():
        _name(ax, (x, y), node, grains[node])
    low = min(y for _, y in places.values())
    ax.set(xlim=(-0.55, max(x for x, _ in places.values()) + 0.55), ylim=(-low + 0.7, low - 0.7))
    ax.axis("off")
    sure = int((hits["grain"] == "column").sum())
    ax.set_title(
        f"{sure} depend on the column (dashed), {len(hits) - sure} more on its file (dotted)", x=0
    )
    return ax


def _name(ax: Axes, place: tuple[float, float], node: str, state: str) -> None:
    """Write a node as a box, a long name in two lines."""
    cut = "/" if "/" in node else "."
    edge = {"edgecolor": COLOURS[state], "linestyle": LINES[state], "linewidth": 1.2}
    ax.text(
        *place,
        f"{cut}\n".join(node.rsplit(cut, 1)) if len(node) > 14 else node,
        ha="center",
        va="center",
        fontsize=7,
        bbox={"facecolor": "white", "pad": 2.5, **edge},
    )


def revenue(days: pd.DataFrame, *, asked: pd.Timestamp, ax: Axes | None = None) -> Axes:
    """Return the revenue of each day, the first day that a promise was broken, and the question.

    Parameters
    ----------
    days: index UTC day; columns usd, and broken: whether the delivery broke its contract
    asked: when somebody looked at the revenue
    """
    ax = axes(ax, figsize=(7.2, 3.2))
    ax.bar(days.index, days["usd"], width=0.8, color=COLOURS["context"])
    gone = days.index[days["usd"] == 0]
    top = float(days["usd"].max())
    day = pd.Timedelta(days=1)
    alarm = days.index[days["broken"] & days.index.isin(gone)].min() + day  # the next morning
    for at, text, state, height in (
        (alarm, "contract broken", "fixed", 1.16),
        (asked, "“why is\nrevenue\nzero?”", "broken", 0.6),
    ):
        ax.axvline(at, ymax=0.93, color=COLOURS[state], linestyle=LINES[state])
        style: dict[str, Any] = {"color": COLOURS[state], "fontsize": 9, "fontweight": "bold"}
        ax.text(at - day / 4, top * height, text, ha="right", va="center", **style)
    ax.set_ylim(0, top * 1.3)
    ax.set_ylabel("revenue of the day (USD)")
    ax.set_xticks(days.index[::6])
    ax.xaxis.set_major_formatter(DateFormatter("%d %b"))
    early = (asked - alarm).days
    ax.set_title(
        f"{len(gone)} days of nothing: the contract breaks {early} days before anybody asks"
    )
    return ax
