"""Lambda, Kappa, hybrid and plain batch over the same log: what each one serves, and what it costs.

Batch runs at midnight over what has arrived. In Lambda a second piece of code, the speed layer,
counts deliveries since then by their arrival, and the two are added up when somebody asks. In Kappa
one piece of code keeps the windows of every card. The hybrid takes long windows from the batch and
short ones from the stream: each feature has one definition, and its own age.
"""

import numpy as np
import pandas as pd

from mlkit.dualmode.consumers import counted, delivered, event_log, first_arrivals, with_itself
from mlkit.features import DAY_US, card_features
from mlkit.tables import as_microseconds

SHORT = ["charges_5m", "amount_5m", "charges_1h"]
LONG = ["charges_30d", "avg_30d", "amount_ratio"]
CODE_PATHS = {"batch only": 1, "Lambda": 2, "Kappa": 1, "hybrid": 2}
PER_FEATURE = {"batch only": 1, "Lambda": 2, "Kappa": 1, "hybrid": 1}


def serve_batch(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return the windows of each charge as of last midnight, each id once."""
    once = first_arrivals(charges, arrivals)
    return counted(charges, delivered(once, event_log(once)), at_us=midnights(charges))


def serve_kappa(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return the windows of each charge by event time, each id once, as of its moment."""
    once = first_arrivals(charges, arrivals)
    return counted(charges, delivered(once, event_log(once)))


def serve_lambda(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return batch and speed layer added up: the seam is at midnight.

    No delivery is in both layers. But the batch's thirty days begin at a midnight, not thirty days
    ago, a short window that spans midnight has lost its beginning, and the speed layer, written by
    others, counts deliveries by arrival and knows no ids.
    """
    batch, today = serve_batch(charges, arrivals), delivered(charges, arrivals)
    today["at_us"] = today["known_us"]
    today["until_us"] = (today["known_us"] // DAY_US + 1) * DAY_US
    speed = counted(charges, today)
    n = batch["charges_30d"] + speed["charges_30d"]
    sums = [(layer["charges_30d"] * layer["avg_30d"]).fillna(0.0) for layer in (batch, speed)]
    average = ((sums[0] + sums[1]) / n).where(n > 0)
    ratio = charges["amount_usd"].reset_index(drop=True) / average
    return speed.assign(charges_30d=n, avg_30d=average, amount_ratio=ratio)


def serve_hybrid(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return long windows of last midnight and short ones of the moment."""
    batch, stream = serve_batch(charges, arrivals), serve_kappa(charges, arrivals)
    ratio = charges["amount_usd"].reset_index(drop=True) / batch["avg_30d"]
    return batch.assign(**{name: stream[name] for name in SHORT}, amount_ratio=ratio)


SERVE = {
    "batch only": serve_batch,
    "Lambda": serve_lambda,
    "Kappa": serve_kappa,
    "hybrid": serve_hybrid,
}


def midnights(charges: pd.DataFrame) -> np.ndarray:
    """Return the last midnight before each charge, microseconds since 1970, shape (n,)."""
    return as_microseconds(charges["event_ts"]) // DAY_US * DAY_US


def right(served: pd.DataFrame, known: pd.DataFrame, columns: list[str]) -> float:
    """Return the share of charges whose features equal what could be known, in [0, 1]."""
    close = np.isclose(served[columns], known[columns], rtol=1e-9, atol=1e-9, equal_nan=True)
    return float(close.all(axis=1).mean())


def compare(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return one row per architecture: how right, how fresh, how many code paths, rows read.

    Parameters
    ----------
    charges: see `card_features`
    arrivals: the log, see `consumers.event_log`

    Returns
    -------
    short and long: shares of charges whose short (minutes, an hour) and long (thirty days) windows
    equal the features on both clocks, in [0, 1]; hours_old: median age of the long windows;
    code_paths, and how many of them define one feature (per_feature); read_nightly: rows that the
    batch has read in all nights; read_live: deliveries that a stream has read; read_again: rows to
    read when a definition changes.
    """
    known = card_features(first_arrivals(charges, arrivals))
    age = (as_microseconds(charges["event_ts"]) - midnights(charges)) / (DAY_US / 24)
    table = {}
    for name, serve in SERVE.items():
        served = serve(charges, arrivals)
        shares = {"short": right(served, known, SHORT), "long": right(served, known, LONG)}
        nightly = name in ("batch only", "hybrid")
        shares["hours_old"] = float(np.median(age)) if nightly else 0.0
        paths = {"code_paths": CODE_PATHS[name], "per_feature": PER_FEATURE[name]}
        table[name] = {**shares, **paths, **rows_read(name, arrivals)}
    counts = ["code_paths", "per_feature", "read_nightly", "read_live", "read_again"]
    return pd.DataFrame(table).T.astype(dict.fromkeys(counts, "int64"))


def rows_read(name: str, arrivals: pd.DataFrame) -> dict[str, int]:
    """Return how many rows of the log an architecture reads: nightly, live, and once more.

    Lambda's batch reads all of history each night, as the syllabus has it; the others read the
    thirty-one days that their windows need.
    """
    came, n = as_microseconds(arrivals["arrival_ts"]), len(arrivals)
    nights = np.arange(came.min() // DAY_US + 1, came.max() // DAY_US + 1) * DAY_US
    until = np.searchsorted(np.sort(came), nights)
    since = np.searchsorted(np.sort(came), nights - 31 * DAY_US)
    nightly = int(until.sum() if name == "Lambda" else (until - since).sum())
    return {
        "read_nightly": 0 if name == "Kappa" else nightly,
        "read_live": 0 if name == "batch only" else n,
        "read_again": 2 * n if name in ("Lambda", "hybrid") else n,
    }


def trained_on(charges: pd.DataFrame, arrivals: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return four training tables that a Kappa team may make from the same log by replay.

    Same code, both clocks; the finished log (everything known when it happened); newer code (the
    charge itself is in its own average); a log that has been truncated to its second half (rows of
    the first half have no features at all, some of the second half wrong ones).
    """
    once = first_arrivals(charges, arrivals)
    honest = card_features(once)
    log = arrivals["arrival_ts"]
    kept = once[once["ingest_ts"] >= log.max() - (log.max() - log.min()) / 2]
    short = card_features(kept).set_index("charge_id").reindex(once["charge_id"]).reset_index()
    return {
        "same code, both clocks": honest,
        "the finished log": card_features(once.assign(ingest_ts=once["event_ts"])),
        "newer code": with_itself(honest),
        "a log cut in half": short,
    }
