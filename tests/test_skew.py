"""Training-serving skew: what each kind does, who sees it, what heals it, and parity by hand."""

import numpy as np
import pandas as pd
import pytest

from mlkit import model, skew
from mlkit.params import stream
from mlkit.tables import content_hash, without_truth

SEEDS = [101, 202]  # not the seed of params.yaml
LOUD = [kind for kind, about in skew.KINDS.items() if about.loud]
DAY = pd.Timedelta(days=1)
COLUMNS = ["check", "subject", "value", "limit", "failed"]


def inject(world, kind, seed=1, **options):
    """Return the world with a fault, drawn by its own stream."""
    return skew.inject(world, rng=stream(seed, "skew", "inject"), kind=kind, **options)


def failed(findings):
    """Return the subjects of the findings that failed."""
    return set(findings["subject"][findings["failed"]])


# --- every kind, in shops of the default size -----------------------------------------------------


@pytest.fixture(scope="module", params=SEEDS, ids="seed{}".format)
def clean(request, params):
    """Return a shop of the default size on a seed that params.yaml does not use."""
    rng = stream(request.param, "shop", "make")
    return model.make_world("shop", rng=rng, **params["worlds"]["shop"])


@pytest.fixture(scope="module")
def clean_score(clean):
    """Return the scores of the healthy shop."""
    return skew.score(clean)


@pytest.fixture(scope="module", params=skew.KINDS)
def kind(request):
    """Return the name of a kind of skew."""
    return request.param


@pytest.fixture(scope="module")
def faulty(clean, kind):
    """Return the shop with the fault at its full strength."""
    return inject(clean, kind)


@pytest.fixture(scope="module")
def faulty_score(faulty):
    """Return the scores of the broken shop."""
    return skew.score(faulty)


@pytest.fixture(scope="module")
def fixed(faulty):
    """Return the shop after the repair."""
    return skew.repair(faulty)


def test_kind_harms_as_declared(clean_score, faulty_score, kind):
    lost = clean_score["production"] - faulty_score["production"]
    if skew.KINDS[kind].harm == "yes":
        assert lost >= 0.02
    if skew.KINDS[kind].harm == "no":
        assert abs(lost) < 0.01


def test_offline_score_does_not_see_the_serving_path(clean_score, faulty_score, kind):
    if kind != "rewrite":  # which thins the training rows as well
        assert faulty_score["offline"] == clean_score["offline"]


def test_repair_restores_production(clean_score, fixed):
    assert abs(skew.score(fixed)["production"] - clean_score["production"]) < 0.01


def test_parity_finds_every_kind(clean, faulty):
    assert skew.detect(clean, faulty)["failed"].any()


def test_averages_find_exactly_the_loud_kinds(clean, faulty, kind):
    assert skew.naive_detect(clean, faulty)["failed"].any() == skew.KINDS[kind].loud


def test_after_repair_both_checks_are_silent(clean, fixed):
    assert not failed(skew.detect(clean, fixed)) | failed(skew.naive_detect(clean, fixed))


def test_healthy_shop_is_silent(clean):
    assert not failed(skew.detect(clean, clean)) | failed(skew.naive_detect(clean, clean))


def test_honest_score_is_near_production(clean_score):
    assert abs(clean_score["honest"] - clean_score["production"]) < 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_where_nobody_changes_the_window_does_no_harm(params, seed):
    knobs = params["worlds"]["shop"] | params["presets"]["shop"][skew.HARMLESS]
    world = model.make_world("shop", rng=stream(seed, "shop", "make"), **knobs)
    gained = skew.score(inject(world, "window"))["production"] - skew.score(world)["production"]
    assert gained >= 0


# --- inject ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", skew.KINDS)
def test_fault_changes_what_was_served_and_nothing_of_the_warehouse(shop, kind):
    broken = inject(shop, kind)
    changed = {n for n in shop if content_hash({n: broken[n]}) != content_hash({n: shop[n]})}
    assert changed - {"decisions"} == {"served"} | ({"training"} if kind == "rewrite" else set())


