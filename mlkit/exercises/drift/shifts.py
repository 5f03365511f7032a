"""Pairs of a category for drift.2, and their shift by a loop over rows."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd


def shift_by_loop(trained_on: pd.Series, served: pd.Series) -> float:
    """Return the population stability index of categories, less what chance alone gives."""
    names = [value for value in trained_on.unique() if not pd.isna(value)]
    counts: dict[Any, list[int]] = {}
    for side, values in enumerate((trained_on, served)):
        for value in values:
            where = ("missing",) if pd.isna(value) else value if value in names else ("new",)
            counts.setdefault(where, [0, 0])[side] += 1
    n, m = len(trained_on), len(served)
    total = 0.0
    for old, now in counts.values():
        p, q = (old + 0.5) / (n + len(counts) / 2), (now + 0.5) / (m + len(counts) / 2)
        total += (q - p) * np.log(q / p)
    return float(total - (len(counts) - 1) * (1 / n + 1 / m))


def channels(counts: dict[Any, int], rng: np.random.Generator) -> pd.Series:
    """Return values of a category in no order, as many of each as asked for."""
    values = np.repeat(np.array([*counts], dtype=object), [*counts.values()])
    return pd.Series(rng.permutation(values), dtype=object, name="channel")


class Pair(NamedTuple):
    """Counts by category before and after; why it matters, unless one of these failed already."""

    before: dict[Any, int]
    after: dict[Any, int]
    why: str
    unless: tuple[str, ...] = ()


LARGE, KNOWN = "two rows in a hundred move, in 40,000 rows", "a shift between known channels"
QUIET, NULLS = "no change at all, 40 rows each", "a third of the values goes missing"
UNSEEN, CLOSED = "a channel that nobody knew", "four channels close"
PAIRS = {
    LARGE: Pair(
        {"web": 20_000, "app": 20_000},
        {"web": 20_800, "app": 19_200},
        "A number that grows with the rows is a p-value in disguise: a small p-value is not a "
        "large shift. This shift is small, and stays small.",
    ),
    KNOWN: Pair(
        {"web": 2000, "app": 1500, "pos": 500},
        {"web": 1000, "app": 2000, "pos": 1000},
        "For each bin: the difference of the shares, times the logarithm of their ratio, both of "
        "the same sign; then the sum over bins.",
        (LARGE,),
    ),
    QUIET: Pair(
        {"web": 20, "app": 15, "pos": 5},
        {"web": 20, "app": 15, "pos": 5},
        "Nothing changed, so the sum is zero and less than what chance gives: below zero. Without "
        "taking chance off, or with a floor at zero, quiet weeks of few rows look like drift.",
        (LARGE, KNOWN),
    ),
    "no change at all, 4000 rows against 40": Pair(
        {"web": 2000, "app": 1500, "pos": 500},
        {"web": 20, "app": 15, "pos": 5},
        "Chance depends on both numbers of rows, and the smaller one decides: a large training "
        "table does not make a small week quiet.",
        (LARGE, KNOWN, QUIET),
    ),
    NULLS: Pair(
        {"web": 600, "app": 360, None: 40},
        {"web": 417, "app": 250, None: 333},
        "Dropping missing values hides the most common fault of all: they are a bin of their own.",
        (LARGE, KNOWN),
    ),
    UNSEEN: Pair(
        {"web": 600, "app": 400}, {"web": 500, "app": 350, "kiosk": 150}, "", (LARGE, KNOWN)
    ),
    CLOSED: Pair(
        {"web": 800, "fax": 50, "post": 50, "phone": 50, "shop": 50},
        {"web": 1000},
        "Bins are those of `trained_on`, the first argument, and stay when they are empty: a "
        "channel that is gone is a shift too.",
        (LARGE, KNOWN, UNSEEN),
    ),
    "sixty misspelt channels, one row each": Pair(
        {"web": 600, "app": 400},
        {"web": 560, "app": 380, **{f"wbe{i}": 1 for i in range(60)}},
        "All that the model never saw is one bin: with a bin for each, every typing error adds to "
        "the number of bins and to chance.",
        (LARGE, KNOWN, UNSEEN, CLOSED),
    ),
    "a new channel, and missing values": Pair(
        {"web": 600, "app": 400},
        {"web": 500, "app": 300, "kiosk": 100, None: 100},
        "New and missing are two bins: a new shop front and a broken job are two phone calls.",
        (LARGE, KNOWN, NULLS, UNSEEN),
    ),
}
HALVES = "Half a row is added to every bin, full or empty, and shares are taken of the totals that "
HALVES += "hold these halves."
NEW = {
    "infinite": "A share of zero makes the logarithm infinite, or a number that is none: half a "
    "row in each bin, on both sides.",
    "lost": "The rows of the new channel are in no bin of yours: the change itself is lost.",
    "constant": "A tiny constant for empty bins decides the result: of the logarithm of a "
    "millionth anything follows. Half a row is the same promise for all sizes.",
}
