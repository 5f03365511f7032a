"""Four rules by which a nightly job merges new rows into what it has, and how far they stray.

Three of them keep one total per user; the fourth keeps cells (`mlkit.scale.state`). The errors are
against recomputing everything, night by night.
"""

import itertools
import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from mlkit.params import Count, checked
from mlkit.scale.nightly import Job, deliver, recompute, serve
from mlkit.scale.state import EMPTY, Cell, Row, State, cell_of, merge
from mlkit.tables import as_microseconds, as_time

EVER = 100_000  # days: a window that nothing leaves
Rule = Callable[[Cell, list[Row]], Cell]


def naive_weighted_average(old: Cell, rows: list[Row]) -> Cell:
    """Return the average so far and that of the new rows, each weighted by its number of rows.

    Source: challenge 3, solution two: count(*) as the weight of a mean that skips missing values.
    """
    count = old.rows + len(rows)
    amounts = [row.amount_usd for row in rows if not math.isnan(row.amount_usd)]
    new_average = sum(amounts) / len(amounts) if amounts else 0.0
    average = (old.total + new_average * len(rows)) / count
    return Cell(rows=count, n=count, total=average * count)


def naive_sums(old: Cell, rows: list[Row]) -> Cell:
    """Return count, sum and squares of everything that was ever delivered."""
    return reduce(merge, map(cell_of, rows), old)


class Totals:
    """One total per user, by a rule: nothing leaves it, and every row is a new one to it.

    With `once`, a batch that comes again is left out.
    """

    def __init__(self, rule: Rule, *, once: bool = False) -> None:
        self.rule, self.once = rule, once
        self.users: dict[int, Cell] = {}
        self.batches: set[int] = set()
        self.rows_read = 0

    def apply(self, batch_id: int, rows: list[Row]) -> None:
        """Take in a batch."""
        if self.once and batch_id in self.batches:
            return
        self.batches.add(batch_id)
        self.rows_read += len(rows)
        by_user: dict[int, list[Row]] = {}
        for row in rows:
            by_user.setdefault(row.user_id, []).append(row)
        for user, new in by_user.items():
            self.users[user] = self.rule(self.users.get(user, EMPTY), new)

    def features(self, user: int, until_us: int, at_us: int) -> dict[str, float]:
        """Return what a total can say: average, variance and number of all rows so far."""
        total = self.users.get(user, EMPTY)
        return {
            "avg_amount": total.mean,
            "amount_variance": total.variance,
            "purchases_30d": float(total.rows),
            "total_purchases": float(total.rows),
        }


RULES: dict[str, Callable[[], Job]] = {
    "weighted average": lambda: Totals(naive_weighted_average),
    "sums": lambda: Totals(naive_sums),
    "sums, each batch once": lambda: Totals(naive_sums, once=True),
    "cells": State,
}
DIRT: dict[str, dict[str, float]] = {
    "none": {},
    "late": {"late_share": 0.03},
    "batch again": {"retry_share": 0.07},
    "row twice": {"twice_share": 0.03},
    "corrected": {"correct_share": 0.04},
    "deleted": {"delete_share": 0.03},
    "no amount": {"null_share": 0.05},
}
DIRT["all of it"] = {key: share for one in list(DIRT.values()) for key, share in one.items()}
CLEAN = dict.fromkeys(DIRT["all of it"], 0.0)


def dirty_log(transactions: pd.DataFrame, dirt: str, **options: Any) -> pd.DataFrame:
    """Return a log of deliveries with one sort of dirt, a key of `DIRT`; options as `deliver`."""
    return deliver(transactions, **{**CLEAN, **DIRT[dirt]}, **options)


def every_night(log: pd.DataFrame, users: list[int], *, last: Count = 100_000) -> pd.DataFrame:
    """Return requests of some users at each of the last midnights of a log but the first.

    Raises
    ------
    ValueError: there is but one
    """
    nights = np.unique(as_microseconds(log["delivered_ts"]))
    if len(nights) < 2:
        raise ValueError(f"log: expected deliveries on two nights or more, came {len(nights)}")
    nights = nights[1:][-last:]
    asked = pd.DataFrame(itertools.product(nights, users), columns=["at", "user_id"])
    asked["prediction_ts"] = as_time(asked.pop("at").to_numpy())
    return asked.assign(offer_id=np.arange(len(asked)))[["offer_id", "user_id", "prediction_ts"]]


@checked
def rule_errors(log: pd.DataFrame, users: list[int], *, last: Count = 100_000) -> pd.DataFrame:
    """Return how far each rule is from recomputing everything, night by night.

    Parameters
    ----------
    log: the deliveries, see `mlkit.scale.nightly.deliver`
    users: the customers to look at
    last: how many of the last nights

    Returns
    -------
    One row per rule, window ("30 days", or "ever") and night: rule, window, night (days since the
    first batch), error (mean over the users of |average - recomputed| / recomputed).
    """
    asked, found = every_night(log, users, last=last), []
    mine = log[log["user_id"].isin(users)]
    night = (asked["prediction_ts"] - log["delivered_ts"].min()).dt.days
    for window, days in {"30 days": State().window_days, "ever": EVER}.items():
        truth = recompute(mine, asked, window_days=days)["avg_amount"]
        for name, make in RULES.items():
            job = State(window_days=days) if name == "cells" else make()
            served = serve(mine, asked, job=job)["avg_amount"]
            gap = ((served - truth).abs() / truth).groupby(night).mean()
            rows = {"rule": name, "window": window, "night": gap.index, "error": gap.to_numpy()}
            found.append(pd.DataFrame(rows))
    return pd.concat(found, ignore_index=True)


def error_table(transactions: pd.DataFrame, *, users: list[int], **options: Any) -> pd.DataFrame:
    """Return the error on the last night, dirt by rule: the mean ever, and that of 30 days.

    Parameters
    ----------
    transactions: the purchases as they truly were
    users: the customers to look at
    options: `until`, `rng` (used afresh for each dirt, from the same state), `days` of `deliver`

    Returns
    -------
    One row per sort of dirt and window, one column per rule, mean relative errors.
    """
    rows = transactions[transactions["user_id"].isin(users)]
    rng, tables = options.pop("rng"), {}
    for dirt, own in zip(DIRT, rng.spawn(len(DIRT)), strict=True):
        errors = rule_errors(dirty_log(rows, dirt, rng=own, **options), users, last=1)
        tables[dirt] = errors.pivot(index="window", columns="rule", values="error")[list(RULES)]
    return pd.concat(tables, names=["dirt"])