@pytest.mark.parametrize("kind", skew.KINDS)
def test_keys_of_what_was_served_stay(shop, kind):
    keys = ["offer_id", "user_id", "prediction_ts"]
    pd.testing.assert_frame_equal(inject(shop, kind)["served"][keys], shop["served"][keys])


@pytest.mark.parametrize("kind", skew.KINDS)
def test_faulty_share_grows_with_severity(shop, kind):
    shares = [skew.detect(shop, inject(shop, kind, severity=s))["value"].max() for s in (0, 0.4, 1)]
    assert shares == sorted(shares)
    assert shares[0] == 0 < shares[1] < shares[2]


def test_severity_is_the_share_of_offers_on_the_faulty_path(shop):
    table = skew.detect(shop, inject(shop, "renamed_column", severity=0.3)).set_index("subject")
    assert table.loc["avg_amount", "value"] == pytest.approx(0.3, abs=0.03)


def test_same_stream_hits_the_same_offers(shop, broken, params):
    again = inject(shop, seed=params["seed"], **params["skew"]["inject"])
    assert content_hash(again) == content_hash(broken)


@pytest.mark.parametrize("start_day", [0, 100, 200])
def test_start_of_the_fault_is_the_first_disagreement(shop, start_day):
    table = skew.detect(shop, inject(shop, "unit", start_day=start_day)).set_index("subject")
    begins = shop["served"]["prediction_ts"].min() + start_day * DAY
    assert begins <= table.loc["avg_amount", "first"] < begins + DAY


def test_fault_that_starts_after_the_end_never_shows(shop):
    assert content_hash(inject(shop, "unit", start_day=1000)) == content_hash(shop)


SIZES = {  # kind, option, a size at which nothing happens
    "rounding": ("step_usd", 1e-9),
    "unit": ("factor", 1.0),
    "time_zone": ("hours", 0.0),
    "stale_cache": ("days", 0),
}


@pytest.mark.parametrize(("kind", "size"), SIZES.items(), ids=SIZES)
def test_size_of_a_fault_has_a_zero(shop, kind, size):
    option, zero = size
    assert not failed(skew.detect(shop, inject(shop, kind, **{option: zero})))


# What each kind does, checked on rows that can be worked out from the healthy ones.


def test_zero_for_missing_touches_the_idle_only(shop):
    healthy, served = shop["served"], inject(shop, "zero_for_missing")["served"]
    idle = healthy["purchases_30d"] == 0
    assert (served.loc[idle, "avg_amount"] == 0).all()
    pd.testing.assert_frame_equal(served[~idle], healthy[~idle])


def test_window_of_very_many_rows_is_the_lifetime_average(shop):
    buys = shop["transactions"]
    served = inject(shop, "window", rows=10**6)["served"]
    last = served.sort_values("prediction_ts").groupby("user_id").tail(1).set_index("user_id")
    both = buys.merge(last["prediction_ts"], left_on="user_id", right_index=True)
    known = both[
        (both["event_ts"] < both["prediction_ts"]) & (both["ingest_ts"] <= both["prediction_ts"])
    ]
    lifetime = known.groupby("user_id")["amount_usd"].mean().reindex(last.index)
    np.testing.assert_allclose(last["avg_amount"], lifetime, rtol=1e-9)


def test_rewrite_loses_the_training_rows_of_the_idle(shop):
    assert (inject(shop, "rewrite")["training"]["purchases_30d"] > 0).all()


def test_rewrite_at_half_its_strength_loses_half_of_them(shop):
    idle = (shop["training"]["purchases_30d"] == 0).sum()
    lost = len(shop["training"]) - len(inject(shop, "rewrite", severity=0.5)["training"])
    assert lost == pytest.approx(idle / 2, rel=0.15)


def test_other_source_counts_fewer_purchases(shop):
    served = inject(shop, "other_source")["served"]
    share = served["total_purchases"].sum() / shop["served"]["total_purchases"].sum()
    assert share == pytest.approx(2 / 3, abs=0.05)  # one channel of three


def test_stale_cache_serves_the_past(shop):
    served = inject(shop, "stale_cache", days=7)["served"]
    assert (served["total_purchases"] <= shop["served"]["total_purchases"]).all()


