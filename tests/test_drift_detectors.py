"""Detectors on plain frames: they find moves, keep to their level, and take any odd column."""

import datetime as dt
import decimal
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from mlkit.drift import measures
from mlkit.drift.detectors import (
    COLUMNS,
    domain,
    naive_ks,
    naive_psi,
    naive_should_retrain,
    shifts,
)
from mlkit.drift.sequential import cusum, cusum_limit, daily, level_for, performance_finding
from mlkit.plots import drift as pictures
from mlkit.stats import ks, psi, share_interval

N = 600
DAYS = pd.date_range("2025-01-01", periods=N, freq="h", tz="UTC")


def frame(seed=0, n=N, **columns):
    """Return a frame with columns of every usual kind; `columns` replaces any."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, n),
            "visits": rng.poisson(4, n),
            "city": rng.choice(["Basel", "Bern", "Genf"], n, p=[0.5, 0.3, 0.2]),
            "flag": rng.random(n) < 0.3,
            "gaps": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            **columns,
        }
    )


def row(found, check, subject):
    rows = found[(found["check"] == check) & (found["subject"] == subject)]
    assert len(rows) == 1
    return rows.iloc[0]


def failures(found):
    return {tuple(pair) for pair in found.loc[found["failed"], ["check", "subject"]].to_numpy()}


def column(*values, **options):
    return pd.DataFrame({"x": pd.Series(*values, **options)})


# Values: those of the plain definitions and of scipy


def test_findings_have_the_columns_of_the_house():
    found = shifts(frame(), frame(1))
    assert list(found) == COLUMNS
    assert found["failed"].dtype == bool


def test_values_are_those_of_the_definitions():
    a, b = frame(), frame(1)
    found = shifts(a, b)
    assert row(found, "psi", "gaps")["value"] == pytest.approx(psi(a["gaps"], b["gaps"]))
    assert row(found, "ks", "gaps")["value"] == pytest.approx(ks(a["gaps"], b["gaps"])[0])
    distance = wasserstein_distance(a["amount"], b["amount"]) / a["amount"].std(ddof=0)
    assert row(found, "wasserstein", "amount")["value"] == pytest.approx(distance)


def test_p_values_are_those_of_scipy():
    a, b = frame(), frame(1)
    found = shifts(a, b)
    theirs = ks_2samp(a["amount"], b["amount"], method="asymp").pvalue
    assert row(found, "ks", "amount")["p"] == pytest.approx(theirs, abs=0.02)
    counts = pd.DataFrame([a["city"].value_counts(), b["city"].value_counts()])
    assert row(found, "category", "city")["p"] == pytest.approx(chi2_contingency(counts).pvalue)


def test_total_variation_by_hand():
    found = shifts(column(["a"] * 6 + ["b"] * 4), column(["a"] * 3 + ["b"] * 5 + ["new"] * 2))
    assert row(found, "category", "x")["value"] == pytest.approx(0.3)
    assert row(found, "unseen", "x")["value"] == pytest.approx(0.2)
    assert row(found, "unseen", "x")["note"] == "new"


def test_at_most_three_unseen_categories_are_named():
    found = shifts(column(list("ab") * 100), column(list("abcdef") * 100))
    assert row(found, "unseen", "x")["note"] == "c, d, e, ..."


def test_the_wasserstein_distance_of_long_columns_is_close_to_that_of_all_rows():
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.normal(size=40_000)), np.sort(rng.normal(0.3, 1.2, size=30_000))
    exact = wasserstein_distance(a, b) / a.std()
    assert measures.numeric(a, b, bins=10)["wasserstein"] == pytest.approx(exact, rel=0.01)


# Moves are found, each by its check


MOVES = {
    "shift": (lambda t: t.assign(gaps=t["gaps"] + 1), ("ks", "gaps")),
    "unit": (lambda t: t.assign(amount=t["amount"] * 100), ("psi", "amount")),
    "scale": (lambda t: t.assign(gaps=t["gaps"] * 3), ("psi", "gaps")),
    "tail": (
        lambda t: t.assign(amount=t["amount"].mask(t.index < 12, 5000.0)),
        ("wasserstein", "amount"),
    ),
    "nulls": (lambda t: t.assign(amount=t["amount"].mask(t.index < 90)), ("missing", "amount")),
    "gone": (lambda t: t.assign(amount=np.nan), ("ks", "amount")),
    "infinite": (
        lambda t: t.assign(amount=t["amount"].mask(t.index < 90, np.inf)),
        ("infinite", "amount"),
    ),
    "share": (lambda t: t.assign(city=t["city"].replace("Genf", "Bern")), ("category", "city")),
    "unseen": (lambda t: t.assign(city=t["city"].mask(t.index < 30, "Zug")), ("unseen", "city")),
    "flag": (lambda t: t.assign(flag=~t["flag"]), ("category", "flag")),
    "text": (lambda t: t.assign(amount="much"), ("kind", "amount")),
    "text numbers": (lambda t: t.assign(amount=t["amount"].astype("str")), ("kind", "amount")),
    "mixed": (
        lambda t: t.assign(amount=t["amount"].astype("object").mask(t.index < 9, "?")),
        ("kind", "amount"),
    ),
    "became time": (lambda t: t.assign(amount=DAYS), ("time", "amount")),
    "lost column": (lambda t: t.drop(columns="city"), ("columns", "(columns)")),
}


@pytest.mark.parametrize(("moved", "expected"), MOVES.values(), ids=MOVES)
def test_a_move_is_found_by_its_check(moved, expected):
    assert expected in failures(shifts(frame(), moved(frame(1))))


@pytest.mark.parametrize("move", ["shift", "unit", "nulls", "share", "flag"])
def test_a_move_fails_no_other_column(move):
    moved, (_, subject) = MOVES[move]
    assert {name for _, name in failures(shifts(frame(), moved(frame(1))))} == {subject}


def test_text_that_reads_as_numbers_is_compared_as_numbers_too():
    current = frame(1)
    found = shifts(frame(), current.assign(amount=(current["amount"] * 100).astype("str")))
    assert {("kind", "amount"), ("ks", "amount")} <= failures(found)
    assert "compared as numbers" in row(found, "kind", "amount")["note"]


def test_flags_against_zero_and_one_are_the_same():
    assert not failures(shifts(frame(), frame(1).astype({"flag": "int64"})))


# Without drift: silent, as often as the level says


def test_the_same_rows_in_any_order_have_moved_nowhere():
    found = shifts(frame(), frame().sample(frac=1, random_state=1))
    assert not found["failed"].any()
    assert not found.loc[found["check"] != "size", "value"].any()


@pytest.mark.parametrize("sizes", [(50, 50), (2000, 60), (400, 400)])
def test_all_checks_together_keep_to_their_level(sizes):
    wrong = [
        shifts(frame(2 * s, sizes[0]), frame(2 * s + 1, sizes[1]), level=0.1)["failed"].any()
        for s in range(120)
    ]
    assert np.mean(wrong) <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 120)


def test_with_many_rows_the_tolerance_decides_and_not_the_p_value():
    rng = np.random.default_rng(0)
    a, b = column(rng.normal(size=200_000)), column(rng.normal(0.02, size=200_000))
    found = shifts(a, b)
    assert row(found, "ks", "x")["p"] < 0.01
    assert not found["failed"].any()
    assert naive_ks(a, b, features=["x"])["failed"].all()


def users(seed, n=60, rows=15, both=False, noise=0.3):
    """Return two frames without drift whose rows depend on each other by user."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n), rows)
    x = rng.normal(size=n)[user] + noise * rng.normal(size=len(user))
    table = pd.DataFrame({"user": user, "x": x})
    now = rng.random(len(user)) < 0.5 if both else user >= n // 2
    return table[~now], table[now]


