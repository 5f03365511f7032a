"""Architectures over one log, joint watermarks, vectors between two batches, parts of an answer."""

import numpy as np
import pandas as pd
import pytest

from mlkit import model
from mlkit.dualmode import architectures, embeddings, latency, load, watermarks
from mlkit.dualmode.architectures import CODE_PATHS, LONG, SERVE, SHORT, compare, right, trained_on
from mlkit.dualmode.consumers import event_log
from mlkit.dualmode.faults import delivered_twice
from mlkit.dualmode.log import EventLog
from mlkit.dualmode.scorer import KEY, NAMES, Scorer
from mlkit.features import card_features
from mlkit.params import maker, stream
from mlkit.plots import dualmode_gallery as figures

START = pd.Timestamp("2025-03-01", tz="UTC")


def hours(*values):
    return pd.Series(START + pd.to_timedelta(list(values), unit="h")).astype("datetime64[us, UTC]")


def by_hand(at, *, user=1, amount=10.0, delay=0.0):
    """Return charges of one card at some hours, which arrive after a delay."""
    n = len(at)
    told = pd.Series(pd.NaT, index=range(n), dtype="datetime64[us, UTC]")
    return pd.DataFrame(
        {
            "charge_id": range(n),
            "user_id": user,
            "event_ts": hours(*at),
            "ingest_ts": hours(*np.add(at, delay)),
            "amount_usd": amount,
            "new_device": False,
            "km_home": 1.0,
            "fraud_known_ts": told,
        }
    )


@pytest.fixture(scope="module")
def cards(params):
    knobs = {**params["worlds"]["cards"], "n_users": 40, "n_days": 90, "episodes": 20}
    return maker("cards")(rng=stream(params["seed"], "cards", "make"), **knobs)["charges"]


@pytest.fixture(scope="module")
def twice(cards):
    return delivered_twice(cards, rng=stream(1, "twice"), copies=0.05, copy_hours=1.0)


# --- architectures --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVE)
def test_one_row_per_charge_in_their_order(name, cards, twice):
    shuffled = cards.sample(frac=1, random_state=0)
    rows, again = SERVE[name](cards, twice), SERVE[name](shuffled, twice)
    back = again.set_axis(shuffled.index).loc[cards.index].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, back)


def test_kappa_equals_the_features_on_both_clocks(cards, twice):
    known = card_features(cards)
    assert right(SERVE["Kappa"](cards, twice), known, SHORT + LONG) == 1.0


def test_batch_knows_what_had_arrived_by_midnight():
    charges = by_hand([20, 23.9, 25, 47], delay=0.5)  # the second arrives after midnight
    batch = SERVE["batch only"](charges, event_log(charges))
    assert batch["charges_30d"].tolist() == [0, 0, 1, 1]
    assert batch["charges_5m"].tolist() == [0, 0, 0, 0]


def test_lambda_forgets_the_beginning_of_a_window_across_midnight():
    charges = by_hand([23.99, 24.01])
    served = SERVE["Lambda"](charges, event_log(charges))
    assert served["charges_5m"].tolist() == [0, 0]
    assert SERVE["Kappa"](charges, event_log(charges))["charges_5m"].tolist() == [0, 1]
    assert served["charges_30d"].tolist() == [0, 1]


def test_lambda_keeps_what_is_thirty_days_old_until_midnight():
    charges = by_hand([1, 30 * 24 + 12])
    log = event_log(charges)
    assert SERVE["Lambda"](charges, log)["charges_30d"].tolist() == [0, 1]
    assert SERVE["Kappa"](charges, log)["charges_30d"].tolist() == [0, 0]


def test_lambda_counts_a_second_delivery_of_today():
    charges = by_hand([10, 12])
    log = pd.concat([event_log(charges), event_log(charges).head(1)], ignore_index=True)
    log["arrival_ts"] = hours(10, 12, 11)
    assert SERVE["Lambda"](charges, log)["charges_30d"].tolist() == [0, 2]
    assert SERVE["Kappa"](charges, log)["charges_30d"].tolist() == [0, 1]


def test_hybrid_is_short_windows_of_now_and_long_ones_of_midnight(cards, twice):
    hybrid, batch, kappa = (SERVE[name](cards, twice) for name in ("hybrid", "batch only", "Kappa"))
    pd.testing.assert_frame_equal(hybrid[SHORT], kappa[SHORT])
    pd.testing.assert_frame_equal(
        hybrid[["charges_30d", "avg_30d"]], batch[["charges_30d", "avg_30d"]]
    )


def test_comparison_tells_them_apart(cards, twice):
    table = compare(cards, twice)
    assert table.loc["Kappa", ["short", "long"]].tolist() == [1.0, 1.0]
    assert table.loc["hybrid", "short"] == 1.0 and table.loc["hybrid", "long"] < 0.7
    assert table.loc["batch only", "long"] < table.loc["Lambda", "long"] < 0.9
    assert table["code_paths"].to_dict() == CODE_PATHS
    assert table.loc["Lambda", "per_feature"] == 2 and table["per_feature"].sum() == 5
    assert 8 < table.loc["hybrid", "hours_old"] < 18


