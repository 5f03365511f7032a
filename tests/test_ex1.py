"""Exercise 1: its oracle, its healthy pairs and its faults are what they claim to be."""

import numpy as np
import pandas as pd
import pytest

from mlkit import skew
from mlkit.exercises.ex1 import _equal, logs, paths
from mlkit.features import FEATURES

SEEDS = [1, 2, 3]
each_seed = pytest.mark.parametrize("seed", SEEDS)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# --- two paths ------------------------------------------------------------------------------------


def test_loop_gives_what_can_be_counted_by_hand():
    moments = pd.to_datetime(["2025-03-01", "2025-03-11", "2025-03-30", "2025-04-02"], utc=True)
    purchases = pd.DataFrame({"user_id": 1, "event_ts": moments, "arrived_ts": moments})
    purchases["amount_usd"], purchases["channel"] = (
        [1.0, 2.0, 4.0, 8.0],
        ["pos", "web", "web", "pos"],
    )
    asked = pd.to_datetime(["2025-03-31", "2025-04-10", "2025-03-01"], utc=True)
    requests = pd.DataFrame({"request_id": [7, 8, 9], "user_id": [1, 1, 1], "asked_ts": asked})
    got = paths.by_loop(purchases, requests).to_numpy().tolist()
    assert got[0] == [7, 3.0, pytest.approx(7 / 3), pytest.approx(1 / 3), 24.0]
    assert got[1] == [8, 3.0, pytest.approx(14 / 3), 0.5, 192.0]
    assert got[2][:2] == [9, 0.0] and np.isnan(got[2][2:]).all()


def test_three_right_services_agree(rng):
    purchases, requests = paths.history(rng, n_users=20)
    loop, merge = paths.by_loop(purchases, requests), paths.by_merge(purchases, requests)
    assert _equal(merge, loop) == ""
    assert (
        paths.from_the_back(purchases, requests)["request_id"].tolist()
        == (requests["request_id"].tolist()[::-1])
    )


@pytest.mark.parametrize("name", paths.EDGES)
@each_seed
def test_edge_is_in_its_history(name, seed):
    """Each edge tells at least one wrong service from the right one."""
    purchases, requests = paths.edge(name, np.random.default_rng(seed))
    right = paths.by_loop(purchases, requests)
    wrong = {
        "features are those of the moment of the request": paths.inject_lifetime,
        "one row for each request, also of users without purchases": paths.inject_zero,
        "a purchase at the very moment is not known yet": paths.inject_the_moment,
        "a purchase of exactly thirty days ago is in the window": paths.inject_open_window,
        "a row counts from its arrival on": paths.inject_late_rows,
    }[name]
    assert _equal(wrong(purchases, requests), right) != ""


@pytest.mark.parametrize("name", paths.BAD)
def test_wrong_service_is_right_away_from_its_edge(name, rng):
    """A bad service that is wrong everywhere would teach nothing: most answers are right."""
    purchases, requests = paths.history(rng, n_users=20, late=False)
    serve, _ = paths.BAD[name]
    got = serve(purchases, requests).set_index("request_id")
    right = paths.by_loop(purchases, requests).set_index("request_id")
    shared = got.index.intersection(right.index)
    same = np.isclose(got.loc[shared], right.loc[shared], equal_nan=True)
    assert len(shared) > 0.8 * len(right)
    assert same.mean() > 0.45


# --- thirty days of logs --------------------------------------------------------------------------


@each_seed
def test_healthy_pairs_differ_in_nothing_but_form(seed):
    for pair in logs.healthy_pairs(seed):
        served = pair.served.drop_duplicates().sort_values("user_id", ignore_index=True)
        served = served.astype(dict.fromkeys(set(FEATURES) - {"last_category"}, "float64"))
        assert logs.differing(served, pair.recomputed) == set(), pair.name
        assert pair.want == set()


@each_seed
def test_every_unseen_skew_is_what_it_says(seed):
    for pair in logs.unseen(seed):
        both = pair.recomputed.merge(
            pair.served.drop_duplicates(), "outer", logs.KEY, suffixes=("", "_s"), indicator=True
        )
        found = set() if (both["_merge"] == "both").all() else {"rows"}
        both = both[both["_merge"] == "both"]
        for name in FEATURES:
            if name not in pair.served:
                found.add(name)
                continue
            served = both[f"{name}_s"]
            served = served if name == "last_category" else pd.to_numeric(served)
            found |= {name} if logs._differs(served, both[name]).any() else set()
        assert found == pair.want, pair.name


@each_seed
def test_atlas_has_every_kind_and_each_can_be_found(seed):
    pairs = {pair.name: pair for pair in logs.atlas(seed)}
    assert list(pairs) == list(skew.KINDS)
    assert all(pair.want for pair in pairs.values())
    assert pairs["unit"].want == {"avg_amount", "amount_variance"}
    assert pairs["category_codes"].want == {"last_category"}


@each_seed
def test_log_is_retried_shuffled_and_typed_its_own_way(seed):
    for pair in logs.unseen(seed):
        assert pair.served.duplicated().any()
        assert not pair.served["user_id"].is_monotonic_increasing
        assert pd.api.types.is_integer_dtype(pair.served["purchases_30d"])
        assert isinstance(pair.served["total_purchases"].iloc[0], str)


def test_half_a_dozen_skews_and_more_were_never_shown():
    assert len(logs.unseen(1)) >= 6