def test_rows_of_a_user_alarm_unless_the_user_is_named():
    def rate(**options):
        return np.mean(
            [
                shifts(*users(s), features=["x"], rng=np.random.default_rng(s), **options)[
                    "failed"
                ].any()
                for s in range(50)
            ]
        )

    assert rate() > 0.5
    assert rate(entity="user", rounds=60) <= 0.16


def test_a_move_is_found_when_the_user_is_named():
    reference, current = users(1)
    current = current.assign(x=current["x"] + 3)
    found = shifts(reference, current, entity="user", rng=np.random.default_rng(0))
    assert ("ks", "x") in failures(found)


def test_users_in_both_periods_make_the_test_sharper():
    reference, current = users(1, both=True)
    options = {"entity": "user", "features": ["x"], "ks_limit": 0.0}
    paired = shifts(reference, current, rng=np.random.default_rng(0), **options)
    others = current.assign(user=current["user"] + 1000)
    apart = shifts(reference, others, rng=np.random.default_rng(0), **options)
    assert row(paired, "ks", "x")["limit"] < row(apart, "ks", "x")["limit"] / 2


def test_the_same_generator_gives_the_same_findings():
    one, two = (shifts(*users(3), entity="user", rng=np.random.default_rng(5)) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_inputs_stay_as_they_are():
    a, b = frame(), frame(1)
    shifts(a, b)
    domain(a, b, rng=np.random.default_rng(0))
    pd.testing.assert_frame_equal(a, frame())
    pd.testing.assert_frame_equal(b, frame(1))


# Any odd column: a finding or a clear error

rng = np.random.default_rng(9)
ODD = {
    "numbers": rng.normal(size=40),
    "constant": [5.0] * 40,
    "zero": [0] * 40,
    "nan": [np.nan] * 40,
    "none": [None] * 40,
    "one number": [np.nan] * 39 + [1.0],
    "infinities": [np.inf, -np.inf] * 20,
    "some infinite": [np.inf, 1.0, 2.0, np.nan] * 10,
    "huge": [1e308, -1e308] * 20,
    "tiny": [5e-324, 0.0] * 20,
    "big int": [2**62, 2**62 - 1] * 20,
    "Int64": pd.array([1, None] * 20, dtype="Int64"),
    "boolean": pd.array([True, None] * 20, dtype="boolean"),
    "bool": [True, False] * 20,
    "bool objects": pd.Series([True, None] * 20, dtype="object"),
    "text": list("ab") * 20,
    "text numbers": ["1.5", "2"] * 20,
    "unique text": [f"id{i}" for i in range(40)],
    "mixed": [1, "a", None, 2.5] * 10,
    "lists": [[1], [2, 3]] * 20,
    "categorical": pd.Categorical(list("ab") * 20, categories=list("abc")),
    "number categories": pd.Categorical([1, 2] * 20),
    "decimal": [decimal.Decimal("1.5"), None] * 20,
    "complex": [1 + 2j, 3] * 20,
    "bytes": [b"a", b"b"] * 20,
    "times": pd.date_range("2025-01-01", periods=40),
    "zoned": pd.date_range("2025-01-01", periods=40, tz="Asia/Kolkata"),
    "duplicate times": [pd.Timestamp("2025-01-01", tz="UTC")] * 40,
    "dates": [dt.date(2025, 1, 1)] * 40,
    "periods": pd.period_range("2025-01", periods=40, freq="M"),
    "spans": pd.to_timedelta(range(40), unit="h"),
    "span objects": pd.Series([dt.timedelta(hours=i) for i in range(40)], dtype="object"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("other", ["numbers", "text"])
@pytest.mark.parametrize("odd", ODD)
def test_any_column_gives_findings_and_what_is_no_number_fails(odd, other):
    for one, two in ((ODD[odd], ODD[other]), (ODD[other], ODD[odd])):
        found = shifts(column(one), column(two))
        assert "x" in set(found["subject"])
        assert found.loc[found["value"].isna(), "failed"].all()


@pytest.mark.parametrize("odd", ODD)
def test_any_column_against_itself_has_not_moved(odd):
    found = shifts(column(ODD[odd]), column(ODD[odd]))
    assert not failures(found) - {("size", "(rows)")}


@pytest.mark.parametrize("odd", [name for name in ODD if name != "numbers"])
def test_numbers_that_turn_into_anything_else_are_a_finding(odd):
    reference = column(np.random.default_rng(1).normal(size=4000))
    assert failures(shifts(reference, column(np.tile(np.array(ODD[odd], dtype=object), 20))))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 500), (500, 1), (3, 3), (5, 500)])