def test_rows_read_are_counted_by_hand():
    log = event_log(by_hand([1, 25, 26, 49]))  # nights: after 1, after 3 rows
    read = {name: architectures.rows_read(name, log) for name in SERVE}
    assert read["Lambda"] == {"read_nightly": 4, "read_live": 4, "read_again": 8}
    assert read["Kappa"] == {"read_nightly": 0, "read_live": 4, "read_again": 4}
    assert read["batch only"] == {"read_nightly": 4, "read_live": 0, "read_again": 4}


def test_lambda_reads_more_each_night_than_a_batch_of_its_windows():
    log = event_log(by_hand(list(range(0, 24 * 90, 24))))
    assert (
        architectures.rows_read("Lambda", log)["read_nightly"]
        > 1.5 * architectures.rows_read("hybrid", log)["read_nightly"]
    )


def test_kappa_is_consistent_under_conditions(cards, twice):
    live = SERVE["Kappa"](cards, twice)
    shares = {name: right(t, live, SHORT + LONG) for name, t in trained_on(cards, twice).items()}
    assert shares.pop("same code, both clocks") == 1.0
    assert max(shares.values()) < 1.0 and shares["newer code"] < 0.2


def test_a_finished_log_is_harmless_where_nothing_is_late(cards):
    prompt = cards.assign(ingest_ts=cards["event_ts"])
    live = SERVE["Kappa"](prompt, event_log(prompt))
    tables = trained_on(prompt, event_log(prompt))
    assert right(tables["the finished log"], live, SHORT + LONG) == 1.0


def test_nothing_changes_its_input(cards, twice):
    before = cards.copy(), twice.copy()
    compare(cards, twice)
    trained_on(cards, twice)
    pd.testing.assert_frame_equal(cards, before[0])
    pd.testing.assert_frame_equal(twice, before[1])


# --- one watermark over partitions ----------------------------------------------------------------


def deliveries(partitions, events, arrivals):
    return pd.DataFrame(
        {"partition": partitions, "event_ts": hours(*events), "arrival_ts": hours(*arrivals)}
    )


def test_watermark_of_one_partition_is_its_latest_event():
    rows = watermarks.joint_watermark(deliveries(["a"] * 4, [0, 2, 1, 3], [1, 2, 3, 4]))
    assert rows["watermark"].tolist() == hours(0, 2, 2, 3).tolist()
    assert rows["late"].tolist() == [False, False, True, False]


def test_a_silent_partition_holds_up_the_others_until_the_timeout():
    log = deliveries(["a", "b", "a", "a", "a"], [0, 0, 1, 2, 3], [0, 0, 1, 2, 3])
    waiting = watermarks.joint_watermark(log)
    timed = watermarks.joint_watermark(log, idle_seconds=1.5 * 3_600)
    assert waiting["watermark"].tolist() == hours(0, 0, 0, 0, 0).tolist()
    assert timed["watermark"].tolist() == hours(0, 0, 0, 2, 3).tolist()
    assert waiting["behind_seconds"].tolist() == [0, 0, 3_600, 7_200, 10_800]


def test_what_a_sleeper_brings_is_late_only_with_a_timeout():
    log = deliveries(["a", "b", "a", "a", "b"], [0, 0, 1, 2, 1], [0, 0, 1, 2, 3])
    assert watermarks.joint_watermark(log)["late"].sum() == 0
    assert watermarks.joint_watermark(log, idle_seconds=3_600.0)["late"].tolist()[-1]


@pytest.mark.parametrize("idle", [float("inf"), 3_600.0])
def test_watermark_never_goes_back(idle, cards):
    log = pd.DataFrame(
        {
            "partition": cards["user_id"] % 4,
            "event_ts": cards["event_ts"],
            "arrival_ts": cards["ingest_ts"],
        }
    )
    rows = watermarks.joint_watermark(log, idle_seconds=idle)
    assert rows["watermark"].is_monotonic_increasing and (rows["behind_seconds"] >= 0).all()


def test_a_timeout_of_nothing_is_refused():
    with pytest.raises(ValueError, match="idle_seconds = 0"):
        watermarks.joint_watermark(deliveries(["a"], [0], [0]), idle_seconds=0)


def test_sinks_are_counted_by_hand():
    told = pd.DataFrame({"charges": [3.0, 2.0, 1.0], "answered": [3.0, 1.0, 0.0]})
    totals = watermarks.sinks(told.assign(late=told["charges"] - told["answered"]))
    assert totals.to_dict() == {
        "truth": 6,
        "first answer": 4,
        "every answer added": 7,
        "retracted or replaced": 6,
    }


def test_sinks_agree_where_nothing_is_late():
    told = pd.DataFrame({"charges": [3.0, 2.0], "answered": [3.0, 2.0], "late": [0.0, 0.0]})
    assert watermarks.sinks(told).nunique() == 1


# --- vectors --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def purchases(params):
    knobs = {**params["worlds"]["shop"], "n_users": 200}
    return maker("shop")(rng=stream(params["seed"], "shop", "make"), **knobs)["transactions"]


