"""Challenge 5: the stream is the batch, what each fault does to it, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from mlkit import dualmode, model
from mlkit.dualmode import consumers, faults, windows
from mlkit.dualmode.state import CardState, Charge
from mlkit.features import CARD_FEATURES, DAY_US, card_features
from mlkit.monday import dualmode as monday
from mlkit.params import stream
from mlkit.tables import as_microseconds, as_time, without_truth

FEATURES = list(CARD_FEATURES)
MINUTE, HOUR = 60_000_000, 3_600_000_000
SMALL = {"n_users": 120, "episodes": 60, "sprees": 40}


@pytest.fixture(scope="module")
def cards(params):
    """Return a small bank in operation."""
    knobs = {**params["worlds"]["cards"], **SMALL}
    return model.make_world("cards", rng=np.random.default_rng(5), **knobs)


@pytest.fixture(scope="module")
def act(params, cards):
    """Return a function that gives the small bank with a fault of a kind."""

    def make(kind, **changed):
        options = {**params["dualmode"]["inject"], "kind": kind, **changed}
        return dualmode.inject(cards, rng=stream(params["seed"], "dualmode", kind), **options)

    return make


def charge(charge_id=1, at=0, arrived=None, amount=10.0):
    """Return a charge of one card; times in microseconds."""
    return Charge(charge_id, 7, at, at if arrived is None else arrived, amount, 0.0, 1.0)


def failed(findings):
    return set(findings.loc[findings["failed"], "check"])


def equal(a, b):
    return np.allclose(a[FEATURES], b[FEATURES], rtol=1e-9, atol=1e-9, equal_nan=True)


# --- the state of one card ------------------------------------------------------------------------


def test_answer_has_the_columns_of_the_batch():
    assert list(CardState().features(charge())) == FEATURES


def test_first_charge_of_a_card_has_no_average():
    answer = CardState().features(charge())
    assert (
        answer["charges_30d"] == 0 and np.isnan([answer["avg_30d"], answer["amount_ratio"]]).all()
    )


@pytest.mark.parametrize(
    ("age", "count"),
    [(0, 0), (1, 1), (5 * MINUTE, 1), (5 * MINUTE + 1, 0)],
    ids=["same moment", "just before", "five minutes", "a moment more"],
)
def test_five_minutes_are_open_at_the_request_and_closed_at_the_other_end(age, count):
    state = CardState()
    state.update(charge(at=DAY_US - age))
    assert state.features(charge(2, at=DAY_US))["charges_5m"] == count


def test_charge_counts_only_once_it_has_arrived():
    state = CardState()
    state.update(charge(at=0, arrived=50))
    assert [state.features(charge(2, at=at))["charges_30d"] for at in (49, 50)] == [0, 1]


def test_chargeback_counts_once_it_is_known():
    state = CardState()
    state.chargeback(100)
    assert [state.features(charge(at=at))["chargebacks"] for at in (99, 100)] == [0, 1]


def test_second_delivery_counts_when_the_id_is_forgotten():
    state = CardState(retention_us=10)
    taken = [state.update(charge(at=0, arrived=at)) for at in (0, 10, 11)]
    assert taken == [True, False, True] and state.repeats == 1


def test_late_charge_is_dropped_behind_the_allowed_lateness():
    state = CardState(lateness_us=10)
    assert [state.update(charge(i, at=at)) for i, at in enumerate((100, 90, 89))] == [
        True,
        True,
        False,
    ]
    assert state.late == 1 and len(state.kept) == 2


def test_order_of_arrival_does_not_change_the_answer():
    rng = np.random.default_rng(1)
    some = [
        charge(i, at=int(at), amount=float(i)) for i, at in enumerate(rng.integers(0, HOUR, 50))
    ]
    answers = []
    for order in (some, some[::-1], [some[i] for i in rng.permutation(50)]):
        state = CardState()
        for event in order:
            state.update(event)
        answers.append(state.features(charge(99, at=HOUR)))
    assert answers[0] == answers[1] == answers[2]


def test_memory_is_bounded_by_window_lateness_and_retention():
    state = CardState()
    for hour in range(24 * 120):
        state.update(charge(hour, at=hour * HOUR))
    assert len(state.kept) == 24 * 31 + 1
    assert len(state._ids) == len(state._order) == 24 * 7 + 1


# --- consumers ------------------------------------------------------------------------------------


def test_stream_equals_the_batch_on_every_charge(cards):
    mine = dualmode.stream(cards["charges"])
    pd.testing.assert_frame_equal(mine[consumers.KEYS], cards["served"][consumers.KEYS])
    assert equal(mine, card_features(cards["charges"]))


@pytest.mark.parametrize("amounts", [[0.1, 2.5], [0.0, 1.0, -1.0]], ids=["paid", "also back"])
def test_stream_equals_the_batch_to_the_microsecond(amounts):
    edges = [0, 5 * MINUTE, HOUR, DAY_US, 30 * DAY_US, 30 * DAY_US + HOUR, 60 * DAY_US]
    for seed in range(10):
        rng, n = np.random.default_rng(seed), 60
        at = 100 * DAY_US + rng.choice(edges, n) + rng.integers(-1, 2, n)
        came = at + rng.choice([0, 1, 5 * MINUTE, HOUR, DAY_US], n)
        told = pd.Series(as_time(at + DAY_US)).where(pd.Series(rng.random(n) < 0.2))
        charges = pd.DataFrame(
            {
                "charge_id": 2**62 + rng.permutation(n),
                "user_id": rng.integers(0, 3, n),
                "event_ts": as_time(at),
                "ingest_ts": as_time(came),
                "amount_usd": rng.choice(amounts, n),
                "new_device": False,
                "km_home": 1.0,
                "fraud_known_ts": told,
            }
        )
        assert equal(dualmode.stream(charges), dualmode.batch(charges))


@pytest.mark.parametrize("kind", ["naive_stream", "short_retention"])
def test_stream_equals_the_batch_over_a_log_that_delivers_twice(kind, cards, act):
    log = act(kind, copies=0.3)["arrivals"]
    assert len(log) > 1.2 * len(cards["charges"])
    assert equal(dualmode.stream(cards["charges"], log), dualmode.batch(cards["charges"], log))


def test_batch_over_a_log_takes_the_first_delivery(cards, act):
    assert equal(dualmode.batch(cards["charges"], act("duplicates")["arrivals"]), cards["training"])


def test_stream_does_not_depend_on_the_order_of_rows(cards):
    shuffled = cards["charges"].sample(frac=1, random_state=1)
    mine = dualmode.stream(shuffled).sort_values("charge_id", ignore_index=True)
    assert equal(mine, dualmode.stream(cards["charges"]))


def test_counted_windows_are_those_of_the_batch(cards):
    history = consumers.delivered(cards["charges"], dualmode.event_log(cards["charges"]))
    mine = consumers.counted(cards["charges"], history)
    np.testing.assert_allclose(mine, cards["served"][list(mine)], rtol=1e-9)


def test_log_numbers_deliveries_by_arrival(cards):
    log = dualmode.event_log(cards["charges"])
    assert log["arrival_ts"].is_monotonic_increasing
    assert log["offset"].tolist() == list(range(1, len(cards["charges"]) + 1))


def test_naive_stream_by_hand(cards):
    log = dualmode.event_log(cards["charges"])
    mine = consumers.naive_stream(cards["charges"], log)
    row = cards["charges"].iloc[5000]
    hers = cards["charges"].query("user_id == @row.user_id")
    age = row["event_ts"] - hers["ingest_ts"]
    month = (age > pd.Timedelta(0)) & (age <= pd.Timedelta(days=30))
    assert mine["charges_30d"].iloc[5000] == month.sum() > 0
    assert mine["avg_30d"].iloc[5000] == pytest.approx(hers.loc[month, "amount_usd"].mean())


# --- windows --------------------------------------------------------------------------------------


def by_hand(charges, log, allowed):
    """Return the answered counts by a loop over deliveries, window by window."""
    rows = log.merge(charges, on="charge_id")
    width, newest, counts = 5 * MINUTE, -(2**62), {}
    at, seen = as_microseconds(rows["event_ts"]), set()
    for event, user, charge_id in zip(at, rows["user_id"], rows["charge_id"], strict=True):
        key = (user, event // width)
        if charge_id not in seen and newest - allowed < (event // width + 1) * width:
            counts[key] = counts.get(key, 0) + 1
        seen.add(charge_id)
        newest = max(newest, event)
    return counts


@pytest.mark.parametrize("seconds", [0, 60, 600])
def test_windows_are_those_of_a_loop(seconds, cards, act):
    log = act("duplicates")["arrivals"]
    mine = windows.windows(cards["charges"], log, allowed_seconds=seconds)
    counts = by_hand(cards["charges"], log, seconds * 1_000_000)
    start = as_microseconds(mine["from_ts"]) // (5 * MINUTE)
    theirs = [counts.get(key, 0) for key in zip(mine["user_id"], start, strict=True)]
    assert mine["answered"].tolist() == theirs
    assert mine["charges"].sum() == len(cards["charges"])


def test_more_lateness_is_righter_and_later(cards):
    log = dualmode.event_log(cards["charges"])
    table = windows.allowed_lateness(cards["charges"], log, seconds=[0, 60, 600, 3600, 86_400])
    assert table["wrong"].is_monotonic_decreasing and table["wrong"].iloc[-1] == 0
    assert table["delay_seconds"].is_monotonic_increasing and table["late"].iloc[0] > 0


def test_window_that_nothing_closes_has_no_delay():
    at = as_time(np.array([0, MINUTE], dtype="int64"))
    charges = pd.DataFrame(
        {"charge_id": [1, 2], "user_id": [7, 7], "event_ts": at, "ingest_ts": at}
    )
    told = windows.windows(charges, dualmode.event_log(charges))
    assert told["answered"].tolist() == [2.0] and told["delay_seconds"].isna().all()


def test_clock_of_arrival_counts_each_delivery_and_moves_late_ones(cards, act):
    log = act("duplicates")["arrivals"]
    told = windows.by_arrival(cards["charges"], log)
    assert told["charges"].sum() == len(cards["charges"]) and told["answered"].sum() == len(log)
    assert (told["charges"] != told["answered"]).any()


# --- faults ---------------------------------------------------------------------------------------

WRONG = {  # kind: the checks that find it
    "complete_history": {"training"},
    **{kind: {"served"} for kind in dualmode.KINDS if kind != "complete_history"},
}


@pytest.mark.parametrize("kind", dualmode.KINDS)
def test_each_kind_is_found_on_its_path_and_repaired(kind, cards, act):
    broken = act(kind)
    fixed = dualmode.repair(broken)
    assert failed(dualmode.detect(cards, broken)) == WRONG[kind]
    assert not failed(dualmode.detect(cards, fixed))
    assert dualmode.score(fixed)["right"] == 1


@pytest.mark.parametrize("kind", dualmode.KINDS)
def test_dashboard_sees_a_lost_state_alone(kind, cards, act):
    assert failed(dualmode.naive_detect(cards, act(kind))) == (
        {"mean"} if kind == "state_lost" else set()
    )


def test_dashboard_sees_lag_and_many_copies(cards, act):
    served = cards["served"].iloc[:-100]
    assert failed(dualmode.naive_detect(cards, {**cards, "served": served})) == {"lag"}
    assert "events" in failed(dualmode.naive_detect(cards, act("duplicates", copies=0.4)))


def test_wrong_charges_grow_with_the_share_that_is_touched(act):
    right = [dualmode.score(act("naive_stream", severity=s))["right"] for s in (0, 0.3, 1)]
    assert right[0] == 1 > right[1] > right[2]


def test_seam_counts_the_overlap_twice_until_the_next_midnight():
    at = as_time(np.array([23 * HOUR, DAY_US + HOUR, 2 * DAY_US + HOUR], dtype="int64"))
    charges = pd.DataFrame({"charge_id": [1, 2, 3], "user_id": 7, "event_ts": at, "ingest_ts": at})
    charges = charges.assign(amount_usd=10.0, new_device=False, km_home=1.0)
    charges["fraud_known_ts"] = pd.Series(pd.NaT, index=charges.index, dtype="datetime64[us, UTC]")
    world = {"charges": charges, "served": card_features(charges)}
    seam = faults.inject_double_seam(world, overlap_hours=2.0)["served"]
    assert seam["charges_30d"].tolist() == [0, 2, 2] and seam["charges_1h"].tolist() == [0, 0, 0]


def test_batch_only_knows_nothing_of_today(cards, act):
    served = act("batch_only")["served"]
    midnight = served["event_ts"].dt.floor("D")
    hers = cards["charges"].query("user_id == @served.user_id.iloc[5000]")
    age = midnight.iloc[5000] - hers["event_ts"]
    known = hers["ingest_ts"] <= midnight.iloc[5000]
    month = (age > pd.Timedelta(0)) & (age <= pd.Timedelta(days=30)) & known
    assert served["charges_30d"].iloc[5000] == month.sum()


def test_lost_state_counts_what_arrives_after_the_restart(cards, act):
    served, old = act("state_lost")["served"], cards["served"]
    day = (served["event_ts"] - cards["charges"]["event_ts"].min()).dt.days
    assert equal(served[day < 140], old[day < 140])
    assert (served.loc[day >= 140, "charges_30d"] <= old.loc[day >= 140, "charges_30d"]).all()
    assert (
        served.loc[day == 140, "charges_30d"].mean()
        < 0.2 * old.loc[day == 140, "charges_30d"].mean()
    )


def test_complete_history_sees_at_least_what_had_arrived(cards, act):
    broken = act("complete_history")
    assert (broken["training"]["charges_5m"] >= cards["training"]["charges_5m"]).all()
    pd.testing.assert_frame_equal(broken["served"], cards["served"])


def test_old_code_counts_the_charge_itself(cards, act):
    old, new = act("code_change")["served"], cards["served"]
    both = new["avg_30d"] * new["charges_30d"] + new["amount_usd"]
    expected = (both / (new["charges_30d"] + 1)).fillna(new["amount_usd"])
    np.testing.assert_allclose(old["avg_30d"], expected)


def test_log_that_breaks_its_promises_is_reported(cards, act):
    late = act("duplicates")
    assert failed(dualmode.detect(cards, late, retention_hours=0.1)) == {"served", "log"}
    assert failed(dualmode.detect(cards, cards, lateness_hours=0.01)) == {"log"}


def test_charge_that_the_log_lacks_is_reported(cards):
    log = dualmode.event_log(cards["charges"]).iloc[:-200]
    assert "coverage" in failed(dualmode.detect(cards, {**cards, "arrivals": log}))


# --- scores and repairs ---------------------------------------------------------------------------


def test_right_is_the_smaller_share_of_the_two_paths(cards):
    live = model.periods(cards["charges"], dualmode.TASK) == "production"
    training, served = cards["training"].copy(), cards["served"].copy()
    training.loc[np.flatnonzero(~live)[:100], "charges_5m"] += 1
    served.loc[np.flatnonzero(live)[:10], "charges_5m"] += 1
    score = dualmode.score({**cards, "training": training, "served": served})
    assert score["right"] == pytest.approx(min(1 - 100 / (~live).sum(), 1 - 10 / live.sum()))


def test_right_in_bursts_looks_at_charges_close_behind_another():
    at = as_time(np.array([0, HOUR, 2 * HOUR + 1, 0], dtype="int64"))
    charges = pd.DataFrame({"user_id": [1, 1, 1, 2], "event_ts": at})
    assert dualmode.close_behind(charges[::-1]).tolist() == [False, False, True, False]


def test_log_and_train_learns_from_what_was_served(cards, act):
    broken = act("speed_layer_lost")
    fixed = dualmode.repair(broken, how="log_and_train")
    pd.testing.assert_frame_equal(fixed["training"], broken["served"])
    assert dualmode.score(fixed)["production"] < dualmode.score(cards)["production"] - 0.1


def test_paste_is_green_on_the_replay_and_red_on_the_naive_stream(tmp_path, monkeypatch, act):
    monkeypatch.chdir(tmp_path)
    broken = act("naive_stream", copies=0.3)
    charges = broken["charges"]
    log = broken["arrivals"].merge(charges[["charge_id", "user_id", "event_ts"]], on="charge_id")
    names = {"charge_id": "charge", "user_id": "card", "event_ts": "happened_at"}
    log.rename(columns={**names, "arrival_ts": "arrived_at"}).to_csv("log.csv", index=False)
    names = {"charge_id": "request", "user_id": "card", "event_ts": "asked_at"}
    for served in (dualmode.repair(broken)["served"], broken["served"]):
        table = served[[*names, "charges_5m"]].rename(columns=names)
        table.sample(frac=1, random_state=1).to_csv("served.csv", index=False)
        if served is broken["served"]:
            with pytest.raises(AssertionError, match="charges_5m: .* counted otherwise"):
                monday.test_the_stream_counts_as_a_replay_of_the_log_does()
        else:
            monday.test_the_stream_counts_as_a_replay_of_the_log_does()


# --- what is refused ------------------------------------------------------------------------------


def without(tables, *names):
    return {name: table for name, table in tables.items() if name not in names}


def gap(table, column):
    """Return a table whose first value of a column is missing."""
    return table.assign(**{column: table[column].where(table.index > 0)})


RNG = np.random.default_rng(1)
REFUSED = {
    "inject: kind": (
        lambda w: dualmode.inject(w, rng=RNG, kind="naive_streams"),
        ValueError,
        "did you mean 'naive_stream'",
    ),
    "inject: severity": (
        lambda w: dualmode.inject(w, rng=RNG, severity=-0.1),
        ValueError,
        "severity = -0.1: expected",
    ),
    "inject: no served": (
        lambda w: dualmode.inject(without(w, "served"), rng=RNG),
        KeyError,
        "lacks 'served'",
    ),
    "detect: no training": (
        lambda w: dualmode.detect(w, without(w, "training")),
        KeyError,
        "lacks 'training'",
    ),
    "detect: a feature is gone": (
        lambda w: dualmode.detect(w, {**w, "served": w["served"].drop(columns="avg_30d")}),
        KeyError,
        "served lacks 'avg_30d'",
    ),
    "detect: an answer twice": (
        lambda w: dualmode.detect(w, {**w, "served": pd.concat([w["served"], w["served"][:1]])}),
        ValueError,
        "served: expected one row per charge_id",
    ),
    "detect: a log of others": (
        lambda w: dualmode.detect(
            w, {**w, "arrivals": dualmode.event_log(w["charges"]).assign(charge_id=10**9)}
        ),
        ValueError,
        "arrivals: expected charge_ids of charges",
    ),
    "stream: a log without rows": (
        lambda w: dualmode.stream(w["charges"], dualmode.event_log(w["charges"])[:0]),
        ValueError,
        "arrivals: expected at least one row",
    ),
    "stream: local time": (
        lambda w: dualmode.stream(
            w["charges"].assign(event_ts=w["charges"]["event_ts"].dt.tz_convert("Europe/Rome"))
        ),
        TypeError,
        "charges.event_ts: expected UTC time",
    ),
    "stream: a charge without a time": (
        lambda w: dualmode.stream(gap(w["charges"], "event_ts")),
        ValueError,
        "charges.event_ts: expected no missing values",
    ),
    "batch: an amount is missing": (
        lambda w: dualmode.batch(w["charges"].assign(amount_usd=np.nan)),
        ValueError,
        "charges.amount_usd: expected no missing values",
    ),
    "naive: a delivery without a time": (
        lambda w: dualmode.naive_stream(
            w["charges"], gap(dualmode.event_log(w["charges"]), "arrival_ts")
        ),
        ValueError,
        "arrivals.arrival_ts: expected no missing values",
    ),
    "inject: other rows": (
        lambda w: dualmode.inject({**w, "served": w["served"][::-1]}, rng=RNG),
        ValueError,
        "served: expected one row per row of charges",
    ),
    "repair: how": (
        lambda w: dualmode.repair(w, how="log"),
        ValueError,
        "how = 'log': expected one",
    ),
    "score: no truth": (
        lambda w: dualmode.score(without_truth(w)),
        KeyError,
        "lacks 'truth_charges'",
    ),
    "windows: lateness": (
        lambda w: windows.windows(
            w["charges"], dualmode.event_log(w["charges"]), allowed_seconds=-1.0
        ),
        ValueError,
        "allowed_seconds = -1.0: expected",
    ),
}


@pytest.mark.parametrize(("do", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_named(cards, do, error, says):
    with pytest.raises(error, match=says):
        do(cards)
