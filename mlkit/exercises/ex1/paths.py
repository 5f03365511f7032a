"""Two paths from purchases to features for exercise 1: right ones, wrong ones, and the edges."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

COLUMNS = ("recent_count", "recent_mean", "pos_share", "hours_since_last")
START = pd.Timestamp("2025-03-01", tz="UTC")
WINDOW = pd.Timedelta(days=30)
HOUR = pd.Timedelta(hours=1)


def history(
    rng: np.random.Generator, *, n_users: int = 8, late: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return purchases over 90 days and two requests a user, in no order; the last user is new."""
    n = 18 * n_users
    purchases = pd.DataFrame({"purchase_id": np.arange(n)})
    purchases["user_id"] = rng.integers(0, n_users - 1, n)
    second = rng.integers(0, 90 * 86_400, n)
    purchases["event_ts"] = START + pd.to_timedelta(second, unit="s")
    lag = rng.exponential(30, n) + (rng.random(n) < 0.1 * late) * rng.exponential(86_400, n)
    arrived = purchases["event_ts"] + pd.to_timedelta(lag.astype(int), unit="s")
    purchases["arrived_ts"] = arrived
    purchases["amount_usd"] = np.round(rng.lognormal(3.5, 1, n), 2)
    purchases["channel"] = rng.choice(["web", "app", "pos"], n)
    requests = pd.DataFrame({"request_id": rng.permutation(2 * n_users)})
    requests["user_id"] = np.arange(2 * n_users) % n_users
    asked = rng.integers(35 * 86_400, 89 * 86_400, len(requests))
    requests["asked_ts"] = START + pd.to_timedelta(asked, unit="s")
    shuffled = purchases.sample(frac=1, random_state=int(rng.integers(2**31)))
    return shuffled.reset_index(drop=True), requests


# Right paths


