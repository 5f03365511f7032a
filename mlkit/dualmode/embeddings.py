"""Vectors made once a week in batch, and moved by each purchase in between.

The syllabus's recommendation scenario, in the shop. An item is a category at a level of price;
items that the same people buy lie close together. A customer is the mean of what they bought, and
the next purchase is the test: how high had it been ranked?
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.features import category_codes
from mlkit.params import checked
from mlkit.tables import as_microseconds, require
from mlkit.worlds.people import DAY

BANDS = 5  # of price, equally full
Dims = Annotated[int, Interval(ge=1, le=40)]
Memory = Annotated[float, Interval(ge=0, le=1)]
FromDay = Annotated[float, Interval(ge=1, le=100_000)]
EveryDays = Annotated[float, Interval(gt=0, le=1_000)]
COLUMNS = {
    "user_id": "int",
    "event_ts": "time",
    "ingest_ts": "time",
    "amount_usd": "float",
    "category": "any",
}


def items(transactions: pd.DataFrame, *, bands: int = BANDS) -> np.ndarray:
    """Return the item of each purchase, int64 from 0, shape (n,): its category and price band."""
    band = pd.qcut(transactions["amount_usd"].rank(method="first"), bands, labels=False)
    return category_codes(transactions["category"]) * bands + band.to_numpy("int64")


def item_vectors(bought: np.ndarray, *, dims: Dims = 8) -> np.ndarray:
    """Return a vector per item, shape (items, dims), from what the same users bought.

    Positive pointwise mutual information of two items in one history, then the strongest
    directions of it (a singular value decomposition).

    Parameters
    ----------
    bought: shape (users, items), how often a user bought an item
    dims: length of a vector

    Source
    ------
    Levy and Goldberg, Neural word embedding as implicit matrix factorization (2014).
    """
    had = (bought > 0).astype("float64")
    together = had.T @ had
    np.fill_diagonal(together, 0.0)
    share = together / max(together.sum(), 1.0)
    alone = share.sum(axis=0)
    expected = np.outer(alone, alone)
    ratio = np.divide(share, expected, out=np.ones_like(share), where=(expected > 0) & (share > 0))
    left, strength, _ = np.linalg.svd(np.maximum(np.log(ratio), 0.0))
    return left[:, :dims] * np.sqrt(strength[:dims])


@checked
def next_purchases(
    transactions: pd.DataFrame,
    *,
    memory: Memory = 0.0,
    every_days: EveryDays = 7.0,
    from_day: FromDay = 200.0,
    dims: Dims = 8,
) -> pd.DataFrame:
    """Return how high each purchase had been ranked by vectors of two ages, and by popularity.

    Parameters
    ----------
    transactions: user_id int, event_ts UTC, ingest_ts UTC, amount_usd float USD, category
    memory: the least weight of the newest purchase in a customer's mean, in [0, 1]; 0 is the plain
        mean of all, 0.3 forgets within some purchases
    every_days: between two runs of the batch, which makes items and customers anew
    from_day: the day since the first purchase from which predictions are judged
    dims: length of a vector

    Returns
    -------
    One row per purchase of a customer whom the last batch knew: weekly, online, popular (the rank
    of what was bought, 0 is the best), moved (whether the customer's vector had been updated since
    the batch). The online vector knows what had arrived; item vectors are those of the batch.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of another type, or empty
    """
    require(transactions, "transactions", COLUMNS)
    item, user = items(transactions), transactions["user_id"].to_numpy("int64")
    shape = (int(user.max()) + 1, int(item.max()) + 1)
    counts, means = np.zeros(shape), np.zeros(shape)
    stale, seen, vectors, ranks = means, counts, np.zeros((shape[1], dims)), []
    for what, row in _in_time(transactions, every_days=every_days, from_day=from_day):
        if what == "batch":
            stale, seen, vectors = means.copy(), counts.copy(), item_vectors(counts, dims=dims)
            known = counts.sum(axis=1)
            continue
        who, it = user[row], item[row]
        if what == "arrival":
            counts[who, it] += 1
            weight = max(memory, 1 / counts[who].sum())
            means[who] *= 1 - weight
            means[who, it] += weight
        elif known[who]:
            scores = [vectors @ (mean[who] @ vectors) for mean in (stale, means)]
            moved = counts[who].sum() > known[who]
            ranks.append([*(_rank(s, it) for s in (*scores, seen.sum(axis=0))), moved])
    table = pd.DataFrame(ranks, columns=["weekly", "online", "popular", "moved"])
    return table.astype({"weekly": "int64", "online": "int64", "popular": "int64", "moved": "bool"})


def _rank(scores: np.ndarray, item: int) -> int:
    """Return how many items are ranked above one; ties count half, rounded down."""
    above, equal = (scores > scores[item]).sum(), (scores == scores[item]).sum() - 1
    return int(above + equal // 2)


def _in_time(
    transactions: pd.DataFrame, *, every_days: float, from_day: float
) -> Iterator[tuple[str, int]]:
    """Yield what happens, in order: batches, arrivals, and purchases to judge (by row)."""
    at, came = (as_microseconds(transactions[name]) for name in ("event_ts", "ingest_ts"))
    first = at.min() + int(from_day * DAY)
    runs = np.arange(first, at.max() + 1, int(every_days * DAY))
    judged = np.flatnonzero(at >= first)
    times = np.concatenate([runs, came, at[judged]])
    what = np.repeat([0, 1, 2], [len(runs), len(came), len(judged)])
    row = np.concatenate([np.zeros(len(runs), "int64"), np.arange(len(came)), judged])
    names = ("batch", "arrival", "purchase")
    for i in np.lexsort([row, what, times]):
        yield names[what[i]], int(row[i])
