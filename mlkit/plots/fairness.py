"""Figures of lesson 10b: gaps by chance, repairs by mechanism, who pays, criteria that conflict."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS, LINES, axes

MECHANISMS = ("mapping", "noise", "label_bias")
WORDS = {"M": "men", "F": "women"}


def chance(draws: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return the gaps of random samples by their size, from a world without a gap.

    Parameters
    ----------
    draws: what `fairness.chance_gaps` returns
    """
    ax = axes(ax, figsize=(7.2, 3.2))
    by_size = draws.groupby("size")
    for place, (_, part) in enumerate(by_size):
        spread = np.linspace(-0.28, 0.28, len(part))
        ax.plot(place + spread, part["gap"] * 100, ".", color=COLOURS["clean"], alpha=0.6)
        low, high = part["gap"].quantile([0.025, 0.975]) * 100
        ax.vlines(place + 0.4, low, high, color=COLOURS["fixed"], linewidth=3)
        ax.text(place + 0.38, high, f"{high:+.1f} ", ha="right", va="bottom", fontsize=8,
                color=COLOURS["fixed"])  # fmt: skip
    women = by_size["women"].mean()
    labels = [f"{size:,} loans\n{women[size]:.0f} women" for size in women.index]
    ax.set_xticks(range(len(labels)), labels)
    ax.axhline(0, color=COLOURS["context"], linewidth=1, zorder=0)
    ax.set_ylabel("gap, men minus women (points)")
    smallest = draws[draws["size"] == women.index[0]]["gap"].abs()
    ax.set_title(
        f"Nothing is wrong, and with {women.iloc[0]:.0f} women the gap reaches "
        f"{smallest.max() * 100:.0f} points"
    )
    return ax


def matrix(results: pd.DataFrame, *, closed: float = 0.03, lost: float = 0.01) -> Axes:
    """Return true accuracy of men and women for each repair on each mechanism.

    Parameters
    ----------
    results: index mechanism and repair ("none" among them), columns as of `fairness.compare`
    closed, lost: as in `repairs_it`
    """
    good = helpful(results, closed=closed, lost=lost)
    names = list(results.index.get_level_values("repair").unique())
    panels = _panels(names)
    for ax, mechanism in zip(panels, MECHANISMS, strict=True):
        for y, name in enumerate(names):
            _pair(ax, y, results.loc[(mechanism, name)], good=(mechanism, name) in good)
    _legend(panels[0], cross=True)
    several = pd.Series([name for _, name in good], dtype=object).value_counts().gt(1).sum()
    panels[0].figure.suptitle(
        f"{len(good)} of {len(MECHANISMS) * (len(names) - 1)} pairs are a repair (filled); "
        f"{several} repairs help on more than one mechanism",
        x=0.02, ha="left", fontsize=11, fontweight="bold",
    )  # fmt: skip
    panels[0].figure.supxlabel("true accuracy", fontsize=9)
    return panels[0]


def helpful(
    results: pd.DataFrame, *, closed: float = 0.03, lost: float = 0.01
) -> list[tuple[str, str]]:
    """Return the pairs of mechanism and repair that `repairs_it` calls one."""
    return [
        (mechanism, name)
        for mechanism in MECHANISMS
        for name in results.loc[mechanism].index
        if name != "none" and repairs_it(results.loc[mechanism], name, closed=closed, lost=lost)
    ]


def repairs_it(rows: pd.DataFrame, name: str, *, closed: float = 0.03, lost: float = 0.01) -> bool:
    """Return whether a repair leaves no gap and takes nothing away.

    Parameters
    ----------
    rows: repairs of one mechanism ("none" among them), columns as of `fairness.compare`
    closed: the gap that may be left, on the record and on the truth: about what is chance here
    lost: the true accuracy that men and women may each have lost
    """
    before, after = rows.loc["none"], rows.loc[name]
    gap = max(abs(after["gap"]), abs(after["truth_gap"]))
    taken = max(before[f"truth_{who}"] - after[f"truth_{who}"] for who in ("men", "women"))
    return bool(gap <= closed and taken <= lost)


def _panels(names: list[str]) -> np.ndarray:
    """Return one panel for each mechanism, with a line for each name, the first on top."""
    figure = Figure(figsize=(8.6, 0.36 * len(names) + 1.8))
    panels = figure.subplots(1, len(MECHANISMS), sharey=True, sharex=True)
    for ax, mechanism in zip(panels, MECHANISMS, strict=True):
        ax.set_title(mechanism.replace("_", " "), fontsize=10)
        ax.tick_params(axis="y", length=0)
        ax.hlines(range(len(names)), 0, 1, transform=ax.get_yaxis_transform(), linewidth=0.5,
                  color=COLOURS["context"], alpha=0.5, zorder=0)  # fmt: skip
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.7)
    return panels


def _legend(ax: Axes, *, cross: bool = False) -> None:
    """Say below the panels which mark is whose."""
    marks = {"men": "s", "women": "o"} | ({"women, by the record": "x"} if cross else {})
    for words, mark in marks.items():
        ax.plot([], [], mark, color=COLOURS["clean"], markerfacecolor="white", label=words)
    ax.figure.legend(loc="lower right", ncols=len(marks), fontsize=8, frameon=False)


def _pair(ax: Axes, y: int, row: pd.Series, *, good: bool) -> None:
    """Draw men and women of one repair, and where the record sees the women."""
    ends = {who: row[f"truth_{who}"] for who in ("men", "women")}
    _ends(ax, y, ends, state="fixed" if good else "broken", filled=good)
    if abs(row["women"] - ends["women"]) > 0.005:
        ax.plot(row["women"], y, "x", color=COLOURS["clean"], markersize=6)


