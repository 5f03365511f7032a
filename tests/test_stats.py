"""Distances and intervals: hand-computed values, an independent library, no blind spots."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from mlkit.stats import ks, numbers, psi, share_interval

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