def test_too_few_rows_are_a_finding(sizes):
    found = shifts(frame(0, sizes[0]), frame(1, sizes[1]))
    assert ("size", "(rows)") in failures(found)


def test_enough_rows_are_none():
    assert not failures(shifts(frame(0, 300), frame(1, 100)))


def test_ids_are_too_many_categories():
    ids = frame(id=[f"id{i}" for i in range(N)]), frame(1, id=[f"other{i}" for i in range(N)])
    found = shifts(*ids)
    assert ("size", "(rows)") in failures(found)
    assert row(found, "size", "(rows)")["note"].startswith("id: ")


def test_times_are_shown_as_not_compared():
    found = shifts(frame(at=DAYS), frame(1, at=DAYS + pd.Timedelta(days=60)))
    assert row(found, "time", "at")["note"] == "not compared: times always move"
    assert not found["failed"].any()


def test_columns_on_one_side_are_named():
    found = shifts(frame(old=1), frame(1, new=1))
    assert (
        row(found, "columns", "(columns)")["note"] == "only in reference: old; only in current: new"
    )


def test_a_new_column_is_named_and_does_not_fail():
    found = row(shifts(frame(), frame(1, new=1)), "columns", "(columns)")
    assert (found["note"], found["failed"]) == ("only in current: new", False)