def test_items_bought_together_lie_together():
    bought = np.kron(np.eye(2), np.ones((10, 3)))  # two crowds, three items each
    vectors = embeddings.item_vectors(bought, dims=2)
    likeness = vectors @ vectors.T
    assert likeness[:3, :3].min() > 0.1 and np.abs(likeness[:3, 3:]).max() < 1e-9


def test_no_purchase_at_all_gives_no_direction():
    assert np.abs(embeddings.item_vectors(np.zeros((5, 4)), dims=2)).max() == 0.0


def test_items_are_categories_at_levels_of_price(purchases):
    item = embeddings.items(purchases)
    assert set(item) == set(range(40))
    bands = np.bincount(item % 5)
    assert bands.max() - bands.min() <= 1


def test_vectors_of_a_minute_ago_are_as_good_as_online_ones(purchases):
    late = purchases.tail(400)  # few rows, so that many batches are quick
    often = embeddings.next_purchases(late, memory=0.3, every_days=0.02, from_day=20.0)
    assert (often["weekly"] == often["online"]).mean() > 0.99
    assert often["moved"].mean() < 0.02


def test_what_has_not_arrived_moves_no_vector(purchases):
    never = purchases["ingest_ts"].max() + pd.Timedelta(days=1_000)
    first = purchases["event_ts"].min() + pd.Timedelta(days=200)
    after = purchases["event_ts"] >= first
    stuck = purchases.assign(ingest_ts=purchases["ingest_ts"].mask(after, never))
    ranks = embeddings.next_purchases(stuck, memory=0.3)
    assert not ranks["moved"].any() and (ranks["weekly"] == ranks["online"]).all()


def test_fresh_vectors_gain_where_somebody_has_bought_since(params):
    shop = maker("shop")(rng=stream(11, "shop", "make"), **params["worlds"]["shop"])
    ranks = embeddings.next_purchases(shop["transactions"], memory=0.3)
    gain = ranks["weekly"] - ranks["online"]
    assert 0.2 < ranks["moved"].mean() < 0.5
    assert gain[ranks["moved"]].mean() > 0.2 and gain[~ranks["moved"]].abs().mean() == 0.0


def test_purchases_are_left_alone(purchases):
    before = purchases.copy()
    embeddings.next_purchases(purchases)
    pd.testing.assert_frame_equal(purchases, before)


def test_memory_beyond_one_is_refused(purchases):
    with pytest.raises(ValueError, match="memory = 2"):
        embeddings.next_purchases(purchases, memory=2.0)


# --- parts of an answer, and figures --------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(cards):
    X = card_features(cards)[list(NAMES)]
    return model.plain_model().fit(X, np.arange(len(X)) % 2)


def test_parts_are_the_steps_of_an_answer(cards, fitted):
    bodies = load.bodies_of(cards.sort_values("ingest_ts").head(60))
    ticks = iter(range(10_000))
    with EventLog(":memory:", key=KEY) as log, EventLog(":memory:", key=KEY) as other:
        timed, plain = Scorer(log, fitted), Scorer(other, fitted)
        parts = latency.parts(timed, bodies, clock=lambda: next(ticks))
        for body in bodies:
            plain.charge(body)
        assert [row.event for row in log.replay()] == [row.event for row in other.replay()]
        assert {u: c.kept for u, c in timed.cards.items()} == {
            u: c.kept for u, c in plain.cards.items()
        }
    assert parts.shape == (60, 5) and (parts == 1_000).to_numpy().all()


def test_summary_is_median_and_slowest_hundredth():
    table = latency.summary({"a": np.arange(101.0)})
    assert table.loc["a"].tolist() == [50.0, 99.0]


def test_each_call_is_timed():
    ticks = iter([0.0, 0.5, 1.0, 3.0])
    assert latency.each(abs, [1, 2], clock=lambda: next(ticks)).tolist() == [500.0, 2_000.0]


def test_figures_say_what_they_found(cards, twice):
    table = compare(cards, twice)
    assert figures.architectures(table).get_title().startswith("All right: Kappa;")
    log = deliveries(["a", "b", "a", "a", "a"], [0, 0, 1, 2, 3], [0, 0, 1, 2, 3])
    waiting = watermarks.joint_watermark(log)
    timed = watermarks.joint_watermark(log, idle_seconds=3_600.0)
    assert "for 3 hours" in figures.behind(waiting, timed).get_title()
    rates = pd.DataFrame(
        {"weekly": [0.2, 0.3], "online": [0.21, 0.32], "popular": [0.25, 0.25]}, index=[0.0, 0.5]
    )
    assert figures.freshness(rates).get_title() == (
        "Fresh vectors gain up to 0.020, a mean that forgets 0.100"
    )
    ms = pd.DataFrame({"p50": [0.01, 12.0], "p99": [0.02, 20.0]}, index=["parse", "100 trees"])
    assert not any(map(str.isdigit, figures.milliseconds(ms, limit_ms=50.0).get_title()))
