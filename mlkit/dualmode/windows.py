"""Five-minute windows of a stream: when is one closed, and what came too late for it?

A window cannot wait for ever. The watermark, the latest event time seen less an allowed lateness,
says up to when the stream believes to have seen everything; a window is answered when the
watermark has passed its end. The more lateness is allowed, the fewer answers are wrong and the
later all of them come.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlkit.dualmode.consumers import first_arrivals
from mlkit.features import MINUTE_US
from mlkit.params import NotNegative, Positive, checked
from mlkit.tables import as_microseconds, as_time

SECOND_US = MINUTE_US // 60


@checked
def windows(
    charges: pd.DataFrame,
    arrivals: pd.DataFrame,
    *,
    allowed_seconds: NotNegative = 0.0,
    minutes: Positive = 5.0,
) -> pd.DataFrame:
    """Return each card's tumbling windows: what was answered at their close, and what was true.

    Repeats are dropped by id. A charge that comes after the close of its window is late: it is not
    in the answer, and would be a retraction where the stream corrects itself.

    Parameters
    ----------
    charges: charge_id int, user_id int, event_ts UTC
    arrivals: the log: offset int, charge_id int, arrival_ts UTC
    allowed_seconds: how far the watermark stays behind the latest event time seen
    minutes: width of a window

    Returns
    -------
    One row per card and window that holds a charge: user_id, from_ts UTC, charges and answered
    (float64, the true count and the one at the close), late (their difference), delay_seconds from
    the window's end to its close (NaN where the log ends before it).

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing, or of another type
    """
    rows = first_arrivals(charges, arrivals).sort_values(["ingest_ts", "charge_id"], kind="stable")
    at, came = (as_microseconds(rows[name]) for name in ("event_ts", "ingest_ts"))
    width = int(minutes * MINUTE_US)
    start = at // width * width
    watermark = np.maximum.accumulate(at) - int(allowed_seconds * SECOND_US)
    close = np.searchsorted(watermark, start + width)  # the first delivery that passes the end
    on_time = np.arange(len(rows)) <= close
    delay = np.append(came / SECOND_US, np.nan)[close] - (start + width) / SECOND_US
    table = pd.DataFrame({"user_id": rows["user_id"].to_numpy(), "from_us": start})
    table = table.assign(charges=1.0, answered=on_time.astype("float64"), delay_seconds=delay)
    keys = table.groupby(["user_id", "from_us"], as_index=False)
    told = keys.agg({"charges": "sum", "answered": "sum", "delay_seconds": "first"})
    told.insert(1, "from_ts", as_time(told.pop("from_us").to_numpy()))
    told.insert(4, "late", told["charges"] - told["answered"])
    return told


@checked
def allowed_lateness(
    charges: pd.DataFrame, arrivals: pd.DataFrame, *, seconds: Sequence[float]
) -> pd.DataFrame:
    """Return how fresh and how right the answers are, for each allowed lateness.

    Parameters
    ----------
    charges, arrivals: see `windows`
    seconds: the values of allowed lateness to try, each at least 0

    Returns
    -------
    Index allowed_seconds; wrong (share of windows with another count at their close, in [0, 1]),
    late (charges that came after it: dropped, or each a retraction), delay_seconds (median from a
    window's end to its answer).
    """
    rows = []
    for allowed in seconds:
        told = windows(charges, arrivals, allowed_seconds=float(allowed))
        wrong = float((told["late"] > 0).mean())
        delay = float(told["delay_seconds"].median())
        rows.append({"wrong": wrong, "late": int(told["late"].sum()), "delay_seconds": delay})
    return pd.DataFrame(rows, index=pd.Index(seconds, name="allowed_seconds"))


def by_arrival(
    charges: pd.DataFrame, arrivals: pd.DataFrame, *, minutes: float = 5.0
) -> pd.DataFrame:
    """Return each card's windows as a stream counts that goes by the clock of arrival.

    Nothing is ever late by that clock, and no answer waits. Returns the columns of `windows` but
    late and delay_seconds: charges (by event time) and answered (deliveries, by arrival), with 0
    where a window has only one of them.
    """
    width = pd.Timedelta(minutes=minutes)
    log = arrivals.merge(charges[["charge_id", "user_id"]], on="charge_id", validate="m:1")
    counts = [
        table.groupby(["user_id", table[time].dt.floor(width).rename("from_ts")]).size()
        for table, time in ((charges, "event_ts"), (log, "arrival_ts"))
    ]
    both = pd.concat(counts, axis=1, keys=["charges", "answered"]).fillna(0.0)
    return both.sort_index().reset_index()