def test_names_of_columns_may_be_numbers():
    found = shifts(pd.DataFrame({0: [1.0] * 40}), pd.DataFrame({0: [1.0] * 40}))
    assert set(found["subject"]) == {"(columns)", "(rows)", "0"}


REFUSED = {
    "no frame": (
        lambda: shifts(3, frame()),
        TypeError,
        "reference: expected a DataFrame, came int",
    ),
    "empty": (
        lambda: shifts(frame(), frame()[:0]),
        ValueError,
        "current: expected at least one row",
    ),
    "twice": (
        lambda: shifts(frame(), pd.concat([frame(), frame()], axis=1)),
        ValueError,
        "column names must be unique",
    ),
    "unknown": (
        lambda: shifts(frame(), frame(), features=["amuont"]),
        KeyError,
        r"reference lacks 'amuont'.*Closest: \['amount'\]",
    ),
    "nothing shared": (
        lambda: shifts(frame()[["city"]], frame()[["flag"]]),
        ValueError,
        r"no column to compare: reference has \['city'\], current \['flag'\]",
    ),
    "no feature": (
        lambda: shifts(frame(), frame(), features=[]),
        ValueError,
        "at least one column",
    ),
    "entity as feature": (
        lambda: shifts(frame(), frame(), features=["city"], entity="city", rng=rng),
        ValueError,
        "none the entity",
    ),
    "entity without rng": (
        lambda: shifts(frame(), frame(), entity="city"),
        ValueError,
        "rng: expected a numpy Generator",
    ),
    "entity missing": (
        lambda: shifts(frame(), frame(), entity="gaps", rng=rng),
        ValueError,
        "gaps: expected an entity in every row, came .* rows without",
    ),
    "asked for times": (
        lambda: shifts(frame(at=DAYS), frame(at=DAYS), features=["at"]),
        ValueError,
        "at: holds times, which always move",
    ),
    "limit": (
        lambda: shifts(frame(), frame(), ks_limit=2.0),
        ValueError,
        "ks_limit = 2.0: expected",
    ),
    "level": (lambda: shifts(frame(), frame(), level=0.0), ValueError, "level = 0.0: expected"),
    "domain of one row": (
        lambda: domain(frame(0, 1), frame(), rng=rng),
        ValueError,
        "expected 2 rows .* came 1 and 600",
    ),
    "domain of times": (
        lambda: domain(frame(at=DAYS)[["at"]], frame(at=DAYS)[["at"]], rng=rng),
        ValueError,
        "no column to compare but times: at",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused_in_one_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# The classifier of domains


def test_the_classifier_sees_a_move_that_no_column_shows():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1500, 2))
    b[:, 1] = b[:, 0] * 0.95 + 0.3 * b[:, 1]
    reference, current = (pd.DataFrame(x, columns=["x", "y"]) for x in (a, b))
    assert not shifts(reference, current)["failed"].any()
    assert domain(reference, current, rng=rng)["failed"].all()


@pytest.mark.parametrize("move", ["shift", "unit", "nulls", "share", "gone", "text numbers"])
def test_the_classifier_finds(move):
    found = domain(frame(), MOVES[move][0](frame(1)), rng=np.random.default_rng(0), auc_limit=0.52)
    assert found["failed"].all() == (move != "text numbers")


