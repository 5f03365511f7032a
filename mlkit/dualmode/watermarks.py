"""One watermark over several partitions, and what a late charge does to those downstream."""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import checked
from mlkit.tables import as_microseconds, as_time, require

SECOND_US = 1_000_000
IdleSeconds = Annotated[float, Interval(gt=0)]


@checked
def joint_watermark(
    deliveries: pd.DataFrame, *, idle_seconds: IdleSeconds = float("inf")
) -> pd.DataFrame:
    """Return the watermark over all partitions after each delivery: the least of theirs.

    A partition promises that nothing older comes than the latest it has brought. One that is silent
    promises nothing new, and holds up all others; after a time of silence it is not waited for.
    What it brings when it wakes may then be late.

    Parameters
    ----------
    deliveries: partition, event_ts UTC, arrival_ts UTC
    idle_seconds: silence, by the clock of arrival, after which a partition is idle (inf: never)

    Returns
    -------
    By arrival: partition, arrival_ts, event_ts, watermark UTC (it never goes back), behind_seconds
    (from the watermark to now) and late (whether the delivery is older than the watermark before).

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of another type, or empty
    """
    columns = {"partition": "any", "event_ts": "time", "arrival_ts": "time"}
    rows = require(deliveries, "deliveries", columns)[list(columns)]
    rows = rows.sort_values("arrival_ts", kind="stable", ignore_index=True)
    at, now = (as_microseconds(rows[name]) for name in ("event_ts", "arrival_ts"))
    codes, names = pd.factorize(rows["partition"])
    newest = np.full(len(names), at.min())
    heard = np.full(len(names), now[0])
    marks = np.empty(len(rows), dtype="int64")
    for i, code in enumerate(codes):
        newest[code], heard[code] = max(newest[code], at[i]), now[i]
        awake = (now[i] - heard) / SECOND_US <= idle_seconds
        marks[i] = newest[awake].min()
    marks = np.maximum.accumulate(marks)
    late = at < np.append(at.min(), marks[:-1])
    behind = (now - marks) / SECOND_US
    return rows.assign(watermark=as_time(marks), behind_seconds=behind, late=late)


def sinks(told: pd.DataFrame) -> pd.Series:
    """Return the total that three kinds of table downstream show after late charges.

    A stream that corrects itself answers a window again for each late charge. Added up, the old
    answers stay in; a table that is told to take the old answer back, or that keeps one row per
    window, is right; one that hears of the first answer only lacks what was late.

    Parameters
    ----------
    told: see `windows.windows`: charges, answered and late, one row per card and window

    Returns
    -------
    counts of charges: truth, `first answer`, `every answer added`, `retracted or replaced`.
    """
    first, late = told["answered"], told["late"]
    again = (late * first + late * (late + 1) / 2).sum()  # first+1, first+2, ..., first+late
    totals = {
        "truth": told["charges"].sum(),
        "first answer": first.sum(),
        "every answer added": first.sum() + again,
        "retracted or replaced": (first + late).sum(),
    }
    return pd.Series(totals).astype("int64")
