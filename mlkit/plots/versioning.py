"""Figures of lesson 04: a score that rises while another falls, and changes told apart."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from mlkit.plots import COLOURS, HATCHES, LINES, axes

BOLD: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "va": "center"}
WORDS = {"offline": "what the team reports", "production": "what production gets"}


def before_and_after(scores: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return what the team reports and what production gets, before and after a retraining.

    Parameters
    ----------
    scores: two rows, before and after, named; columns offline and production, accuracy in [0, 1]
    """
    ax = axes(ax, figsize=(6.4, 3.4))
    for name, state in (("offline", "clean"), ("production", "broken")):
        values = scores[name].to_numpy()
        ax.plot([0, 1], values, LINES[state], marker="o", color=COLOURS[state], linewidth=2)
        ax.text(1.04, values[1], f"{values[1]:.2f}  {WORDS[name]}", color=COLOURS[state], **BOLD)
        above = values[0] >= scores.iloc[0][list(WORDS)].mean()
        ax.annotate(f"{values[0]:.2f}", (0, values[0]), (-10, 8 if above else -8), ha="right",
                    textcoords="offset points", color=COLOURS[state], **BOLD)  # fmt: skip
    ax.set_xticks([0, 1], scores.index)
    ax.set(xlim=(-0.2, 1.95), ylim=(0.5, 1.0), ylabel="share of right decisions")
    ax.spines["bottom"].set_bounds(-0.2, 1.0)
    rise, fall = (scores[name].diff().iloc[-1] for name in ("offline", "production"))
    ax.set_title(f"Retrained: {rise:+.2f} by the report, {fall:+.2f} in production")
    return ax


def told_apart(table: pd.DataFrame, *, healthy: float, ax: Axes | None = None) -> Axes:
    """Return what each change alone makes of a model, beside the old version.

    Parameters
    ----------
    table: see `mlkit.versioning.versions.told_apart`
    healthy: accuracy of the model of the old version
    """
    ax = axes(ax, figsize=(7.2, 0.5 * (len(table) + 1) + 1.2))
    worst = table.loc[table["loss"].idxmax(), "change"]
    bars = [("first version", healthy, "clean", "")]
    for change, share, accuracy, loss in table[["change", "share", "accuracy", "loss"]].to_numpy():
        state = "broken" if loss >= table["loss"].max() / 2 else "clean"
        name = change if change == table["change"].iloc[-1] else f"only {change}"
        bars.append((name, accuracy, state, f", {share:.0%} of the rows"))
    for place, (_, accuracy, state, words) in enumerate(bars):
        ax.barh(place, accuracy, 0.62, color=COLOURS[state], hatch=HATCHES[state],
                edgecolor="white")  # fmt: skip
        ax.text(accuracy + 0.01, place, f"{accuracy:.3f}{words}", va="center", fontsize=9)
    ax.set_yticks(range(len(bars)), [name for name, *_ in bars])
    ax.set_ylim(len(bars) - 0.45, -0.55)
    ax.set_xlim(0, 1.1)
    ax.set_xlabel("share of right decisions, trained on that version and judged on known answers")
    alone = table.iloc[:-1].set_index("change")["loss"]
    told = [f"{name} alone costs {max(loss, 0):.2f}" for name, loss in alone.items()]
    ax.set_title("; ".join(told) if len(told) < 3 else f"{worst} does the harm")
    return ax