def test_category_codes_are_those_of_sorted_names(shop):
    names = list(shop["transactions"]["category"].cat.categories)
    healthy, served = shop["served"]["last_category"], inject(shop, "category_codes")["served"]
    known = healthy.notna()
    meant = [names[int(code)] for code in healthy[known]]
    assert meant == [sorted(names)[int(code)] for code in served.loc[known, "last_category"]]


def test_unit_is_a_factor(shop):
    served = inject(shop, "unit", factor=100.0)["served"]
    np.testing.assert_allclose(served["avg_amount"], 100 * shop["served"]["avg_amount"])
    np.testing.assert_allclose(served["amount_variance"], 1e4 * shop["served"]["amount_variance"])


# --- detect, repair -------------------------------------------------------------------------------


def test_detect_names_the_feature_at_fault(shop, broken):
    assert failed(skew.detect(shop, broken)) == {"avg_amount"}


def test_detect_counts_offers_that_were_never_served(shop):
    lost = {**shop, "served": shop["served"].iloc[::2]}
    coverage = skew.detect(shop, lost).set_index("check").loc["coverage"]
    assert coverage["failed"]
    assert coverage["value"] == pytest.approx(0.5, abs=0.01)


def test_detect_takes_a_training_row_that_is_gone_for_missing_values(shop):
    broken = inject(shop, "rewrite")
    table = skew.detect(shop, broken).set_index("subject")
    gone = 1 - len(broken["training"]) / len(shop["training"])
    assert table.loc["purchases_30d", "missing"] == pytest.approx(gone)


def test_limits_of_detect_are_inclusive(shop, broken):
    share = skew.detect(shop, broken)["value"].max()
    assert not failed(skew.detect(shop, broken, max_share=share))
    assert failed(skew.detect(shop, broken, max_share=share - 1e-6))


def test_wide_tolerance_sees_nothing(shop):
    assert not failed(skew.detect(shop, inject(shop, "rounding"), rtol=10.0))


def test_average_of_zero_on_both_sides_is_no_gap(shop):
    flat = {**shop, "served": shop["served"].assign(amount_variance=0.0)}
    flat["training"] = flat["served"]
    assert not failed(skew.naive_detect(flat, flat))


def test_average_that_leaves_zero_is_found(shop):
    flat = {**shop, "training": shop["training"].assign(amount_variance=0.0)}
    assert failed(skew.naive_detect(flat, shop)) == {"amount_variance"}


def test_log_and_train_leaves_no_skew(shop, broken):
    fixed = skew.repair(broken, how="log_and_train")
    assert not failed(skew.detect(shop, fixed))
    pd.testing.assert_frame_equal(fixed["training"], broken["served"])


def test_log_and_train_cannot_learn_what_was_never_served(shop):
    broken = inject(shop, "renamed_column")
    logged = skew.score(skew.repair(broken, how="log_and_train"))["production"]
    assert skew.score(broken)["production"] < logged < skew.score(shop)["production"] - 0.02


@pytest.mark.parametrize("how", ["one_definition", "log_and_train"])
def test_repair_leaves_its_input_alone(broken, how):
    before = content_hash(broken)
    skew.repair(broken, how=how)
    assert content_hash(broken) == before


def test_nothing_but_score_looks_at_the_truth(shop, broken):
    blind_shop, blind_broken = without_truth(shop), without_truth(broken)
    pd.testing.assert_frame_equal(skew.detect(blind_shop, blind_broken), skew.detect(shop, broken))
    pd.testing.assert_frame_equal(
        skew.naive_detect(blind_shop, blind_broken), skew.naive_detect(shop, broken)
    )
    repaired, seen = skew.repair(blind_broken), without_truth(skew.repair(broken))
    assert content_hash(repaired) == content_hash(seen)
    assert content_hash(inject(blind_shop, "window")) == content_hash(
        without_truth(inject(shop, "window"))
    )


# --- what is refused ------------------------------------------------------------------------------


