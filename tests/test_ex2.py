"""Exercise 2: its oracles, its experiment and its training sets are what they claim to be."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit import params, plots
from mlkit.exercises import ex2
from mlkit.exercises.ex2 import clocks, splits, states
from mlkit.params import stream
from mlkit.plots.point_in_time import two_splits
from mlkit.worlds.shop import make_shop

sys.path.insert(0, str(Path(__file__).parent))
import gate

ROOT = Path(__file__).parents[1]
DAY = pd.Timedelta(days=1)
each_seed = pytest.mark.parametrize("seed", [1, 2, 3])
RIGHT = {id: [gate.answer(b) for b in gate.right("ex2") if b.id == id] for id in ("ex2.1", "ex2.3")}
numbered = [f"answer-{n}" for n in range(3)]
few = settings(max_examples=40, deadline=None)


def days(*numbers):
    """Return moments, in days since the worlds of the exercise begin."""
    return [states.START + n * DAY for n in numbers]


# --- a join on two clocks -------------------------------------------------------------------------

small = st.integers(0, 5)
rows_of_events = st.lists(
    st.tuples(small, small, small, st.integers(0, 3)), min_size=1, max_size=14
).map(
    lambda rows: pd.DataFrame(
        {
            "seq": np.random.default_rng(len(rows)).permutation(len(rows)),
            "user_id": [user % 3 for user, *_ in rows],
            "event_ts": days(*(at for _, at, *_ in rows)),
            "known_ts": days(*(known for *_, known, _ in rows)),
            "value": [np.nan if v == 0 else float(v) for *_, v in rows],
        }
    )
)
rows_of_requests = st.lists(st.tuples(small, small), min_size=1, max_size=10).map(
    lambda rows: pd.DataFrame(
        {"user_id": [user % 4 for user, _ in rows], "asked_ts": days(*(at for _, at in rows))},
        index=np.random.default_rng(len(rows)).permutation(len(rows)) + 50,
    )
)


def test_loop_gives_what_can_be_counted_by_hand():
    events = pd.DataFrame({"seq": [3, 1, 2, 4], "user_id": 7, "value": [1.0, 2.0, 3.0, np.nan]})
    events["event_ts"], events["known_ts"] = days(0, 4, 4, 9), days(0, 4, 6, 8)
    requests = pd.DataFrame({"user_id": [7] * 6 + [8]})
    requests["asked_ts"] = days(3.9, 4, 6, 8, 9, -1, 9)
    got = states.by_loop(events, requests).tolist()
    assert got[:4] == [1, 2, 3, 3] and np.isnan(got[4:]).all()


@pytest.mark.parametrize("answer", RIGHT["ex2.1"], ids=numbered)
@given(events=rows_of_events, requests=rows_of_requests)
@few
def test_reference_equals_the_oracle(answer, events, requests):
    pd.testing.assert_series_equal(
        answer(events, requests), states.by_loop(events, requests), check_names=False
    )


@given(events=rows_of_events, requests=rows_of_requests, seed=st.integers(0, 99))
@few
def test_reference_knows_no_order_of_rows_and_no_future(events, requests, seed):
    asof = RIGHT["ex2.1"][0]
    shuffled = events.sample(frac=1, random_state=seed)
    last = requests["asked_ts"].max()
    known = events[(events["event_ts"] <= last) & (events["known_ts"] <= last)]
    before = asof(events, requests)
    pd.testing.assert_series_equal(asof(shuffled, requests), before)
    pd.testing.assert_series_equal(asof(known, requests), before)


@given(events=rows_of_events, requests=rows_of_requests)
@few
def test_a_request_does_not_depend_on_the_others(events, requests):
    whole, asof = states.by_loop(events, requests), RIGHT["ex2.1"][0]
    for place in range(len(requests)):
        alone = asof(events, requests.iloc[[place]]).iloc[0]
        assert np.array_equal([alone], [whole.iloc[place]], equal_nan=True)


@each_seed
def test_five_hundred_requests_meet_everything_at_once(seed):
    events, requests = states.tangled(np.random.default_rng(seed))
    pairs = requests.reset_index().merge(events, on="user_id")
    assert len(requests) == 500
    assert (pairs["event_ts"] == pairs["asked_ts"]).sum() > 50
    assert events.duplicated(["user_id", "event_ts"]).sum() > 50
    late = (pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] > pairs["asked_ts"])
    assert late.sum() > 50 and (events["known_ts"] < events["event_ts"]).sum() > 50
    assert requests.duplicated().any() and not requests["user_id"].isin(events["user_id"]).all()


def test_settled_history_has_nothing_hard_in_it():
    for seed in range(200):
        events, requests = states.settled(np.random.default_rng(seed))
        assert not events.duplicated(["user_id", "event_ts"]).any()
        assert not requests["asked_ts"].isin(events["event_ts"]).any()
        assert states.by_loop(events, requests).notna().all()


@pytest.mark.parametrize("seed", [7, 1000, 1001])
def test_every_edge_is_the_first_to_find_some_mistake(seed, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLKIT_SEED", str(seed))
    gate.result.cache_clear()
    first = set()
    for block in (b for b in gate.wrong("ex2") if b.id == "ex2.1"):
        first.add(next(c.text for c in gate.result(block).criteria if not c.ok))
    gate.result.cache_clear()
    assert first == set(states.EDGES)


# --- two splits and a replay ----------------------------------------------------------------------


def world(seed, **knobs):
    """Return a small shop of a seed with some knobs turned, and a generator for what follows."""
    rng = stream(seed, "test", "ex2")
    usual = params.load(ROOT / "params.yaml")["worlds"]["shop"]
    return make_shop(rng=rng, **{**usual, "n_users": 400, **knobs}), rng


@pytest.mark.parametrize("seed", [1000, 1001, 1002])
def test_temporal_split_does_not_expose_the_leak_and_the_replay_does(seed):
    shop, rng = world(seed)
    scores = splits.two_by_two(shop, splits.inject_table(shop, rng=rng))
    table, honest = scores.loc["table"], scores.loc["as_of"]
    assert table["temporal"] > honest["temporal"] + 0.02
    assert min(table["random"], table["temporal"]) > table["production"] + 0.015
    assert table["temporal"] > table["replay"] + 0.02
    assert honest["temporal"] == honest["replay"]


@pytest.mark.parametrize("seed", [1000, 1001, 1002])
def test_null_control_is_a_report_that_was_there(seed):
    shop, rng = world(seed)
    rows = splits.inject_table(shop, rng=rng, kind="last_month")
    scores = splits.two_by_two(shop, rows)
    assert (scores.loc["table"] - scores.loc["as_of"]).abs().max() < 0.005
    assert rows["table"].notna().mean() > 0.5


def test_second_clock_costs_what_its_lag_says():
    on_time, rng = world(1000, late_share=0.0)
    rows = splits.inject_table(on_time, rng=rng, kind="event_time")
    assert np.isclose(rows["table"], rows["as_of"], equal_nan=True).mean() > 0.99
    slow, rng = world(1000, late_share=1.0, late_hours=168.0)
    scores = splits.two_by_two(slow, splits.inject_table(slow, rng=rng, kind="event_time"))
    assert scores.loc["table", "temporal"] > scores.loc["table", "replay"] + 0.02


def test_as_of_is_the_mean_of_what_was_known_in_the_month():
    shop, rng = world(5, n_users=60, n_days=400, late_share=0.5)
    rows, sales = splits.inject_table(shop, rng=rng), shop["transactions"]
    offers = shop["offers"].iloc[::37]
    for offer in offers.itertuples():
        month = sales[sales["user_id"] == offer.user_id]
        same = month["event_ts"].dt.strftime("%Y-%m") == offer.prediction_ts.strftime("%Y-%m")
        month = month[same]
        known = month[month["event_ts"] < offer.prediction_ts]
        known = known[known["ingest_ts"] <= offer.prediction_ts]
        got, want = rows.loc[offer.Index], (month["amount_usd"].mean(), known["amount_usd"].mean())
        np.testing.assert_allclose([got["table"], got["as_of"]], want)


def test_experiment_trains_on_what_was_known_and_tests_on_what_came_later():
    rows, cut = splits.case(3)
    seen = []

    def spy(train, test):
        seen.append((set(train.index), set(test.index)))
        return 0.0

    splits.experiment(rows, cut, spy)
    temporal = [pair for n, pair in enumerate(seen) if n % 3]
    assert len(temporal) == 4 and len({tuple(map(frozenset, pair)) for pair in temporal}) == 1
    train, test = (rows.loc[list(side)] for side in temporal[0])
    assert train["label_known_ts"].max() == cut and test["asked_ts"].min() == cut
    assert all(not train & test for train, test in seen)


@each_seed
def test_case_has_ties_at_the_cut_a_gap_and_missing_values(seed):
    rows, cut = splits.case(seed)
    assert (rows["asked_ts"] == cut).sum() >= 12 and (rows["label_known_ts"] == cut).sum() >= 12
    gap = (rows["label_known_ts"] > cut) & (rows["asked_ts"] < cut)
    assert gap.sum() > 20 and not rows["asked_ts"].is_monotonic_increasing
    assert rows["as_of"].isna().any() and rows["table"].notna().any()


@each_seed
def test_right_scores_carry_no_mistakes_name(seed):
    rows, cut = splits.case(seed)
    right = splits.experiment(rows, cut, splits.closeness)
    assert not [name for c in splits.COLUMNS for name in splits.named(rows, cut, c, right[c])]


def test_figure_says_what_the_scores_say():
    scores = pd.DataFrame(
        [[0.76, 0.77, 0.7, 0.69], [0.68, 0.7, 0.7, 0.69]],
        index=["table", "as_of"],
        columns=["random", "temporal", "replay", "production"],
    )
    ax = two_splits(scores)
    title = ax.get_title() + ax.get_title(loc="left")
    assert title == "Both splits promise 0.76 and 0.77; production gets 0.69"
    assert plots.png(ax) == plots.png(two_splits(scores))
    assert len({bar.get_hatch() for bar in ax.patches}) == 2


# --- what nobody could have known -----------------------------------------------------------------


def test_shares_can_be_counted_by_hand():
    history = pd.DataFrame({"user_id": [1, 1, 2], "feature": "a", "value": [5.0, 6.0, 7.0]})
    history["event_ts"] = history["known_ts"] = days(1, 3, 1)
    training = pd.DataFrame({"user_id": [1, 1, 1, 1], "asked_ts": days(2, 3, 2, 2)})
    training["a"] = [6.0, 6.0, 7.0, np.nan]
    assert clocks.shares_by_loop(training, history).to_dict() == {"a": 0.5}


@pytest.mark.parametrize("answer", RIGHT["ex2.3"], ids=numbered)
@given(events=rows_of_events, requests=rows_of_requests, held=st.lists(small, min_size=20))
@few
def test_reference_of_the_audit_equals_the_oracle(answer, events, requests, held):
    feature = np.where(events["seq"] % 2 == 0, "a", "b")
    history = events.assign(feature=feature).drop(columns="seq").dropna(subset=["value"])
    value = [np.nan if v == 0 else float(v) for v in held]
    training = requests.assign(a=value[: len(requests)], b=value[-len(requests) :])
    got, want = answer(training, history), clocks.shares_by_loop(training, history)
    np.testing.assert_allclose(got[want.index].astype(float), want)


@each_seed
def test_honest_sets_are_possible_and_leaks_are_not(seed):
    for each, shares in ex2.audits(seed):
        if each.text in clocks.SILENT:
            assert not shares.any(), each.text
        elif each.text in clocks.LEAKS:
            assert shares.max() > 0.1 and shares.min() == 0, each.text
    assert each.text == "six columns at once" and (shares > 0).any() and (shares == 0).any()


@each_seed
def test_leaks_are_missing_in_places_and_stale_is_another_value(seed):
    sets = {each.text: each for each in ex2.training_sets(seed)}
    for each in sets.values():
        assert each.training.drop(columns=["user_id", "asked_ts"]).isna().any().all()
    stale = sets["an old value is no impossible one"].training.drop(columns=["user_id", "asked_ts"])
    assert not np.isclose(stale.iloc[:, 0], stale.iloc[:, 1], equal_nan=True).all()