def _ends(ax: Axes, y: int, ends: dict[str, float], *, state: str, filled: bool) -> None:
    colour = COLOURS[state]
    face, edge = (colour, "white") if filled else ("white", colour)
    ax.plot(list(ends.values()), [y, y], LINES[state], color=colour, linewidth=1.4)
    ax.plot(ends["men"], y, "s", markersize=7, markeredgecolor=colour, markerfacecolor=face)
    ax.plot(ends["women"], y, "o", markersize=6, markeredgecolor=edge, markerfacecolor=face)


def who_pays(results: pd.DataFrame, *, least: float = 1) -> Axes:
    """Return what each repair gives to women and takes from men, in points of true accuracy.

    Parameters
    ----------
    results: as in `matrix`
    least: points from which a change is one: of the gap on the record, and of a loss
    """
    names = [name for name in results.index.get_level_values("repair").unique() if name != "none"]
    panels = _panels(names)
    smaller = paid = 0
    for ax, mechanism in zip(panels, MECHANISMS, strict=True):
        before = results.loc[(mechanism, "none")]
        for y, name in enumerate(names):
            row = results.loc[(mechanism, name)]
            ends = {k: 100 * (row[f"truth_{k}"] - before[f"truth_{k}"]) for k in ("men", "women")}
            costs, helps = min(ends.values()) < -least, max(ends.values()) > least
            state = "broken" if costs else "fixed" if helps else "clean"
            _ends(ax, y, ends, state=state, filled=not costs)
            closes = 100 * (abs(before["gap"]) - abs(row["gap"])) > least
            smaller, paid = smaller + closes, paid + (closes and ends["men"] < -least)
        ax.axvline(0, color=COLOURS["clean"], linewidth=1, zorder=0)
    _legend(panels[0])
    panels[0].figure.suptitle(
        f"Of {smaller} repairs that make a gap smaller, {paid} take accuracy from men",
        x=0.02, ha="left", fontsize=11, fontweight="bold",
    )  # fmt: skip
    panels[0].figure.supxlabel("points of true accuracy won or lost", fontsize=9)
    return panels[0]


def conflict(by_tilt: pd.DataFrame, by_skill: pd.DataFrame) -> Axes:
    """Return how far two districts are apart: by their base rates, and by skill.

    Parameters
    ----------
    by_tilt: base_rate, score_good and score_bad, north minus south, and calibration_error
    by_skill: the same with accuracy, at one tilt
    """
    figure = Figure(figsize=(8.4, 3.3))
    panels = figure.subplots(1, 2, sharey=True)
    lines = {"score_good": ("broken", "o", "those who repaid"),
             "score_bad": ("broken", "^", "those who did not"),
             "calibration_error": ("fixed", "s", "calibration error")}  # fmt: skip
    sides = zip(panels, (by_tilt, by_skill), ("base_rate", "accuracy"), strict=True)
    for ax, table, x in sides:
        table = table.sort_values(x)
        for key, (state, mark, words) in lines.items():
            look = {"color": COLOURS[state], "marker": mark, "markersize": 5}
            ax.plot(table[x], table[key], LINES[state], **look)
            if x == "base_rate":
                ax.annotate(words, (table[x].iloc[-1], table[key].iloc[-1]), (7, -3), fontsize=9,
                            textcoords="offset points", color=COLOURS[state])  # fmt: skip
        ax.axhline(0, color=COLOURS["context"], linewidth=1, zorder=0)
    left, right = panels[0].get_xlim()
    panels[0].set_xlim(left, right + 0.55 * (right - left))
    panels[0].set_xlabel("difference in base rates")
    panels[0].set_ylabel("mean score, north minus south")
    panels[1].set_xlabel("accuracy (at the largest difference)")
    figure.suptitle(
        f"Calibrated within {by_tilt['calibration_error'].max():.2f} in both districts, and scores "
        f"of equals part by {by_tilt[['score_good', 'score_bad']].max().max():.2f}",
        x=0.02, ha="left", fontsize=11, fontweight="bold",
    )  # fmt: skip
    return panels[0]


def forest(table: pd.DataFrame, *, flagged: list[str], ax: Axes | None = None) -> Axes:
    """Return the accuracy of each group with its interval and its number of rows.

    Parameters
    ----------
    table: what `fairness.by_group` returns, tables of several groupings below each other
    flagged: groups that do worse than chance allows
    """
    ax = axes(ax, figsize=(7.2, 0.36 * len(table) + 1.2))
    for y, (name, row) in enumerate(table.iterrows()):
        state = "broken" if name in flagged else "clean"
        ends = [row["accuracy_low"], row["accuracy_high"]]
        style = "--" if name in flagged else "-"
        ax.plot(ends, [y, y], style, color=COLOURS[state], linewidth=2)
        ax.plot(row["accuracy"], y, "o", color=COLOURS[state], markersize=6)
        ax.text(row["accuracy_high"], y, f"  n = {row['labelled']:.0f}", va="center", fontsize=8,
                color=COLOURS[state])  # fmt: skip
    parts = [str(name).split(" ")[::-1] for name in table.index]
    words = [" ".join(WORDS.get(part, part) for part in name) for name in parts]
    ax.set_yticks(range(len(table)), words)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    low, high = float(table["accuracy_low"].min()), float(table["accuracy_high"].max())
    ax.set_xlim(low - 0.01, high + 0.2 * (high - low))
    ax.set_xlabel("accuracy, with 95 % intervals")
    whole = [name for name in flagged if " " not in name]
    ax.set_title(f"Worse than chance allows: {len(flagged) - len(whole)} of the cells, "
                 f"{len(whole)} of the groups they lie in")  # fmt: skip
    return ax