def lacking(world, table, column=None):
    """Return the world without a table or a column of it."""
    rest = {name: frame for name, frame in world.items() if name != table}
    return rest if column is None else {**rest, table: world[table].drop(columns=column)}


REFUSED = {
    "inject: no served": (
        lambda w: inject(lacking(w, "served"), "unit"),
        KeyError,
        "lacks 'served'",
    ),
    "inject: no time": (
        lambda w: inject(lacking(w, "served", "prediction_ts"), "unit"),
        KeyError,
        "served lacks 'prediction_ts'",
    ),
    "inject: empty": (
        lambda w: inject({**w, "served": w["served"].iloc[:0]}, "unit"),
        ValueError,
        "served: expected at least one row",
    ),
    "inject: kind": (lambda w: inject(w, "windw"), ValueError, "'windw': .*did you mean 'window'"),
    "inject: severity": (
        lambda w: inject(w, "unit", severity=2),
        ValueError,
        "severity = 2: .*<= 1",
    ),
    "inject: NaN": (
        lambda w: inject(w, "unit", factor=float("nan")),
        ValueError,
        "factor = nan: .*> 0",
    ),
    "inject: option": (
        lambda w: inject(w, "unit", severty=1),
        TypeError,
        "did you mean 'severity'",
    ),
    "inject: rng": (lambda w: skew.inject(w, rng=7), TypeError, "rng = 7: expected a numpy Gen"),
    "naive: no training": (
        lambda w: skew.naive_detect(lacking(w, "training"), w),
        KeyError,
        "lacks 'training'",
    ),
    "naive: no feature": (
        lambda w: skew.naive_detect(w, lacking(w, "served", "avg_amount")),
        KeyError,
        "served lacks 'avg_amount'",
    ),
    "naive: limit": (
        lambda w: skew.naive_detect(w, w, max_gap=-1),
        ValueError,
        "max_gap = -1: .*>= 0",
    ),
    "detect: no offers": (
        lambda w: skew.detect(lacking(w, "offers"), w),
        KeyError,
        "lacks 'offers'",
    ),
    "detect: no id": (
        lambda w: skew.detect(w, lacking(w, "training", "offer_id")),
        KeyError,
        "training lacks 'offer_id'",
    ),
    "detect: no feature": (
        lambda w: skew.detect(w, lacking(w, "served", "avg_amount")),
        KeyError,
        "served lacks 'avg_amount'",
    ),
    "detect: repeats": (
        lambda w: skew.detect(w, {**w, "served": pd.concat([w["served"], w["served"]])}),
        ValueError,
        "served: expected one row per offer_id",
    ),
    "detect: no tables": (
        lambda w: skew.detect(w, w["served"]),
        TypeError,
        "expected a dict of Data",
    ),
    "repair: how": (
        lambda w: skew.repair(w, how="log"),
        ValueError,
        "how = 'log': expected one of 'one_def",
    ),
    "repair: no served": (lambda w: skew.repair(lacking(w, "served")), KeyError, "lacks 'served'"),
    "score: no truth": (lambda w: skew.score(without_truth(w)), KeyError, "lacks 'truth_offers'"),
}


