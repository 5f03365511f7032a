"""From when on an optimisation pays: paid once, saved each run, rent while it is kept."""

import math
from functools import cache

import numpy as np
import pandas as pd

from mlkit.exercises.ex4.pipelines import Daily, kit_run, naive_daily, tidy_daily
from mlkit.exercises.ex4.store import GB, MONTH, PRICES, SCALE, TB, bill, encoded
from mlkit.exercises.ex4.world import NEEDED, make_rows, month
from mlkit.params import stream

HORIZON = 3650  # days; what does not pay within ten years does not pay
OPTION = ["once", "before", "after", "rent", "runs", "renewed"]
READ, WRITE = PRICES["read_1000"] / 1000, PRICES["write_1000"] / 1000
WEEK = 7
TIE = 1e-9  # USD; less than that is nothing


def saved(option: pd.Series, days: np.ndarray) -> np.ndarray:
    """Return what an optimisation has saved after some days, in USD; below 0 it has cost.

    Parameters
    ----------
    option: once (USD), before and after (USD a run), rent (USD a day), runs (a day), renewed
        (days after which `once` is due again; infinity: never)
    """
    daily = option["runs"] * (option["before"] - option["after"]) - option["rent"]
    return days * daily - option["once"] * np.ceil(days / option["renewed"]).clip(1)


def paid_from(option: pd.Series) -> float:
    """Return the first day from which on something is saved for good; infinity: never."""
    days = np.arange(1, HORIZON + 1)
    behind = days[saved(option, days) <= TIE]
    first = int(behind[-1]) + 1 if len(behind) else 1
    return first if first <= HORIZON else math.inf


@cache
def _sizes(seed: int) -> dict[str, int]:
    """Return the bytes of the month's charges in some layouts, at the scale of the store."""
    last = list(month(seed).files.values())
    tables = [table for files in last for table in files.values()]
    rows = pd.concat(tables, ignore_index=True).sort_values("day", kind="stable")
    days = [part for _, part in rows.groupby("day")]
    small = [len(encoded("day.parquet", part[NEEDED])) for part in days]
    found = {
        "csv": len(encoded("all.csv", rows)),
        "parquet": len(encoded("all.parquet", rows)),
        "needed": len(encoded("all.parquet", rows[NEEDED])),
        "daily": sum(small),
        "week": sum(small[-WEEK:]),
    }
    return {name: size * SCALE for name, size in found.items()} | {"days": len(days)}


def _rent(size: float) -> float:
    return size / GB * PRICES["storage_gb_month"] / MONTH


def _scan(size: float) -> float:
    return size / TB * PRICES["scan_tb"]


def options(seed: int) -> pd.DataFrame:
    """Return what the optimisations of this pipeline cost and save, from measured bytes.

    Index option; columns as in `saved`. The daily pipeline's own savings are those of the two
    pipelines of the kit; its first run, which reads everything, is the cost paid once. Parquet and
    few columns are copies of the CSV for somebody who looks at all of it once a week; files a day
    are laid out anew from one file, for somebody who looks every day.
    """
    size, days = _sizes(seed), month(seed).days
    csv, narrow = _scan(size["csv"]), _scan(size["needed"])
    old = _per_day(seed, naive_daily)
    new = _per_day(seed, tidy_daily)
    look = csv + READ
    held = {"rent": 0.0, "runs": 1.0, "renewed": math.inf}
    weekly = {**held, "before": look, "once": csv + WRITE, "runs": 1 / WEEK}
    columns = {"after": narrow + READ, "rent": _rent(size["needed"])}
    files = {**held, "once": narrow + size["days"] * (READ + WRITE), "before": narrow + READ}
    whole, week = _scan(size["daily"]), _scan(size["week"])
    before, after = old[days[1:]].mean(), new[days[1:]].mean()
    table = {
        "only new rows": {**held, "once": new[days[0]], "before": before, "after": after},
        "Parquet": {
            **weekly,
            "after": _scan(size["parquet"]) + READ,
            "rent": _rent(size["parquet"]),
        },
        "few columns": {**weekly, **columns},
        "few columns, renewed weekly": {**weekly, **columns, "renewed": float(WEEK)},
        "a file a day, a week read": {**files, "after": week + WEEK * READ},
        "a file a day, all read": {**files, "after": whole + size["days"] * READ},
    }
    return pd.DataFrame(table).T[OPTION].rename_axis("option")


def _per_day(seed: int, daily: Daily) -> pd.Series:
    trace = kit_run(seed, daily).trace
    days = month(seed).days
    total = [sum(bill(trace, PRICES, range(days[0], day + 1)).values()) for day in days]
    return pd.Series(np.diff([0.0, *total]), index=days)


def drawn_options(rng: np.random.Generator, n: int = 40) -> pd.DataFrame:
    """Return options as they could be, some of which never pay, none on the edge of a day."""
    table = pd.DataFrame(
        {
            "once": rng.gamma(1.0, 20.0, n).round(2),
            "before": rng.gamma(2.0, 0.5, n).round(3),
            "after": rng.gamma(2.0, 0.25, n).round(3),
            "rent": rng.gamma(1.0, 0.2, n).round(3),
            "runs": rng.integers(1, 6, n).astype(float),
            "renewed": np.where(rng.random(n) < 0.5, math.inf, rng.integers(5, 60, n)),
        }
    )
    near = [
        np.abs(saved(option, np.arange(1, HORIZON + 1))).min() for _, option in table.iterrows()
    ]
    clear = table[np.array(near) > 1e-6]  # no tie that hangs on the last bit
    return clear.reset_index(drop=True).rename_axis("option")


@cache
def partitions_by_rows(seed: int) -> pd.DataFrame:
    """Return what one look at the last week costs, in one file or in a file for each of 42 days.

    Index rows (measured, at scale 1); columns "one file" and "a file a day" in USD.
    """
    found = {}
    for rows in (3_000, 10_000, 30_000, 100_000, 300_000):
        rng = stream(seed, "exercise", "ex4", "partitions")
        table = make_rows(rng, days=42, a_day=rows // 42, users=400)[NEEDED]
        week = [part for day, part in table.groupby("day") if day > 42 - WEEK]
        small = sum(len(encoded("day.parquet", part)) for part in week)
        whole = len(encoded("all.parquet", table))
        found[rows] = {
            "one file": _scan(whole) + READ,
            "a file a day": _scan(small) + WEEK * READ,
        }
    return pd.DataFrame(found).T.rename_axis("rows")
