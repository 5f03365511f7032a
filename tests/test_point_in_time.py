"""The point-in-time join: equal to a loop over rows, whatever the order, ties and delays."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit.leakage.join import point_in_time_join, stable_order

START = pd.Timestamp("2025-03-01", tz="UTC")
NAMES = {"entity": "user_id", "time": "asked_ts", "event": "event_ts", "known": "known_ts"}


def at(*hours):
    """Return UTC times, some hours after the start."""
    return START + pd.to_timedelta(list(hours), unit="h")


def tables(rng, *, n=500, rows=900, users=40):
    """Return requests and a history with many ties, late rows and users on one side only."""
    requests = pd.DataFrame({"user_id": rng.integers(0, users, n)})
    requests["asked_ts"] = at(*rng.integers(0, 60, n))
    history = pd.DataFrame({"user_id": rng.integers(5, users + 5, rows)})
    event = rng.integers(0, 60, rows)
    late = rng.integers(-20, 40, rows) * (rng.random(rows) < 0.4)  # below 0: announced before
    history["event_ts"], history["known_ts"] = at(*event), at(*(event + late))
    history["value"] = np.arange(rows) + 0.5
    return requests, history


def oracle(requests, history, *, ties, two_clocks=True):
    """Return the value in force at each request, by a loop over rows."""
    known_at = history["known_ts"] if two_clocks else history["event_ts"]
    values = []
    for user, asked in zip(requests["user_id"], requests["asked_ts"], strict=True):
        best = None
        for place in np.flatnonzero(history["user_id"] == user):
            happened, known = history["event_ts"].iloc[place], known_at.iloc[place]
            usable = max(happened, known)
            early = usable <= asked if ties else usable < asked
            if early and (best is None or (happened, known, place) > best):
                best = (happened, known, place)
        values.append(np.nan if best is None else history["value"].iloc[best[2]])
    return np.array(values)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("two_clocks", [False, True])
def test_join_equals_a_loop_on_500_random_requests(ties, two_clocks):
    requests, history = tables(np.random.default_rng(8))
    names = NAMES if two_clocks else {k: v for k, v in NAMES.items() if k != "known"}
    mine = history if two_clocks else history.drop(columns="known_ts")
    got = point_in_time_join(requests, mine, **names, ties=ties)["value"]
    want = oracle(requests, history, ties=ties, two_clocks=two_clocks)
    np.testing.assert_array_equal(got, want)
    assert np.isnan(want).any() and not np.isnan(want).all()


def test_the_second_clock_matters_on_these_tables():
    requests, history = tables(np.random.default_rng(8))
    one, two = (oracle(requests, history, ties=False, two_clocks=both) for both in (False, True))
    assert (one != two).mean() > 0.2


ROW = st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 6))


@settings(max_examples=120, deadline=None)
@given(
    st.lists(ROW, min_size=1, max_size=25), st.lists(ROW, min_size=1, max_size=12), st.booleans()
)
def test_join_equals_a_loop_on_any_small_tables(rows, asks, ties):
    users, events, delays = map(np.array, zip(*rows, strict=True))
    history = pd.DataFrame({"user_id": users, "event_ts": at(*events)})
    history["known_ts"], history["value"] = at(*(events + delays - 2)), np.arange(len(rows)) + 0.5
    requests = pd.DataFrame(
        {"user_id": [a[0] for a in asks], "asked_ts": at(*(a[1] for a in asks))}
    )
    got = point_in_time_join(requests, history, **NAMES, ties=ties)["value"]
    np.testing.assert_array_equal(got, oracle(requests, history, ties=ties))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_the_requests_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    requests, history = tables(rng, n=30, rows=40, users=4)
    order = rng.permutation(len(requests))
    once = point_in_time_join(requests, history, **NAMES)
    mixed = point_in_time_join(requests.iloc[order], history, **NAMES)
    pd.testing.assert_frame_equal(mixed, once.iloc[order])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_comes_to_be_known_later_changes_no_answer(seed):
    requests, history = tables(np.random.default_rng(seed), n=30, rows=60, users=4)
    last = requests["asked_ts"].max()
    past = history[history["known_ts"] < last]
    if past.empty:
        return
    got, want = (point_in_time_join(requests, h, **NAMES)["value"] for h in (past, history))
    pd.testing.assert_series_equal(got, want)


def one_user(*rows):
    """Return the history of user 1: (event, known, value) each, in hours."""
    event, known, value = zip(*rows, strict=True)
    return pd.DataFrame(
        {"user_id": 1, "event_ts": at(*event), "known_ts": at(*known), "value": value}
    )


CASES = {  # the history, the hour of the request, the value in force
    "nothing yet": (one_user((5, 5, 1.0)), 3, np.nan),
    "the very moment": (one_user((3, 3, 1.0)), 3, np.nan),
    "a late row about the past keeps no newer one out": (one_user((2, 9, 1.0), (4, 4, 2.0)), 10, 2),
    "a late row that is the newest": (one_user((4, 9, 1.0), (2, 2, 2.0)), 10, 1),
    "a late row before it was known": (one_user((4, 9, 1.0), (2, 2, 2.0)), 8, 2),
    "a correction of the same moment": (one_user((2, 2, 1.0), (2, 6, 9.0)), 7, 9),
    "a correction that is not known yet": (one_user((2, 2, 1.0), (2, 6, 9.0)), 5, 1),
    "announced, not in force yet": (one_user((2, 2, 1.0), (8, 3, 9.0)), 5, 1),
    "announced twice, the newer last in the file": (one_user((2, -9, 1.0), (2, -4, 9.0)), 5, 9),
    "announced twice, the newer first in the file": (one_user((2, -4, 9.0), (2, -9, 1.0)), 5, 9),
    "two rows of one moment": (one_user((2, 2, 1.0), (2, 2, 9.0)), 5, 9),
}


@pytest.mark.parametrize(("history", "hour", "value"), CASES.values(), ids=CASES)
def test_join_by_hand(history, hour, value):
    asked = pd.DataFrame({"user_id": [1], "asked_ts": at(hour)})
    got = point_in_time_join(asked, history, **NAMES)["value"].iloc[0]
    assert got == value or (np.isnan(got) and np.isnan(value))


def test_join_at_the_very_moment_when_asked_for():
    asked = pd.DataFrame({"user_id": [1], "asked_ts": at(3)})
    assert point_in_time_join(asked, one_user((3, 3, 1.0)), **NAMES, ties=True)["value"].item() == 1


def test_index_and_other_columns_come_back():
    asked = pd.DataFrame(
        {"user_id": [1, 2], "asked_ts": at(9, 9), "note": ["a", "b"]}, index=[7, 3]
    )
    got = point_in_time_join(asked, one_user((3, 3, 1.0)), **NAMES)
    assert got.index.tolist() == [7, 3] and got["note"].tolist() == ["a", "b"]
    assert got["value"].tolist()[0] == 1.0 and got.loc[3].isna()[["value", "event_ts"]].all()


def test_join_leaves_its_inputs_alone():
    requests, history = tables(np.random.default_rng(1))
    before = requests.copy(), history.copy()
    point_in_time_join(requests, history, **NAMES)
    pd.testing.assert_frame_equal(requests, before[0])
    pd.testing.assert_frame_equal(history, before[1])


ASKED, TOLD = tables(np.random.default_rng(2), n=5, rows=9)
REFUSED = {
    "no entity": (ASKED.drop(columns="user_id"), TOLD, KeyError, "requests lacks 'user_id'"),
    "no event": (ASKED, TOLD.drop(columns="event_ts"), KeyError, "history lacks 'event_ts'"),
    "no zone": (
        ASKED.assign(asked_ts=ASKED["asked_ts"].dt.tz_localize(None)), TOLD, TypeError,
        "requests.asked_ts: expected UTC time",
    ),
    "another zone": (
        ASKED, TOLD.assign(known_ts=TOLD["known_ts"].dt.tz_convert("Asia/Tokyo")), TypeError,
        "history.known_ts: expected UTC time",
    ),
    "a missing time": (
        ASKED, TOLD.assign(known_ts=TOLD["known_ts"].where(TOLD.index > 0)), ValueError,
        "history.known_ts: expected no missing values, came 1 in 9",
    ),
    "nothing asked": (ASKED.iloc[:0], TOLD, ValueError, "requests: expected at least one row"),
    "no history": (ASKED, TOLD.iloc[:0], ValueError, "history: expected at least one row"),
    "a column in both": (
        ASKED.assign(value=1), TOLD, ValueError, r"columns \['value'\] are in requests and in hist"
    ),
    "text for an entity": (ASKED.astype({"user_id": "str"}), TOLD, TypeError, "expected int"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "told", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_named(asked, told, error, says):
    with pytest.raises(error, match=says):
        point_in_time_join(asked, told, **NAMES)


@given(st.lists(st.integers(-5, 5), max_size=60))
def test_order_is_that_of_a_stable_sort(values):
    array = np.array(values, dtype="int64")
    np.testing.assert_array_equal(stable_order(array), np.argsort(array, kind="stable"))