def test_the_classifier_is_near_a_half_without_drift():
    values = [
        domain(frame(2 * s), frame(2 * s + 1), rng=np.random.default_rng(s))["value"].item()
        for s in range(6)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_the_classifier_knows_users_again_unless_folds_are_grouped():
    apart = users(0, n=40, rows=40, noise=0.01)
    free, grouped = (
        domain(*apart, features=["x"], rng=np.random.default_rng(0), **options)["value"].item()
        for options in ({}, {"entity": "user"})
    )
    assert free > 0.6
    assert grouped < 0.6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", ODD)
def test_the_classifier_takes_any_column(odd):
    if measures.kind_of(pd.Series(ODD[odd])) == "time":
        pytest.skip("times are refused")
    found = domain(column(ODD[odd]), column(ODD[odd]), rng=np.random.default_rng(0))
    assert 0 <= found["value"].item() <= 1


# What is usually done


@pytest.mark.parametrize("change", [lambda x: x + 10, lambda x: x * 100], ids=["shift", "scale"])
def test_the_printed_psi_does_not_see(change):
    a, b = (pd.Series(np.random.default_rng(s).normal(size=500)) for s in (1, 2))
    assert naive_psi(a, change(b)) == pytest.approx(naive_psi(a, b), abs=1e-9)
    assert psi(a, change(b)) > 0.2


def test_the_printed_psi_is_no_number_with_an_empty_bin():
    a, b = (pd.Series(np.random.default_rng(s).lognormal(3, 1, 500)) for s in (1, 2))
    assert not math.isfinite(naive_psi(a, b))


def test_the_printed_test_drops_a_burst_of_nulls():
    burst = frame(1)
    burst.loc[:299, "amount"] = np.nan
    assert not naive_ks(frame(), burst, features=["amount"])["failed"].any()
    assert ("missing", "amount") in failures(shifts(frame(), burst))


def test_of_three_features_any_one_retrains():
    found = pd.DataFrame({"failed": [False, True, False]})
    assert naive_should_retrain(found)


# Day after day


def test_level_for_is_alarms_over_checks():
    assert level_for(1.0, checks=30) == pytest.approx(1 / 30)
    with pytest.raises(ValueError, match="expected more than 0 and fewer than 2 checks"):
        level_for(2.0, checks=2)


def test_daily_means_have_a_place_for_empty_days_and_take_rows_in_any_order():
    at = pd.to_datetime(["2025-01-03 23:30", "2025-01-01 00:00", "2025-01-01 00:00"]).tz_localize(
        "UTC"
    )
    table = pd.DataFrame({"at": at, "x": [5.0, 1.0, 2.0]})
    means = daily(table, "x", time="at")
    np.testing.assert_array_equal(means, [1.5, np.nan, 5.0])
    assert daily(table, "x", time="at", what="rows").tolist() == [2, 0, 1]


def test_a_day_is_that_of_utc():
    at = pd.to_datetime(["2025-01-01 02:00"]).tz_localize("Asia/Kolkata")
    found = daily(pd.DataFrame({"at": at, "x": [1.0]}), "x", time="at")
    assert found.index[0] == pd.Timestamp("2024-12-31", tz="UTC")


def test_daily_share_of_missing_values():
    table = pd.DataFrame({"at": DAYS[:4], "x": [1.0, None, None, None]})
    assert daily(table, "x", time="at", what="missing").tolist() == [0.75]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"at": DAYS[:2].tz_localize(None)}, ValueError, "at: has no time zone"),
        ({"at": ["a", "b"]}, TypeError, "at: expected times, came"),
        ({"at": [DAYS[0], pd.NaT]}, ValueError, "at: 1 rows have no time"),
        ({"x": ["1", "2"]}, TypeError, "x: expected numbers, came"),
        ({"x": None}, TypeError, "x: expected numbers, came object"),
    ],
)
def test_daily_refuses(columns, error, message):
    table = pd.DataFrame({"at": DAYS[:2], "x": [1.0, 2.0], **columns})
    with pytest.raises(error, match=message):
        daily(table, "x", time="at")


def test_cusum_by_hand():
    found = cusum(pd.Series([1.0, 2.0, 0.0, -3.0, -3.0]), target=0.0, slack=1.0, limit=3.5)
    assert found["up"].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert found["down"].tolist() == [0.0, 0.0, 0.0, 2.0, 4.0]
    assert found["failed"].tolist() == [False] * 4 + [True]


def test_cusum_starts_anew_after_an_alarm():
    found = cusum(pd.Series([2.0] * 6), target=0.0, slack=0.0, limit=5.0)
    assert found["failed"].tolist() == [False, False, True] * 2