def by_loop(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return the features of each request, one row at a time: slow, and easy to believe."""
    rows = []
    for request in requests.itertuples():
        mine = purchases[purchases["user_id"] == request.user_id]
        on_time = (mine["event_ts"] < request.asked_ts) & (mine["arrived_ts"] <= request.asked_ts)
        rows.append(_row(request.request_id, request.asked_ts, mine[on_time]))
    return pd.DataFrame(rows, columns=["request_id", *COLUMNS])


def _row(
    request_id: int,
    asked: pd.Timestamp,
    known: pd.DataFrame,
    *,
    window: pd.Timedelta = WINDOW,
) -> list[float]:
    recent = known[known["event_ts"] >= asked - window]
    since = (asked - known["event_ts"].max()) / HOUR if len(known) else np.nan
    mean = recent["amount_usd"].mean()
    return [request_id, float(len(recent)), mean, (known["channel"] == "pos").mean(), since]


def by_merge(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return the same features from one merge, with sums in another order."""
    pairs = requests.merge(purchases, on="user_id")
    pairs = pairs[
        (pairs["event_ts"] < pairs["asked_ts"]) & (pairs["arrived_ts"] <= pairs["asked_ts"])
    ]
    recent = pairs[pairs["asked_ts"] - pairs["event_ts"] <= WINDOW].groupby("request_id")
    ever = pairs.assign(pos=pairs["channel"] == "pos").groupby("request_id")
    since = pairs.assign(gap=(pairs["asked_ts"] - pairs["event_ts"]) / HOUR).groupby("request_id")
    table = pd.DataFrame({"request_id": requests["request_id"]}).set_index("request_id")
    table["recent_count"] = recent.size().reindex(table.index, fill_value=0).astype(float)
    table["recent_mean"] = recent["amount_usd"].sum() / recent.size()
    table["pos_share"] = ever["pos"].mean()
    table["hours_since_last"] = since["gap"].min()
    return table.reset_index()


def from_the_back(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return the right features, the last request first."""
    return by_merge(purchases, requests).iloc[::-1].reset_index(drop=True)


# Wrong paths: deliberately, for the tests that learners write


def inject_lifetime(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features whose mean and count are over all known purchases."""
    return _loop(purchases, requests, window=pd.Timedelta(days=36_500))


def inject_thirty_rows(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features of at most thirty purchases in the window."""
    return _loop(purchases, requests, rows=30)


def inject_the_moment(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features that count what happens at the very moment of the request."""
    return _loop(purchases, requests, at_the_moment=True)


def inject_late_rows(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features that count rows before they have arrived."""
    return _loop(purchases.assign(arrived_ts=purchases["event_ts"]), requests)


def inject_zero(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features with 0 where nothing is known."""
    return by_loop(purchases, requests).fillna(0.0)


def inject_local_time(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features as of a clock that is eight hours behind."""
    earlier = requests["asked_ts"] - 8 * HOUR
    return by_loop(purchases, requests.assign(asked_ts=earlier))


def inject_open_window(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features that leave out a purchase of exactly thirty days ago."""
    return _loop(purchases, requests, window=WINDOW - pd.Timedelta(microseconds=1))


def inject_known_users(purchases: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return features for users with purchases only."""
    return by_loop(purchases, requests).dropna(subset=["hours_since_last"])


def _loop(
    purchases: pd.DataFrame,
    requests: pd.DataFrame,
    *,
    window: pd.Timedelta = WINDOW,
    rows: int = 1_000_000,
    at_the_moment: bool = False,
) -> pd.DataFrame:
    table = []
    for request in requests.itertuples():
        mine = purchases[purchases["user_id"] == request.user_id].sort_values("event_ts")
        before = mine["event_ts"] < request.asked_ts
        if at_the_moment:
            before |= mine["event_ts"] == request.asked_ts
        known = mine[before & (mine["arrived_ts"] <= request.asked_ts)]
        features = _row(request.request_id, request.asked_ts, known, window=window)
        features[1:3] = _row(0, request.asked_ts, known.tail(rows), window=window)[1:3]
        table.append(features)
    return pd.DataFrame(table, columns=["request_id", *COLUMNS])


BAD: dict[str, tuple[Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame], str]] = {
    "over all time": (inject_lifetime, "Your customers have no purchase older than the window."),
    "at most thirty purchases": (
        inject_thirty_rows,
        "None of your customers buys more than thirty times in thirty days; the lesson's bug "
        "passes your test.",
    ),
    "counts the moment itself": (
        inject_the_moment,
        "None of your purchases happens at the very moment of a request: before or not?",
    ),
    "counts rows that have not arrived": (
        inject_late_rows,
        "None of your rows arrives late: event time and ingestion time are one in your test.",
    ),
    "0 for missing": (
        inject_zero,
        "You have no customer without purchases, or you take missing for 0.",
    ),
    "a clock eight hours off": (
        inject_local_time,
        "You look at numbers that a shifted clock does not move: compare the hours as well.",
    ),
    "thirty days, or nearly": (
        inject_open_window,
        "None of your purchases is exactly thirty days old: is it in the window?",
    ),
    "no answer for new customers": (
        inject_known_users,
        "A request without an answer is a difference: count the rows before comparing them.",
    ),
}


# Edges: small histories in which one thing is hard


class Edge(NamedTuple):
    """What is hard about a small history, and the mistake that it finds."""

    change: Callable[[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]
    why: str


def edge(name: str, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a small history in which the thing of that name is hard, and no other."""
    return EDGES[name].change(*history(rng, late=False))


def _settled(purchases: pd.DataFrame, requests: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep everything away from edges: users with purchases, nothing within an hour."""
    known = requests[requests["user_id"].isin(purchases["user_id"])].reset_index(drop=True)
    return purchases.assign(arrived_ts=purchases["event_ts"]), known


def _late(purchases: pd.DataFrame, requests: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    purchases, requests = _settled(purchases, requests)
    days = pd.to_timedelta(10 * (purchases["purchase_id"] % 3), unit="D")
    return purchases.assign(arrived_ts=purchases["event_ts"] + days), requests


def _moment(purchases: pd.DataFrame, requests: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    purchases, requests = _settled(purchases, requests)
    extra = purchases.head(len(requests)).copy()
    extra["user_id"], extra["event_ts"] = requests["user_id"], requests["asked_ts"]
    extra["arrived_ts"], extra["amount_usd"] = requests["asked_ts"], 500.0
    return pd.concat([purchases, extra], ignore_index=True), requests


def _window(purchases: pd.DataFrame, requests: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    purchases, requests = _moment(purchases, requests)
    same = purchases["amount_usd"] == 500.0
    moved = purchases["event_ts"].mask(same, purchases["event_ts"] - WINDOW)
    return purchases.assign(event_ts=moved, arrived_ts=moved), requests


def _nobody(purchases: pd.DataFrame, requests: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    few = purchases[purchases["user_id"] % 2 == 0]
    return _settled(few, requests)[0], requests


EDGES = {
    "features are those of the moment of the request": Edge(
        _settled,
        "Each request has a moment of its own. Today's date, the newest row or the last thirty "
        "purchases give other numbers: count days, back from asked_ts.",
    ),
    "one row for each request, also of users without purchases": Edge(
        _nobody,
        "Users without a purchase get a row too: count 0, and missing (not 0) for what has no "
        "value. A join that drops them drops the customers you know least.",
    ),
    "a purchase at the very moment is not known yet": Edge(
        _moment, "Strictly before: at a tie the request comes first, in serving as in training."
    ),
    "a purchase of exactly thirty days ago is in the window": Edge(
        _window, "The window is [asked_ts - 30 days, asked_ts): closed at its beginning."
    ),
    "a row counts from its arrival on": Edge(
        _late,
        "Late rows: event_ts says when it happened, arrived_ts when anybody could know. Training "
        "on rows that serving did not have is skew, and a leak.",
    ),
}
