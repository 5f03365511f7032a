"""States of users for exercise 2: what was in force, what was known, and where it gets hard."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

START = pd.Timestamp("2025-03-01", tz="UTC")
HOUR, DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
Case = tuple[pd.DataFrame, pd.DataFrame]


def by_loop(events: pd.DataFrame, requests: pd.DataFrame) -> pd.Series:
    """Return the state as of each request, one row at a time: slow, and easy to believe."""
    found, rows = [], list(events.itertuples())
    by_user = {user: [row for row in rows if row.user_id == user] for user in requests["user_id"]}
    for user, asked in zip(requests["user_id"], requests["asked_ts"], strict=True):
        newest, value = None, np.nan
        for row in by_user[user]:
            in_force = row.event_ts <= asked and row.known_ts <= asked
            if in_force and (newest is None or (row.event_ts, row.seq) > newest):
                newest, value = (row.event_ts, row.seq), row.value
        found.append(value)
    return pd.Series(found, index=requests.index, dtype="float64")


def settled(rng: np.random.Generator, *, n_users: int = 8, n_rows: int = 6) -> Case:
    """Return events in order of time, all known at once, and two requests a user between them."""
    n = n_users * n_rows
    events = pd.DataFrame({"user_id": np.repeat(np.arange(n_users), n_rows)})
    slots = [1 + rng.choice(319, n_rows, replace=False) for _ in range(n_users)]
    hour = np.concatenate(slots) * 3
    hour[::n_rows] = 0  # everybody has a state from the beginning
    events["event_ts"] = START + hour * HOUR
    events["known_ts"] = events["event_ts"]
    events["value"] = 100.0 + rng.permutation(n)
    events = events.sort_values("event_ts", kind="stable", ignore_index=True)
    events.insert(0, "seq", np.arange(n))
    requests = pd.DataFrame({"user_id": np.tile(np.arange(n_users), 2)})
    requests["asked_ts"] = START + (rng.integers(30, 300, 2 * n_users) * 3 + 1) * HOUR
    return events, requests.sort_values("asked_ts", kind="stable", ignore_index=True)


def tangled(rng: np.random.Generator, *, n_users: int = 60, n: int = 500) -> Case:
    """Return `n` random requests and a history with ties, late rows and everything else."""
    rows = 24 * n_users
    events = pd.DataFrame({"seq": rng.permutation(rows)})
    events["user_id"] = rng.integers(0, n_users - 2, rows)  # the last two have no history
    events["event_ts"] = START + rng.integers(0, 60, rows) * 12 * HOUR
    lag = rng.choice([0, 0, 0, 12, 48, 240, -72], rows)
    events["known_ts"] = events["event_ts"] + lag * HOUR
    events["value"] = np.where(rng.random(rows) < 0.05, np.nan, 100.0 + rng.permutation(rows))
    requests = pd.DataFrame({"user_id": rng.integers(0, n_users, n)})
    requests["asked_ts"] = START + rng.integers(0, 60, n) * 12 * HOUR
    return events, requests.set_index(rng.permutation(n) + 1000)


class Edge(NamedTuple):
    """What is hard about a small history, and the mistake that it finds."""

    change: Callable[[pd.DataFrame, pd.DataFrame], Case]
    why: str
    missing: str = ""  # the mistake of those who find nothing where there was something


def edge(name: str, rng: np.random.Generator) -> Case:
    """Return a small history in which the thing of that name is hard, and no other."""
    return EDGES[name].change(*settled(rng))


def _as_it_is(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    return events, requests


def _shuffled(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    return events.sort_values("value", ignore_index=True), requests


def _in_their_order(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    twice = pd.concat([requests, requests.head(3)], ignore_index=True)[::-1]
    return events, twice.set_index(np.arange(len(twice)) * 7 + 100)


def _nobody(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    return events[events["user_id"] % 2 == 0].reset_index(drop=True), requests


def _moment(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    moments = [events.loc[events["user_id"] == u, "event_ts"].iloc[3] for u in requests["user_id"]]
    return events, requests.assign(asked_ts=moments).sort_values("asked_ts", ignore_index=True)


def _ties(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    """Every row has a second one for the same event_ts; the one with the smaller seq comes last."""
    other = events["value"].to_numpy()[::-1] + 0.5
    again = events.assign(seq=events["seq"] + len(events), value=other)
    both = pd.concat([events.assign(known_ts=events["known_ts"] + HOUR), again])
    return both.sort_values("value", ignore_index=True), requests


def _late(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    """Each row arrives just before the next one happens: late, and never overtaken."""
    following = events.groupby("user_id")["event_ts"].shift(-1)
    known = (following - HOUR).fillna(events["event_ts"] + 30 * DAY)
    first = ~events.duplicated("user_id")  # something is always known
    return events.assign(known_ts=known.mask(first, events["event_ts"])), requests


def _overtaken(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    """Every second row arrives after the next one, and requests come when it has arrived."""
    row = events.groupby("user_id").cumcount()
    following = events.groupby("user_id")["event_ts"].shift(-1)
    late = following.notna() & (row % 2 == 1)
    known = events["event_ts"].mask(late, following + HOUR)
    arrivals = events.assign(at=known + HOUR)[late].groupby("user_id")["at"]
    asked = pd.concat([arrivals.first(), arrivals.last()]).rename("asked_ts").reset_index()
    asked = asked.sort_values("asked_ts", kind="stable", ignore_index=True)
    return events.assign(known_ts=known), asked[["user_id", "asked_ts"]]


def _corrected(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    """Every row is corrected, under its own event_ts, a month after everything was asked."""
    after = events["event_ts"].max() + 30 * DAY
    fixes = events.assign(seq=events["seq"] + len(events), value=events["value"] + 500)
    return pd.concat([events, fixes.assign(known_ts=after)], ignore_index=True), requests


def _announced(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    return events.assign(known_ts=events["event_ts"] - 15 * DAY), requests


def _withdrawn(events: pd.DataFrame, requests: pd.DataFrame) -> Case:
    gone = (events["seq"] % 2 == 1) & events.duplicated("user_id")
    return events.assign(value=events["value"].mask(gone)), requests


IN_ORDER = "one answer for each request, in their order and with their index"
NOBODY = "a user without history has an answer: missing"
EDGES = {
    "the state is that of the moment of each request": Edge(
        _as_it_is,
        "Each request has a moment and a user of its own. The state of today, the nearest state or "
        "anybody's state holds the future: look back from asked_ts, within the user.",
    ),
    "it does not depend on the order of the events in their table": Edge(
        _shuffled,
        "The last row in file order is the one that was written last, not the newest one: a table "
        "has no order. event_ts decides.",
    ),
    IN_ORDER: Edge(
        _in_their_order,
        "The answers have another order, or another index, than the requests: put beside them, "
        "everybody gets another user's state. Restore what sorting and merging took.",
    ),
    NOBODY: Edge(
        _nobody,
        "Users without history are requests too: an inner join drops the customers you know "
        "least, and 0 is a value that nobody ever had.",
    ),
    "an event at the very moment of the request counts": Edge(
        _moment,
        "Strictly before is not the rule here: a state that begins at asked_ts is in force at "
        "asked_ts. Training and serving must decide ties alike.",
    ),
    "an old event that arrives late does not replace a newer one": Edge(
        _overtaken,
        "The latest to arrive is not the latest to happen: known_ts says whether a row counts, "
        "event_ts which of those that count is the newest.",
    ),
    "of two rows for the same event_ts the greater seq counts": Edge(
        _ties,
        "Ties in event_ts are broken by seq, not by the order of the file, of arrival or of the "
        "values: whatever the rule is, training and serving must share it, and no run may toss.",
    ),
    "a row counts from known_ts on": Edge(
        _late,
        "One clock only: event_ts says when it happened, known_ts when anybody could know. This "
        "training set knows things that serving was told later.",
        missing="First keep what was known, then choose the newest. Choosing first and then "
        "removing what was late throws away the older state that was in force until then.",
    ),
    "until a correction is known, the old row counts": Edge(
        _corrected,
        "Cleaning the corrections out beforehand rewrites history: at the request the old row was "
        "in force, and the model was served it.",
    ),
    "a change announced in advance counts from event_ts on": Edge(
        _announced,
        "Known is not in force: a tariff announced for the first of next month is not the tariff "
        "of today. Both clocks must have struck.",
    ),
    "a state that was withdrawn is missing, not the one before": Edge(
        _withdrawn,
        "The newest row says that there is no value. groupby().last(), ffill and dropna skip it "
        "and bring back a state that had ended.",
    ),
}
