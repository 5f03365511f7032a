"""Distances and intervals: hand-computed values, an independent library, no blind spots."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from mlkit.params import stream
from mlkit.stats import (
    auc,
    ks,
    ks_and_psi,
    numbers,
    permuted,
    psi,
    psi_null,
    share_interval,
)

RNG = np.random.default_rng(3)
NORMAL = pd.Series(RNG.normal(size=2000))


def by_hand(expected: list[int], actual: list[int]) -> float:
    """Return the index of two lists of counts, half a row added to each."""
    total = 0.0
    for e, a in zip(expected, actual, strict=True):
        e_share = (e + 0.5) / (sum(expected) + 0.5 * len(expected))
        a_share = (a + 0.5) / (sum(actual) + 0.5 * len(actual))
        total += (a_share - e_share) * math.log(a_share / e_share)
    return total


def test_psi_equals_a_computation_by_hand():
    expected, actual = pd.Series([1, 2, 3, 4]), pd.Series([1, 1, 1, 4, None])
    # the lower half is {1}, the upper {2, 3, 4}; the last count is that of missing values
    assert psi(expected, actual, bins=2) == pytest.approx(by_hand([1, 3, 0], [3, 1, 1]))


@pytest.mark.parametrize("bins", [2, 10, 50])
def test_psi_is_zero_for_the_same_rows_in_any_order(bins):
    assert psi(NORMAL, NORMAL.sample(frac=1, random_state=1), bins=bins) == 0.0


def test_psi_grows_with_a_shift():
    values = [psi(NORMAL, NORMAL + shift) for shift in (0.0, 0.2, 0.5, 2.0)]
    assert values == sorted(values)
    assert values[2] > 0.2


@pytest.mark.parametrize("scale", [0.2, 5.0, 100.0])
def test_psi_sees_a_change_of_scale(scale):
    assert psi(NORMAL, NORMAL * scale) > 0.2


@pytest.mark.parametrize("other", [-1.0, 1.0])
def test_psi_sees_a_constant_move_up_or_down(other):
    assert psi(pd.Series([0.0] * 50), pd.Series([other] * 50)) > 1


def test_psi_sees_the_top_value_of_a_flag_move():
    assert psi(pd.Series([0, 1] * 50), pd.Series([0, 2] * 50)) > 1


def test_psi_has_a_bin_for_missing_values():
    assert psi(NORMAL, NORMAL.mask(NORMAL.index < 400)) > 0.2


def test_psi_sees_a_column_that_is_gone():
    assert psi(NORMAL, NORMAL * np.nan) > 1


SAMPLES = {
    "constant": [1.0] * 20,
    "one row": [1.0],
    "infinities": [-np.inf, 0.0, np.inf],
    "only infinities": [np.inf, np.inf],
    "missing": [np.nan, 1.0],
    "int with missing": pd.array([1, None, 3], dtype="Int64"),
    "flags": [True, False],
    "huge": [1e308, -1e308],
}


@pytest.mark.parametrize("actual", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("expected", SAMPLES.values(), ids=SAMPLES)
def test_psi_is_finite_and_not_negative(expected, actual):
    value = psi(pd.Series(expected), pd.Series(actual))
    assert math.isfinite(value)
    assert value >= 0


@pytest.mark.parametrize(("n", "m"), [(400, 400), (200, 1000)])
def test_psi_without_drift_is_what_its_docstring_says(n, m):
    rng = np.random.default_rng(5)
    draws = [psi(pd.Series(rng.normal(size=n)), pd.Series(rng.normal(size=m))) for _ in range(300)]
    assert np.mean(draws) == pytest.approx(9 * (1 / n + 1 / m), rel=0.15)


def test_psi_does_not_change_its_samples():
    before = NORMAL.copy()
    psi(NORMAL, NORMAL)
    pd.testing.assert_series_equal(NORMAL, before)


def test_ks_equals_scipy():
    other = pd.Series(RNG.normal(0.1, size=300))
    ours, theirs = ks(NORMAL, other), ks_2samp(NORMAL, other)
    assert ours == (theirs.statistic, theirs.pvalue)


def test_ks_leaves_missing_values_out():
    with_gaps = pd.concat([NORMAL, pd.Series([np.nan] * 500)])
    assert ks(NORMAL, with_gaps) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z = 1.959964
    [(0, 10, 0.0, 0.27753), (5, 10, 0.23659, 0.76341), (10, 10, 0.72247, 1.0)],
)
def test_share_interval_is_wilsons(hits, n, low, high):
    assert share_interval(hits, n) == pytest.approx((low, high), abs=1e-5)


def test_share_interval_widens_with_its_level():
    narrow, wide = share_interval(3, 9, level=0.5), share_interval(3, 9, level=0.99)
    assert wide[0] < narrow[0] < 1 / 3 < narrow[1] < wide[1]


def test_share_interval_covers_as_often_as_it_says():
    hits = np.random.default_rng(1).binomial(50, 0.2, size=400)
    covered = [low <= 0.2 <= high for low, high in (share_interval(h, 50) for h in hits)]
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize(("hits", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_share_interval_refuses_impossible_counts(hits, n):
    with pytest.raises(ValueError, match=rf"hits = {hits}, n = {n}: expected n >= 1 and 0 <= hits"):
        share_interval(hits, n)


@pytest.mark.parametrize("level", [0, 1, 1.5, math.nan])
def test_share_interval_refuses_other_levels(level):
    with pytest.raises(ValueError, match=r"level = .*: expected a number > 0 and < 1"):
        share_interval(1, 2, level=level)


@pytest.mark.parametrize("bins", [1, 0, 2.5, True])
def test_psi_refuses_other_bins(bins):
    with pytest.raises(ValueError, match=r"psi\.bins = .*: expected a whole number >= 2"):
        psi(NORMAL, NORMAL, bins=bins)


@pytest.mark.parametrize("distance", [psi, ks])
@pytest.mark.parametrize("sample", [[], [np.nan, np.nan]], ids=["empty", "missing"])
def test_distance_refuses_a_reference_without_numbers(distance, sample):
    with pytest.raises(ValueError, match=r"expected: expected at least one number, came [02]"):
        distance(pd.Series(sample, dtype=float), NORMAL)


@pytest.mark.parametrize("distance", [psi, ks])
def test_distance_refuses_an_empty_sample(distance):
    with pytest.raises(ValueError, match="actual: expected at least one number, came 0"):
        distance(NORMAL, pd.Series([], dtype=float))


@pytest.mark.parametrize("distance", [psi, ks])
@pytest.mark.parametrize("sample", [pd.Series(["a"]), [1, 2], 3], ids=["text", "list", "number"])
def test_distance_refuses_what_is_no_column_of_numbers(distance, sample):
    with pytest.raises(TypeError, match="actual: expected numbers, came"):
        distance(NORMAL, sample)


def test_numbers_keep_infinities_and_turn_missing_into_nan():
    values = numbers(pd.Series(pd.array([1.5, None, np.inf], dtype="Float64")), "x")
    np.testing.assert_array_equal(values, [1.5, np.nan, np.inf])


# One sort for both distances: the same numbers as the plain definitions

TIED = st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 1e-300, 1.0, 2.0, 1e308, math.inf, math.nan])
ANY = st.floats(allow_nan=True, allow_infinity=True)
COLUMN = st.one_of(
    st.lists(TIED, min_size=1, max_size=60),
    st.lists(ANY, min_size=1, max_size=60),
    st.builds(lambda value, n: [value] * n, ANY, st.integers(1, 30)),
).map(lambda values: pd.Series(values, dtype="float64"))


@settings(max_examples=400, deadline=None)
@given(expected=COLUMN.filter(lambda s: s.notna().any()), actual=COLUMN, bins=st.integers(2, 20))
def test_one_sort_gives_the_distances_of_scipy_and_of_psi(expected, actual, bins):
    distance, index = ks_and_psi(expected, actual, bins=bins)
    assert index == pytest.approx(psi(expected, actual, bins=bins), abs=1e-12)
    if actual.notna().any():
        with np.errstate(divide="ignore"):
            theirs = ks_2samp(expected.dropna(), actual.dropna(), method="asymp").statistic
        assert distance == pytest.approx(theirs, abs=1e-12)
    else:
        assert math.isnan(distance)


@pytest.mark.parametrize("shift", [0.0, 0.003, 0.2, 9.0])
@pytest.mark.parametrize("digits", [0, 2, 15])
def test_one_sort_is_right_where_it_skips_most_of_a_long_column(digits, shift):
    rng = np.random.default_rng(int(10 * shift) + digits)
    a, b = rng.normal(size=30_000).round(digits), (rng.normal(size=21_000) + shift).round(digits)
    distance, index = ks_and_psi(pd.Series(a), pd.Series(b))
    assert distance == pytest.approx(ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    assert index == pytest.approx(psi(pd.Series(a), pd.Series(b)), abs=1e-12)


def test_one_sort_finds_a_step_between_two_of_its_points():
    a = np.arange(40_000.0)
    b = a.copy()
    b[20_003:20_008] = 20_002.5  # no grid of 4000 points falls on these five
    theirs = ks_2samp(a, b, method="asymp").statistic
    assert ks_and_psi(pd.Series(a), pd.Series(b))[0] == pytest.approx(theirs, abs=1e-12) != 0


def test_one_sort_does_not_change_its_samples():
    before = NORMAL.copy()
    ks_and_psi(NORMAL, NORMAL)
    pd.testing.assert_series_equal(NORMAL, before)


@pytest.mark.parametrize("sample", [[], [np.nan]], ids=["empty", "missing"])
def test_one_sort_refuses_a_reference_without_numbers(sample):
    with pytest.raises(ValueError, match="expected: expected at least one number"):
        ks_and_psi(pd.Series(sample, dtype=float), NORMAL)


# What no drift looks like


@pytest.mark.parametrize("bins", [5, 10])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_psi_null_holds_its_level(bins, level):
    rng = np.random.default_rng(bins)
    draws = [rng.normal(size=(2, 1000)) for _ in range(600)]
    limit = psi_null(1000, 1000, bins=bins, level=level)
    below = [psi(pd.Series(a), pd.Series(b), bins=bins) <= limit for a, b in draws]
    assert np.mean(below) == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 600))


def test_psi_null_by_default_is_the_mean():
    assert psi_null(100, 300, bins=5) == pytest.approx(4 * (1 / 100 + 1 / 300))


@pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0.5), (math.nan, 5)])
def test_psi_null_refuses_samples_without_rows(n, m):
    with pytest.raises(ValueError, match=r"n = .*, m = .*: expected both >= 1"):
        psi_null(n, m)


def test_permuted_moves_entities_of_one_period_as_a_whole():
    entities = np.repeat(np.arange(40), np.tile([1, 2, 3, 4], 10))
    now = entities >= 25
    drawn = permuted(entities, now, rng=np.random.default_rng(0))
    per_entity = pd.Series(drawn).groupby(entities).nunique()
    assert per_entity.max() == 1
    assert pd.Series(drawn).groupby(entities).first().sum() == 15
    assert (drawn != now).any()


def test_permuted_keeps_the_rows_of_an_entity_that_is_in_both_periods():
    rng = np.random.default_rng(1)
    entities = rng.integers(0, 30, 900)
    now = rng.random(900) < 0.3
    drawn = permuted(entities, now, rng=rng)
    count = [pd.Series(x).groupby(entities).sum() for x in (now, drawn)]
    pd.testing.assert_series_equal(*count)
    assert (drawn != now).mean() > 0.2


def test_permuted_gives_each_row_of_an_entity_the_same_chance():
    entities, now = np.array([0, 0, 0, 0, 1, 2]), np.array([1, 0, 0, 0, 1, 0], dtype=bool)
    rng = np.random.default_rng(2)
    share = np.mean([permuted(entities, now, rng=rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(share, [0.25] * 4 + [0.5] * 2, atol=0.035)


def test_permuted_refuses_other_shapes():
    with pytest.raises(ValueError, match="expected one shape"):
        permuted(np.zeros(3, dtype=int), np.zeros(2, dtype=bool), rng=np.random.default_rng(0))


def test_auc_is_that_of_scikit_learn():
    rng = stream(1, "auc")
    truth, score = rng.random(200) < 0.3, rng.integers(0, 20, 200)
    assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    assert np.isnan(auc(np.ones(3, bool), score[:3]))
