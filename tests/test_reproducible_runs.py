import numpy as np
import pandas as pd
import pytest

from mlkit.params import stream
from mlkit.versioning import runs

MOMENT = pd.Timestamp("2025-12-01", tz="UTC")
SETTLED = runs.Recipe()


def record(shop, recipe=SETTLED, *, seed=0, days=0):
    day = MOMENT + pd.Timedelta(days=days)
    return runs.hashes(runs.run(shop, recipe, rng=stream(seed, "machine"), moment=day))


@pytest.mark.parametrize("kind", [*runs.KINDS, ""])
def test_each_cause_is_named_and_a_healthy_pair_is_not(shop, kind):
    for seed in range(10):
        pair = runs.pair(shop, kind, rng=stream(seed, "pair"))
        assert runs.cause_of(*map(runs.hashes, pair)) == kind


def test_another_version_of_the_data_is_named(shop):
    edited = shop["training"].assign(avg_amount=lambda t: t["avg_amount"] + 0.01)
    other = record({**shop, "training": edited})
    assert runs.cause_of(record(shop), other) == "data"
    assert runs.cause_of(record(shop), record(shop, seed=5, days=9)) == ""


def test_two_faults_are_named_one_after_the_other(shop):
    both = runs.inject_unseeded(runs.inject_unsorted(SETTLED))
    first, second = (record(shop, both, seed=seed) for seed in (1, 2))
    assert runs.cause_of(first, second) == "order"
    one = both._replace(order="sorted")
    first, second = (record(shop, one, seed=seed) for seed in (1, 2))
    assert runs.cause_of(first, second) == "seed"


def test_another_seed_is_another_split_on_the_same_features(shop):
    first, second = record(shop), record(shop, SETTLED._replace(seed=8))
    unlike = [step for step in runs.STEPS if first[step] != second[step]]
    assert unlike == ["split", "model", "scores"]


def test_a_seed_of_zero_is_a_seed(shop):
    zero = SETTLED._replace(seed=0)
    assert record(shop, zero, seed=1) == record(shop, zero, seed=2)


def test_order_of_addition_moves_last_digits_only(shop):
    one, four = (
        runs.run(shop, SETTLED._replace(workers=workers), rng=stream(0, "m"), moment=MOMENT)
        for workers in (1, 4)
    )
    gap = np.abs(one.features - four.features).max()
    assert 0 < gap < 1e-12


def test_the_sign_of_zero_is_no_difference_after_rounding(shop):
    made = runs.run(shop, SETTLED, rng=stream(0, "m"), moment=MOMENT)
    one, two = (
        runs.hashes(made._replace(features=np.full((2, 2), value))) for value in (-1e-17, 1e-17)
    )
    assert one["features_rounded"] == two["features_rounded"]
    assert one["features"] != two["features"]


def test_sums_in_parts_are_sums():
    X = np.arange(12.0).reshape(6, 2)
    for workers in (1, 4, 99):
        assert runs._sum_in_parts(X, workers).tolist() == [30.0, 36.0]


def test_one_real_thread_gives_one_total():
    amounts = pd.Series(np.random.default_rng(0).lognormal(3, 1, 300_000))
    assert runs.distinct_totals(amounts, threads=1, times=5) == 1


def test_spread_is_the_mean_over_all_pairs():
    def made(decisions, accuracy):
        return runs.Run(pd.DataFrame(), None, None, None, pd.Series(decisions), accuracy)

    found = runs.spread([made([1, 0], 0.5), made([1, 1], 0.7), made([1, 1], 0.6)])
    assert found == {"runs": 3, "lowest": 0.5, "highest": 0.7, "flips": pytest.approx(1 / 3)}
    with pytest.raises(ValueError, match="two runs or more, came 1"):
        runs.spread([made([1], 0.5)])


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (SETTLED._replace(workers=0), "recipe.workers = 0"),
        (SETTLED._replace(workers=2.5), "recipe.workers = 2.5"),
        (SETTLED._replace(order="random"), "recipe.order = 'random': expected one of"),
        (SETTLED._replace(clock="utc"), "recipe.clock = 'utc'"),
        (SETTLED._replace(learner="forest"), "recipe.learner = 'forest'"),
    ],
    ids=["workers", "half a worker", "order", "clock", "learner"],
)
def test_a_bad_recipe_gets_one_clear_line(shop, recipe, words):
    with pytest.raises(ValueError, match=words):
        record(shop, recipe)


def test_odd_features_are_numbers_or_an_error(shop, recwarn):
    features = shop["training"]
    empty = features.assign(avg_amount=np.nan, total_purchases=-5.0)
    made = runs.run({**shop, "training": empty}, SETTLED, rng=stream(0, "m"), moment=MOMENT)
    assert np.isfinite(made.features).all() and not recwarn.list
    infinite = features.assign(avg_amount=np.inf)
    with pytest.raises(ValueError, match="training.avg_amount: .* values are infinite"):
        record({**shop, "training": infinite})


def test_missing_parts_are_named(shop):
    with pytest.raises(KeyError, match="training"):
        record({"offers": shop["offers"]})
    with pytest.raises(KeyError, match="lacks 'order'"):
        runs.cause_of({"rows": "a"}, {"rows": "a"})
    with pytest.raises(ValueError, match="kind = 'gpu'"):
        runs.pair(shop, "gpu", rng=stream(0, "x"))
    unknown = shop["offers"].assign(accepted=pd.array([None] * len(shop["offers"]), "boolean"))
    with pytest.raises(ValueError, match="0 rows with a known answer"):
        record({**shop, "offers": unknown})
