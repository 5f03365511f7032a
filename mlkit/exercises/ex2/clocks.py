"""Training sets for exercise 2 that others built: some of their values nobody could have known."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises.ex2.states import DAY, HOUR, START, by_loop

NAMES = ("tariff", "limit", "visits", "rating", "balance", "points", "quota", "grade")


class Built(NamedTuple):
    """A training set, the history behind it, what to say of it, and why one may be wrong."""

    text: str
    training: pd.DataFrame
    history: pd.DataFrame
    why: str


def shares_by_loop(training: pd.DataFrame, history: pd.DataFrame) -> pd.Series:
    """Return the share of rows of each column whose value nobody could have known, row by row."""
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = list(history[history["feature"] == name].itertuples())
        impossible = 0
        for user, asked, value in training[["user_id", "asked_ts", name]].itertuples(index=False):
            known = {r.value for r in rows if r.user_id == user and r.known_ts <= asked}
            impossible += not pd.isna(value) and value not in known
        shares[name] = impossible / len(training)
    return pd.Series(shares, dtype="float64")


def history_of(rng: np.random.Generator, *, n_users: int = 24, n_rows: int = 7) -> pd.DataFrame:
    """Return one feature's rows: seq, user_id, value, event_ts, known_ts, all known at once."""
    rows = pd.DataFrame({"user_id": np.repeat(np.arange(n_users), n_rows)})
    hour = np.concatenate([rng.choice(320, n_rows, replace=False) * 3 for _ in range(n_users)])
    rows["event_ts"] = START + hour * HOUR
    rows["known_ts"] = rows["event_ts"]
    rows["value"] = np.round(rng.permutation(len(rows)) * 1.5 + 10, 1)
    rows = rows.sort_values("event_ts", kind="stable", ignore_index=True)
    return rows.assign(seq=np.arange(len(rows)))


def asked_of(rng: np.random.Generator, *, n_users: int = 27, n: int = 90) -> pd.DataFrame:
    """Return training rows without features; the last three users have no history."""
    asked = pd.DataFrame({"user_id": rng.integers(0, n_users, n)})
    asked["asked_ts"] = START + (rng.integers(20, 320, n) * 3 + 1) * HOUR
    return asked


# What a column may hold: each takes history and training rows and returns both


Filled = tuple[pd.DataFrame, pd.DataFrame, pd.Series]


def as_of(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state as of each request, on both clocks."""
    return rows, asked, by_loop(rows, asked)


def late_as_of(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state as of each request where every third row is late."""
    return as_of(_late(rows), asked)


def corrected_as_of(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state as of each request where every row was corrected six days later."""
    return as_of(_corrected(rows), asked)


def stale(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state as a job wrote it ten days before the request: old, and known."""
    return rows, asked, by_loop(rows, asked.assign(asked_ts=asked["asked_ts"] - 10 * DAY))


def announced(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return what was announced by the request, in force or not yet."""
    ahead = rows.assign(known_ts=rows["event_ts"] - 9 * DAY)
    return ahead, asked, by_loop(ahead.assign(event_ts=ahead["known_ts"]), asked)


def coming_back(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state as of each request where two values take turns."""
    turn = rows.groupby("user_id").cumcount() % 2
    return as_of(rows.assign(value=100.0 + rows["user_id"] * 2 + turn), asked)


def at_the_moment(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state as of requests that are made when a row becomes known."""
    fourth = rows[rows.groupby("user_id").cumcount() == 3].set_index("user_id")["known_ts"]
    moments = asked["user_id"].map(fourth).fillna(asked["asked_ts"])
    return as_of(rows, asked.assign(asked_ts=moments))


def inject_today(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state as the table holds it today."""
    return rows, asked, asked["user_id"].map(rows.groupby("user_id")["value"].last())


def inject_event_time(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state by event time alone, although every third row was late."""
    late = _late(rows)
    return late, asked, by_loop(late.assign(known_ts=late["event_ts"]), asked)


def inject_corrections(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return the state with all corrections, also those that came later."""
    both = _corrected(rows)
    return both, asked, by_loop(both.assign(known_ts=both["event_ts"]), asked)


def inject_other_user(rows: pd.DataFrame, asked: pd.DataFrame) -> Filled:
    """Return everybody the state of the user before."""
    neighbour = asked.assign(user_id=(asked["user_id"] - 1).clip(lower=0))
    return rows, asked, by_loop(rows, neighbour)


def _late(rows: pd.DataFrame) -> pd.DataFrame:
    late = rows["seq"] % 3 == 0
    return rows.assign(known_ts=rows["event_ts"].mask(late, rows["event_ts"] + 8 * DAY))


def _corrected(rows: pd.DataFrame) -> pd.DataFrame:
    fixed = rows.assign(value=rows["value"] + 0.3, known_ts=rows["event_ts"] + 6 * DAY)
    return pd.concat([rows, fixed.assign(seq=rows["seq"] + len(rows))], ignore_index=True)


def built(text: str, why: str, rng: np.random.Generator, *columns: Callable[..., Filled]) -> Built:
    """Return a training set with one column for each way to fill one, under neutral names."""
    asked = asked_of(rng)
    names = rng.permutation(NAMES)[: len(columns)]
    histories, values = [], {}
    for name, fill in zip(names, columns, strict=True):
        rows, asked, values[name] = fill(history_of(rng), asked)
        histories.append(rows.assign(feature=name))
    history = pd.concat(histories).sample(frac=1, random_state=int(rng.integers(2**31)))
    columns_of_history = ["user_id", "feature", "value", "event_ts", "known_ts"]
    training = asked.assign(**values)
    return Built(text, training, history[columns_of_history].reset_index(drop=True), why)


SILENT = {
    "nothing is impossible in an honest training set, late rows or not": (
        (as_of, late_as_of),
        "Missing is no value from the future: it says that nothing was known. And an audit that "
        "cries wolf at an honest table is not run twice.",
    ),
    "an old value is no impossible one": (
        (stale, as_of),
        "A stale value differs from the one as of the request, and it was there: that is skew, not "
        "leakage. Ask whether the value was known, not whether it was the newest.",
    ),
    "what was announced in advance was known": (
        (announced, as_of),
        "What is not in force yet can be known already: here only known_ts decides. An audit by "
        "event time accuses a tariff that was on the notice board.",
    ),
    "a value that comes back was there before": (
        (coming_back, as_of),
        "The same value was known earlier and later: it is impossible only if no row of this user "
        "held it in time. Look for one that did, not for one that did not.",
    ),
    "a value that was corrected since was known": (
        (corrected_as_of, as_of),
        "Cleaning the history of the rows that were corrected removes what serving really saw: "
        "right or wrong, the old value was known.",
    ),
    "what becomes known at the very moment is known": (
        (at_the_moment, as_of),
        "known_ts <= asked_ts: at a tie the row is there.",
    ),
}
LEAKS = {
    "today's state is impossible in the rows that came before it": (
        (as_of, inject_today),
        "A share is of all training rows, also of those without a value; a value that stands "
        "somewhere in the history was not therefore known at the request.",
    ),
    "an as-of join on event time used rows that were late": (
        (inject_event_time, late_as_of),
        "Event time sees nothing wrong here: it happened before, and was known after. The second "
        "clock is the one that serving runs on.",
    ),
    "corrections that came later": (
        (as_of, inject_corrections),
        "A correction stands under the old event time. Who corrected the table after the fact "
        "gave training what serving never had.",
    ),
    "another user's value": (
        (inject_other_user, as_of),
        "Somebody had this value, and not this user: compare within the user, column by column.",
    ),
}
