"""A group by user on several machines, small enough to count: map, combine, shuffle, reduce.

Each map task holds some files. It may add up its own rows for each user first (combine), then
sends what it has to the reducer of the user's hash (shuffle), which adds up what comes (reduce).
What is counted are the rows sent, as the shuffle of a real engine writes them, and the most that
any one reducer gets: the slowest one decides when the job ends.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import checked
from mlkit.scale.layout import bucket
from mlkit.tables import require

Reducers = Annotated[int, Interval(ge=1, le=100_000)]
Salts = Annotated[int, Interval(ge=1, le=10_000)]
Stages = list[tuple[int, int]]  # rows sent and the most for one reducer, for each shuffle
SUMS = ["n", "sum"]


@checked
def group_by_user(
    rows: pd.DataFrame, *, part: np.ndarray, plan: str, reducers: Reducers = 16, salts: Salts = 16
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return n, sum and mean of each user by a plan, and what the plan moved.

    Parameters
    ----------
    rows: user_id and amount_usd, and event_ts for the plan that shuffles by date
    part: the map task of each row: the file that it lies in
    plan: one of `PLANS`
    reducers: how many machines take what is sent
    salts: how many pieces a user is cut into by the plan "salt"

    Returns
    -------
    The table, ordered by user_id, and a dictionary: shuffles, moved (rows sent in all of them) and
    largest (the most that a reducer gets in any).

    Raises
    ------
    ValueError: no such plan, not one part per row, or a user in two parts where the plan needs
        them in one
    KeyError, TypeError: a column is missing or of another type
    """
    require(rows, "rows", {"user_id": "any", "amount_usd": "float"})
    if plan not in PLANS:
        raise ValueError(f"plan = {plan!r}: expected one of {', '.join(PLANS)}")
    if len(part) != len(rows):
        raise ValueError(f"part: expected one for each of {len(rows)} rows, came {len(part)}")
    single = rows.assign(part=np.asarray(part), n=1, sum=rows["amount_usd"])
    known = single.dropna(subset=["user_id", "sum"])
    last, stages = PLANS[plan](known, reducers, salts)
    table = last.groupby("user_id", as_index=False)[SUMS].sum()
    moved = {"shuffles": len(stages), "moved": sum(sent for sent, _ in stages)}
    most = max((largest for _, largest in stages), default=0)
    return table.assign(mean=table["sum"] / table["n"]), {**moved, "largest": most}


def combine(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return one row for each combination of keys, its n and sum added up."""
    return rows.groupby(keys, as_index=False)[SUMS].sum()


def sent(rows: pd.DataFrame, to: np.ndarray) -> tuple[int, int]:
    """Return how many rows a shuffle sends, and the most that go to one reducer."""
    return len(rows), int(np.bincount(to).max()) if len(rows) else 0


def _partial(rows: pd.DataFrame, reducers: int, salts: int) -> tuple[pd.DataFrame, Stages]:
    """What engines do by themselves: add up in each map task, send the partial sums."""
    local = combine(rows, ["part", "user_id"])
    return local, [sent(local, bucket(local["user_id"], reducers))]


def _repartition_user(rows: pd.DataFrame, reducers: int, salts: int) -> tuple[pd.DataFrame, Stages]:
    """Every raw row is sent to the reducer of its user; then there is nothing left to send."""
    return rows, [sent(rows, bucket(rows["user_id"], reducers))]


def _repartition_date(rows: pd.DataFrame, reducers: int, salts: int) -> tuple[pd.DataFrame, Stages]:
    """Every raw row is sent to the reducer of its date, and partial sums once more by user."""
    to = bucket(rows["event_ts"].dt.floor("D"), reducers)
    local = combine(rows.assign(part=to), ["part", "user_id"])
    return local, [sent(rows, to), sent(local, bucket(local["user_id"], reducers))]


def _stored_by_user(rows: pd.DataFrame, reducers: int, salts: int) -> tuple[pd.DataFrame, Stages]:
    """Each file holds whole users: nothing is sent."""
    local = combine(rows, ["part", "user_id"])
    twice = local["user_id"].duplicated()
    if twice.any():
        raise ValueError(
            f"plan 'stored by user': expected each user in one part, {int(twice.sum())} are in "
            "more; write the files with part_of(rows, by='user', ...)"
        )
    return local, []


def _salt(rows: pd.DataFrame, reducers: int, salts: int) -> tuple[pd.DataFrame, Stages]:
    """Raw rows are sent by user and salt, added up, and the partial sums sent by user."""
    salted = rows.assign(salt=np.arange(len(rows)) % salts)
    to = (bucket(salted["user_id"], reducers) + salted["salt"].to_numpy()) % reducers
    local = combine(salted, ["user_id", "salt"])
    return local, [sent(rows, to), sent(local, bucket(local["user_id"], reducers))]


PLANS: dict[str, Callable[..., tuple[pd.DataFrame, Stages]]] = {
    "partial sums": _partial,
    "repartition(user)": _repartition_user,
    "repartition(date)": _repartition_date,
    "stored by user": _stored_by_user,
    "salt": _salt,
}


def loads(rows: pd.DataFrame, *, reducers: int, salts: int = 1) -> np.ndarray:
    """Return how many raw rows each reducer gets, shape (reducers,), with salt or without."""
    salt = np.arange(len(rows)) % salts
    to = (bucket(rows["user_id"], reducers) + salt) % reducers
    return np.bincount(to, minlength=reducers)