def test_cusum_fails_a_day_that_was_not_measured():
    found = cusum(pd.Series([2.0, np.nan, 2.0, np.inf]), target=0.0, slack=0.0, limit=5.0)
    assert found["failed"].tolist() == [False, True, False, True]
    assert found["up"].tolist() == [2.0, 2.0, 4.0, np.inf]


def test_cusum_sees_a_small_lasting_move_that_no_single_day_shows():
    quiet = pd.Series(np.random.default_rng(0).normal(size=90))
    limit = cusum_limit(quiet, slack=0.4, rng=np.random.default_rng(0))
    moved = pd.Series(np.random.default_rng(1).normal(0.8, size=30))
    one_day = quiet.quantile(1 - level_for(1.0) / 2)
    seen = cusum(moved, target=float(quiet.mean()), slack=0.4, limit=limit)["failed"].idxmax()
    assert 0 < seen < 20
    assert (moved > one_day + 1).sum() <= 3


@pytest.mark.parametrize("alarms", [0.2, 1.0])
def test_cusum_keeps_to_its_budget_of_false_alarms(alarms):
    counts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        quiet = pd.Series(rng.standard_t(5, size=90))
        limit = cusum_limit(quiet, rng=rng, slack=0.3, alarms=alarms, rounds=300)
        for _ in range(5):
            month = pd.Series(rng.standard_t(5, size=30))
            found = cusum(month, target=float(quiet.mean()), slack=0.3, limit=limit)
            counts.append(found["failed"].sum())
    assert 0.3 * alarms <= np.mean(counts) <= 1.35 * alarms


def test_a_smaller_budget_has_a_larger_limit():
    quiet = pd.Series(np.random.default_rng(0).normal(size=60))
    few, many = (
        cusum_limit(quiet, rng=np.random.default_rng(0), slack=0.2, alarms=a) for a in (0.1, 2.0)
    )
    assert few > many > 0


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([1.0, 2.0], TypeError, "expected a column of numbers, came list"),
        (pd.Series(["a"]), TypeError, "expected a column of numbers, came"),
        (pd.Series([], dtype=float), ValueError, "expected one value per day, came none"),
        (pd.Series([1.0, 2.0], index=[1, 1]), ValueError, "came 1 repeats; group by the day"),
        (pd.Series([1.0, 2.0], index=[2, 1]), ValueError, "in order, came 0 repeats; use sort"),
    ],
)
def test_cusum_refuses(values, error, message):
    with pytest.raises(error, match=message):
        cusum(values, target=0.0, slack=0.0, limit=1.0)


@pytest.mark.parametrize(
    "values",
    [[1.0] * 30, [1.0, 2.0], [np.nan, 1.0] * 20, [np.inf, 1.0] * 20],
    ids=["constant", "short", "nan", "infinite"],
)
def test_cusum_limit_needs_quiet_days_that_vary(values):
    with pytest.raises(
        ValueError, match="quiet: expected 14 finite daily values or more that vary"
    ):
        cusum_limit(pd.Series(values), rng=np.random.default_rng(0), slack=0.1)


def test_cusum_limit_refuses_a_block_longer_than_its_series():
    with pytest.raises(ValueError, match="block = 31: expected at most the 30 days"):
        values = pd.Series(np.arange(30.0))
        cusum_limit(values, rng=np.random.default_rng(0), slack=0.1, block=31)


def test_a_target_must_be_a_number():
    with pytest.raises(ValueError, match="target = nan: expected a finite number"):
        cusum(pd.Series([1.0]), target=math.nan, slack=0.0, limit=1.0)


# Matured labels

NOW = pd.Timestamp("2025-02-01", tz="UTC")


def decisions(right=0.9, n=400, seed=0, **columns):
    rng = np.random.default_rng(seed)
    ts = DAYS[0] + pd.to_timedelta(rng.integers(0, 50, n), unit="D")
    label = rng.random(n) < 0.2
    return pd.DataFrame(
        {
            "ts": ts,
            "label_known_ts": ts + pd.Timedelta(days=10),
            "label": label,
            "decision": np.where(rng.random(n) < right, label, ~label),
            "user": np.arange(n) // 20,
            **columns,
        }
    )