@pytest.mark.parametrize(("act", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_named(shop, act, error, says):
    with pytest.raises(error, match=says):
        act(shop)


# --- parity on anybody's tables, by hand ----------------------------------------------------------

TIMES = pd.Series(pd.date_range("2025-01-01", periods=6, tz="UTC"))
SERVED = pd.DataFrame({"id": range(6), "x": [10.0, 10.1, 12.0, np.nan, np.nan, 40.0], "ts": TIMES})
TRUTH = pd.DataFrame({"id": range(6), "x": [10.0, 10.0, 10.0, 10.0, np.nan, 20.0]})


def pairs(served, recomputed, keys=(1, 2, 3, 4), **options):
    """Return the parity of two columns of values on the same keys, its row of the feature."""
    frames = [pd.DataFrame({"id": keys, "x": values}) for values in (served, recomputed)]
    return skew.parity(*frames, on=["id"], features=["x"], **options).iloc[1]


def test_parity_of_six_hand_checked_rows():
    """Equal; 1 % off, which is allowed; 20 % off; missing on one side; on both; 100 % off."""
    row = skew.parity(SERVED, TRUTH, on=["id"], features=["x"], time="ts").iloc[1]
    assert row.to_dict() == {
        "check": "parity",
        "subject": "x",
        "value": 0.5,
        "limit": 0.01,
        "failed": True,
        "pairs": 6,
        "gap": pytest.approx(0.6),
        "missing": pytest.approx(1 / 6),
        "first": TIMES[2],
    }


def test_parity_begins_with_the_columns_of_every_check():
    table = skew.parity(SERVED, TRUTH, on=["id"], features=["x"])
    assert list(table) == [*COLUMNS, "pairs", "gap", "missing", "first"]
    assert table["check"].tolist() == ["coverage", "parity"]


def test_coverage_is_the_share_of_keys_on_one_side_only():
    table = skew.parity(SERVED.iloc[:4], TRUTH.iloc[2:], on=["id"], features=["x"])
    assert table.loc[0, "value"] == pytest.approx(4 / 6)
    assert table["pairs"].tolist() == [2, 2]


def test_order_of_rows_and_other_columns_do_not_matter():
    mixed = TRUTH.iloc[::-1].assign(ts=0, other="z")
    expected = skew.parity(SERVED, TRUTH, on=["id"], features=["x"], time="ts")
    got = skew.parity(SERVED.assign(other=1), mixed, on=["id"], features=["x"], time="ts")
    pd.testing.assert_frame_equal(got, expected)


def test_parity_leaves_its_inputs_alone():
    served, truth = SERVED.copy(), TRUTH.copy()
    skew.parity(served, truth, on=["id"], features=["x"], time="ts")
    pd.testing.assert_frame_equal(served, SERVED)
    pd.testing.assert_frame_equal(truth, TRUTH)


INF = np.inf
TEXT_GAPS = (["a", "b", None, None], ["a", "c", None, "d"])
VALUES = {  # what was served, what is recomputed, the share of pairs that disagree
    "integers for floats": ([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], 0),
    "nullable integers": (pd.array([1, None, 3, 4], dtype="Int64"), [1.0, 2.0, 3.0, 4.0], 0.25),
    "missing everywhere": ([np.nan] * 4, [np.nan] * 4, 0),
    "missing on one side": ([np.nan] * 4, [1.0] * 4, 1),
    "infinity is itself only": ([INF, -INF, INF, 1.0], [INF, INF, 1.0, INF], 0.75),
    "zero for zero": ([0.0, -0.0, 1e-13, 0.1], [0.0] * 4, 0.25),
    "large integers": ([2**53, 2, 3, 4], [2**53, 2, 3, 5], 0.25),
    "flags": ([True, False, True, True], [True, True, True, True], 0.25),
    "text": (*TEXT_GAPS, 0.5),
    "categories for text": (pd.Categorical(list("abca")), list("abcd"), 0.25),
    "categories in another order": (
        pd.Categorical(list("abab"), ["a", "b"]), pd.Categorical(list("abab"), ["b", "a"]), 0
    ),
    "times": (TIMES[:4], TIMES[:4] + pd.to_timedelta([0, 0, 1, 1], unit="s"), 0.5),
}  # fmt: skip


@pytest.mark.parametrize(("served", "recomputed", "share"), VALUES.values(), ids=VALUES)
def test_parity_of_values(served, recomputed, share):
    row = pairs(served, recomputed)
    assert row["value"] == share
    assert row["failed"] == (share > 0)


def test_one_row_is_enough():
    assert pairs([1.0], [1.0], keys=[1])["value"] == 0


def test_keys_of_several_columns_are_joined_together():
    served = pd.DataFrame({"user": [1, 1], "ts": TIMES[:2], "x": [1.0, 2.0]})
    table = skew.parity(served, served.iloc[::-1], on=["user", "ts"], features=["x"])
    assert not table["failed"].any()
    assert table.loc[0, "subject"] == "user, ts"


MIXED = TIMES.astype(object).copy()
MIXED.iloc[0] = MIXED.iloc[0].tz_convert("Asia/Tokyo")
SAME_KEYS = {
    "another zone": (TIMES, TIMES.dt.tz_convert("Asia/Tokyo")),
    "mixed zones": (TIMES, MIXED),
    "coarser times": (TIMES, TIMES.astype("datetime64[s, UTC]")),
    "smaller integers": (range(6), np.arange(6, dtype="int8")),
    "nullable integers": (range(6), pd.array(range(6), dtype="Int64")),
    "categories": (list("abcdef"), pd.Categorical(list("abcdef"), list("fedcba"))),
    "a missing key": (["a", None, *"cdef"], ["a", None, *"cdef"]),
}
OTHER_KEYS = {
    "time without zone": (TIMES, TIMES.dt.tz_localize(None)),
    "text for numbers": (range(6), list("012345")),
    "other ids": (range(6), range(10, 16)),
}


def by_key(served, recomputed, on):
    """Return the parity of equal values under two forms of the same key."""
    frames = [pd.DataFrame({"a": k, "b": range(6), "x": 1.0}) for k in (served, recomputed)]
    return skew.parity(*frames, on=on, features=["x"])


@pytest.mark.parametrize("on", [["a"], ["a", "b"]], ids=["one column", "two columns"])
@pytest.mark.parametrize(("served", "recomputed"), SAME_KEYS.values(), ids=SAME_KEYS)
def test_key_is_the_same_in_any_form(served, recomputed, on):
    table = by_key(served, recomputed, on)
    assert table["value"].tolist() == [0, 0]
    assert table["pairs"].tolist() == [6, 6]


@pytest.mark.parametrize("on", [["a"], ["a", "b"]], ids=["one column", "two columns"])
@pytest.mark.parametrize(("served", "recomputed"), OTHER_KEYS.values(), ids=OTHER_KEYS)
def test_key_without_a_match_shows_how_both_sides_begin(served, recomputed, on):
    with pytest.raises(ValueError, match=r"share no key \['a'.*one begins with {'a': .*same time"):
        by_key(served, recomputed, on)


BAD_PAIRS = {
    "missing feature": ({"features": ["y"]}, {}, KeyError, "served lacks 'y'; has .'id', 'x'"),
    "missing key": ({"on": ["key"]}, {}, KeyError, "served lacks 'key'"),
    "missing time": ({"time": "when"}, {}, KeyError, "served lacks 'when'"),
    "renamed on the other side": (
        {}, {"recomputed": TRUTH.rename(columns={"x": "xx"})}, KeyError,
        r"recomputed lacks 'x'.*Closest: \['xx'\]",
    ),
    "empty": ({}, {"served": SERVED.iloc[:0]}, ValueError, "served: expected at least one row"),
    "repeats": (
        {}, {"recomputed": pd.concat([TRUTH, TRUTH])}, ValueError,
        "recomputed: expected one row per id; 6 rows are repeats",
    ),
    "text for numbers": (
        {}, {"recomputed": TRUTH.assign(x="1")}, TypeError, "x: served is float64, recomputed is"
    ),
    "no key": ({"on": []}, {}, ValueError, "expected a column or more in each"),
    "no feature": ({"features": []}, {}, ValueError, "expected a column or more in each"),
    "key as feature": ({"features": ["id"]}, {}, ValueError, "none in both"),
    "one name for a list": ({"on": "id"}, {}, ValueError, "on = 'id': expected a list"),
    "share above 1": ({"max_share": 2}, {}, ValueError, "max_share = 2: expected .* <= 1"),
    "NaN tolerance": ({"rtol": np.nan}, {}, ValueError, "rtol = nan: expected a number >= 0"),
    "no frame": ({}, {"served": [1]}, TypeError, "served: expected a DataFrame, came list"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "frames", "error", "says"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_parity_names_what_is_wrong(options, frames, error, says):
    frames = {"served": SERVED, "recomputed": TRUTH, **frames}
    with pytest.raises(error, match=says):
        skew.parity(**frames, **{"on": ["id"], "features": ["x"], **options})