def test_only_labels_known_by_now_count():
    table = decisions()
    known = table[table["label_known_ts"] <= NOW]
    found = performance_finding(table, now=NOW, expected=0.9).iloc[0]
    assert found["n"] == len(known) < len(table)
    assert found["measured"] == pytest.approx((known["decision"] == known["label"]).mean())
    assert (found["low"], found["high"]) == pytest.approx(
        share_interval(int(found["measured"] * found["n"] + 0.5), int(found["n"]))
    )
    assert found["matured"] == pytest.approx(len(known) / (table["ts"] <= NOW).sum())


@pytest.mark.parametrize(("right", "failed"), [(0.9, False), (0.6, True)])
def test_a_loss_beyond_tolerance_and_chance_fails(right, failed):
    assert performance_finding(decisions(right), now=NOW, expected=0.9)["failed"].item() == failed


def test_recall_sees_what_the_share_of_right_decisions_hides():
    rng = np.random.default_rng(0)
    label = rng.random(400) < 0.05
    lazy = decisions(label=label, decision=False)
    assert not performance_finding(lazy, now=NOW, expected=0.95)["failed"].item()
    assert performance_finding(lazy, now=NOW, expected=0.6, metric="recall")["failed"].item()


def test_rows_of_one_user_widen_the_interval():
    table = decisions()
    table["decision"] = np.where(table["user"] % 5 == 0, ~table["label"], table["label"])
    free, by_user = (
        performance_finding(table, now=NOW, expected=0.9, **o).iloc[0]
        for o in ({}, {"entity": "user"})
    )
    assert by_user["high"] - by_user["low"] > 1.5 * (free["high"] - free["low"])


def test_decisions_before_since_do_not_count():
    since = DAYS[0] + pd.Timedelta(days=15)
    found = performance_finding(decisions(), now=NOW, expected=0.9, since=since).iloc[0]
    assert found["n"] < performance_finding(decisions(), now=NOW, expected=0.9)["n"].item()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    {
        "too early": (
            lambda: performance_finding(decisions(), now=DAYS[1], expected=0.9),
            ValueError,
            "no label is known by",
        ),
        "text": (
            lambda: performance_finding(decisions(), now="2025-01-20", expected=0.9),
            ValueError,
            "now = '2025-01-20': expected a pandas Timestamp with a zone",
        ),
        "naive": (
            lambda: performance_finding(decisions(), now=NOW.tz_localize(None), expected=0.9),
            ValueError,
            "expected a pandas Timestamp with a zone",
        ),
        "labels": (
            lambda: performance_finding(decisions(label=3), now=NOW, expected=0.9),
            ValueError,
            "decisions.label: expected 0 and 1 or bool, came 3",
        ),
        "decisions": (
            lambda: performance_finding(decisions(decision="yes"), now=NOW, expected=0.9),
            ValueError,
            "decisions.decision: expected 0 and 1",
        ),
        "nobody": (
            lambda: performance_finding(
                decisions(decision=0), now=NOW, expected=0.9, metric="precision"
            ),
            ValueError,
            "precision: no decision counts",
        ),
        "column": (
            lambda: performance_finding(decisions().drop(columns="label"), now=NOW, expected=0.9),
            KeyError,
            "decisions lacks 'label'",
        ),
        "metric": (
            lambda: performance_finding(decisions(), now=NOW, expected=0.9, metric="accuracy"),
            ValueError,
            "metric = 'accuracy': expected one of",
        ),
    }.values(),
)
def test_matured_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Figures


def test_curves_leave_out_what_is_infinite():
    lines = {"printed": ("broken", [0.1, np.inf, 0.3])}
    ax = pictures.curves([1, 2, 3], lines, xlabel="x", ylabel="PSI")
    assert ax.lines[0].get_xdata().tolist() == [1, 3]
    assert [text.get_text() for text in ax.texts] == ["printed"]


@pytest.mark.parametrize(
    ("level", "title"),
    [(0.0, "The sum never alarms"), (1.0, "The sum alarms 2 days after the change")],
)
def test_the_title_of_the_sums_counts_days(level, title):
    days = pd.date_range("2025-01-01", periods=10, freq="D", tz="UTC")
    values = pd.Series(np.where(np.arange(10) < 5, 0.0, level), index=days)
    found = cusum(values, target=0.0, slack=0.0, limit=2.5)
    ax = pictures.sums(values, found, begin=days[5], day_limit=2.0)
    assert title in ax.get_title() + ax.get_title(loc="left")
