"""Fairness: tables by group, gaps with intervals, repairs by mechanism, criteria that conflict."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from mlkit.compliance import criteria, fairness, repairs
from mlkit.model import make_world
from mlkit.params import load, stream
from mlkit.plots import fairness as figures
from mlkit.stats import share_interval

OF = {"label": "repaid", "decision": "granted", "group": "gender"}


@pytest.fixture(scope="module")
def lenders():
    params = load()
    knobs, presets = params["worlds"]["loans"], params["presets"]["loans"]
    return {
        name: make_world("loans", rng=stream(11, "loans"), **{**knobs, **presets[name]})
        for name in ("mapping", "noise", "label_bias", "even")
    }


@pytest.fixture(scope="module")
def results(lenders):
    names = ["mechanism", "repair"]
    tables = {name: fairness.compare(lenders[name]) for name in figures.MECHANISMS}
    return pd.concat(tables, names=names)


@pytest.fixture(scope="module")
def even(lenders):
    past, later = fairness.cases(lenders["even"])
    return later.assign(granted=repairs.granted(repairs.learn(past), later))


@pytest.fixture
def decisions():
    """Ten decisions: of six men one is judged wrongly, of four women two."""
    return pd.DataFrame(
        {
            "gender": list("MMMMMMFFFF"),
            "repaid": [1, 1, 1, 1, 0, 0, 1, 1, 0, 0],
            "granted": [1, 1, 1, 0, 0, 0, 1, 0, 1, 0],
        }
    )


# --- tables by group ------------------------------------------------------------------------------


def test_rates_and_intervals_of_each_group(decisions):
    table = fairness.by_group(decisions, **OF)
    men, women = table.loc["M"], table.loc["F"]
    rates = men[["accuracy", "base_rate", "selection_rate", "fpr", "fnr"]]
    assert list(rates) == pytest.approx([5 / 6, 4 / 6, 3 / 6, 0, 1 / 4])
    assert list(women[["n", "positives", "negatives", "fpr", "fnr"]]) == [4, 2, 2, 0.5, 0.5]
    assert (men["accuracy_low"], men["accuracy_high"]) == share_interval(5, 6)
    assert table.index[table["smallest"]].tolist() == ["F"]


def test_unknown_outcomes_count_for_selection_only(decisions):
    unknown = decisions.astype({"repaid": "Int64"})
    unknown.loc[[0, 9], "repaid"] = pd.NA
    before = decisions.copy()
    men = fairness.by_group(unknown, **OF).loc["M"]
    assert (men["n"], men["labelled"]) == (6, 5)
    assert men["selection_rate"] == 0.5
    assert men["accuracy"] == pytest.approx(4 / 5)
    pd.testing.assert_frame_equal(decisions, before)


def test_rows_without_a_group_are_a_group(decisions):
    decisions.loc[9, "gender"] = None
    assert fairness.by_group(decisions, **OF).loc[fairness.MISSING, "n"] == 1


def test_group_of_one_kind_has_rates_that_nobody_can_know(decisions):
    one = decisions[(decisions["gender"] == "M") | (decisions["repaid"] == 1)]
    women = fairness.by_group(one, **OF).loc["F"]
    assert np.isnan([women["fpr"], women["fpr_low"], women["fpr_high"]]).all()
    assert women["fnr"] == 0.5


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"repaid": 1}, ValueError, "repaid: expected outcomes of both kinds, came 10 labels"),
        ({"gender": "F"}, ValueError, r"gender: expected two groups or more, came \['F'\]"),
        ({"granted": 0.7}, TypeError, "granted: expected true and false or 1 and 0, came .0.7"),
        ({"granted": "yes"}, TypeError, "granted: expected true and false or 1 and 0, came"),
        ({"granted": None}, ValueError, "granted: 10 rows without a decision"),
    ],
)
def test_bad_columns_give_one_line(decisions, change, error, says):
    with pytest.raises(error, match=says):
        fairness.by_group(decisions.assign(**change), **OF)


def test_missing_attribute_is_named(decisions, lenders):
    with pytest.raises(KeyError, match="decisions lacks 'gender', the group"):
        fairness.by_group(decisions.drop(columns="gender"), **OF)
    without = {**lenders["even"], "users": lenders["even"]["users"].drop(columns="gender")}
    with pytest.raises(KeyError, match="users lacks 'gender'"):
        fairness.measured(without)


def test_group_without_rows_is_named(decisions):
    declared = pd.CategoricalDtype(["M", "F", "X"])
    with pytest.raises(ValueError, match=r"gender: no row of \['X'\]; find out where they are"):
        fairness.by_group(decisions.astype({"gender": declared}), **OF)


def test_gap_is_newcombes_published_example():
    # Newcombe 1998, table II: 56/70 and 48/80, method 10 gives 0.0524 to 0.3339
    groups = {"M": [56 / 70, *share_interval(56, 70)], "F": [48 / 80, *share_interval(48, 80)]}
    names = ["accuracy", "accuracy_low", "accuracy_high"]
    found = fairness.gap(pd.DataFrame.from_dict(groups, orient="index", columns=names), "accuracy")
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_gap_names_what_it_does_not_know(decisions):
    table = fairness.by_group(decisions, **OF)
    with pytest.raises(KeyError, match="'X': expected one of"):
        fairness.gap(table, "accuracy", between=("M", "X"))
    with pytest.raises(KeyError, match="'auc': expected one of"):
        fairness.gap(table, "auc")


def test_rows_needed_gives_the_half_width_asked_for():
    n = fairness.rows_needed(0.05, rate=0.85)
    low, high = share_interval(round(0.85 * n), n)
    assert (high - low) / 2 == pytest.approx(0.05, abs=0.001)


def test_intervals_by_person_are_wider_when_loans_are_copies(even):
    twice = pd.concat([even, even])
    plain = fairness.gap(fairness.by_group(twice, **OF), "accuracy")
    persons = fairness.gap_by_person(twice, draws=300, rng=stream(1))
    assert persons.gap == pytest.approx(plain.gap)
    assert (persons.high - persons.low) > 1.2 * (plain.high - plain.low)


def test_gaps_appear_by_chance_and_shrink(even):
    draws = fairness.chance_gaps(even, sizes=(150, 1200), draws=25, rng=stream(1))
    spread = draws.groupby("size")["gap"].std()
    assert spread[150] > 2 * spread[1200]
    assert draws["excludes_0"].mean() <= 0.1
    worse_for_men = even.assign(granted=even["granted"] ^ (even["gender"] == "M"))
    assert fairness.chance_gaps(worse_for_men, sizes=(300,), draws=2, rng=stream(1))[
        "excludes_0"
    ].all()
    with pytest.raises(ValueError, match=f"expected at most {len(even)}"):
        fairness.chance_gaps(even, sizes=(10_000,), draws=1, rng=stream(1))


# --- repairs --------------------------------------------------------------------------------------


def test_past_and_later_do_not_overlap_and_later_is_the_future(lenders):
    past, later = fairness.cases(lenders["noise"])
    asked = lenders["noise"]["applications"].set_index("application_id")
    known = asked.loc[past["application_id"], "label_known_ts"].max()
    assert known <= asked.loc[later["application_id"], "applied_ts"].min()
    assert not later.isna().any().any()


def test_gender_weights_equalise_mass_and_reweighing_makes_labels_independent(lenders):
    past, _ = fairness.cases(lenders["label_bias"])
    mass = pd.Series(repairs.gender_weights(past)).groupby(past["gender"].astype(str)).sum()
    assert mass["F"] == pytest.approx(mass["M"])
    weighted = past.assign(w=repairs.reweighing(past))
    total = weighted.groupby(["gender", "repaid"], observed=True)["w"].sum().unstack()
    share = total[True] / total.sum(axis=1)
    assert share["F"] == pytest.approx(share["M"])
    plain = past.groupby("gender", observed=True)["repaid"].mean()
    assert abs(plain["F"] - plain["M"]) > 0.05


def test_payments_tell_the_default(lenders):
    world = lenders["label_bias"]
    told = repairs.defaulted_by_payments(world["payments"])
    truth = world["truth_applications"].set_index("application_id")["defaulted"]
    _, later = fairness.cases(world)
    ids = later["application_id"]
    assert (told.loc[ids] == truth.loc[ids]).all()
    assert (repairs.relabelled(later, world["payments"])["repaid"] != later["repaid"]).any()


def test_late_payments_count_only_in_a_row():
    at = pd.date_range("2025-01-01", periods=5, freq="30D", tz="UTC")
    late = {1: [1, 1, 0, 1, 0], 2: [0, 1, 1, 1, 0]}
    months = [pd.DataFrame({"application_id": k, "due_ts": at, "late": v}) for k, v in late.items()]
    payments = pd.concat(months)[::-1].astype({"late": bool})
    assert repairs.defaulted_by_payments(payments).to_dict() == {1: False, 2: True}


def test_each_mechanism_has_one_repair(results):
    assert figures.helpful(results) == [
        ("mapping", "own model"),
        ("noise", "measure again"),
        ("label_bias", "audit the labels"),
    ]


def test_weights_by_gender_move_mapping_and_those_of_kamiran_and_calders_do_not(results):
    gap = results.loc["mapping"]["gap"]
    assert abs(gap["weights by gender"]) < 0.5 * gap["none"] < gap["Kamiran & Calders"]


def test_even_lender_has_nothing_to_repair(lenders):
    assert abs(fairness.measured(lenders["even"])["gap"]) < 0.02


def test_blind_model_serves_women_truly_well_and_the_aware_one_learns_the_bias(results):
    biased = results.loc["label_bias"]
    assert biased.loc["none", "gap"] > 0.08 > 0.03 > abs(biased.loc["none", "truth_gap"])
    assert biased.loc["gender as a feature", "denied_gap"] > 0.1
    assert biased.loc["gender as a feature", "ratio"] < 0.85


def test_levelling_down_lowers_men(results):
    lost = results.loc["noise"]["truth_men"] - results.loc[("noise", "none"), "truth_men"]
    assert lost["own thresholds"] < -0.05
    assert lost["equal error rates"] < -0.05
    assert lost["measure again"] > -0.01


def test_four_fifths_passes_over_denied_good_women(results):
    plain = results.loc[("noise", "none")]
    assert plain["ratio"] > 0.8
    assert plain["denied_gap"] > 0.05


def test_thresholds_draw_lots_and_the_weights_meant_for_biased_labels_do_not_undo_them(lenders):
    world = lenders["label_bias"]
    past, later = fairness.cases(world)
    one, same, other = (repairs.thresholds(past, later, draw=draw) for draw in (0, 0, 1))
    assert (one == same).all()
    assert 0.02 < (one != other).mean() < 0.5
    good = repairs.relabelled(later, world["payments"])["repaid"]
    woman = later["gender"] == "F"
    gaps = []
    for weights in (None, repairs.reweighing(past)):
        denied = ~repairs.aware(past, later, weights=weights)
        gaps.append(denied[good & woman].mean() - denied[good & ~woman].mean())
    assert gaps[0] > gaps[1] + 0.03 > 0.08


@pytest.mark.filterwarnings("error")
def test_no_repair_warns_or_changes_its_input(lenders):
    world = lenders["mapping"]
    past, later = fairness.cases(world)
    before = past.copy(), later.copy()
    fairness.repaired(world, past, later)
    repairs.errors_alike(past, later, rounds=2)
    for now, then in zip((past, later), before, strict=True):
        pd.testing.assert_frame_equal(now, then)


def test_nothing_to_measure_is_nan(lenders):
    world = lenders["even"]
    men = {**world, "users": world["users"].assign(gender="M")}
    values = fairness.measured(men)
    assert set(values) == set(fairness.measured(world))
    assert np.isnan(list(values.values())).all()


def test_learning_needs_both_outcomes_and_each_group(lenders):
    past, later = fairness.cases(lenders["even"])
    with pytest.raises(ValueError, match="repaid: expected outcomes of both kinds"):
        repairs.learn(past[past["repaid"]])
    with pytest.raises(ValueError, match=r"gender 'F': no row to learn from; known groups: \['M'"):
        repairs.own_model(past[past["gender"] == "M"], later)


# --- criteria and cells ---------------------------------------------------------------------------


@cache
def scored(steepness):
    """Return later cases and their scores in a large world without mechanism."""
    knobs = {**load()["worlds"]["loans"], "n": 40_000, "steepness": steepness}
    past, later = fairness.cases(make_world("loans", rng=stream(5, "loans"), **knobs))
    return later, repairs.scores(repairs.learn(past), later)


def conflict(tilt, *, steepness=0.5):
    later, score = scored(steepness)
    place = criteria.divide(later["credit_score"], tilt=tilt, rng=stream(5, "districts"))
    return criteria.criteria(score, later["repaid"], place)


@pytest.mark.parametrize(("tilt", "steepness", "parts"), [(0, 0.5, 0), (3, 0.5, 1), (3, 100.0, 0)])
def test_criteria_conflict_needs_unequal_base_rates_and_imperfect_prediction(
    tilt, steepness, parts
):
    table = conflict(tilt, steepness=steepness)
    apart = (table.loc["north"] - table.loc["south"]).abs()
    assert table["calibration_error"].max() < 0.05
    assert (apart["base_rate"] > 0.2) == (tilt == 3)
    assert (apart["score_bad"] > 0.1) == bool(parts)
    assert (apart["fpr"] > 0.1) == bool(parts)


def test_error_rates_obey_chouldechova():
    table = conflict(1)
    odds = table["base_rate"] / (1 - table["base_rate"])
    expected = odds * (1 - table["ppv"]) / table["ppv"] * (1 - table["fnr"])
    assert table["fpr"].tolist() == pytest.approx(expected.tolist())


def test_criteria_of_a_table_by_hand():
    score = np.array([0.9, 0.5, 0.2, 0.8, 0.4, 0.1])
    label = np.array([1, 0, 1, 1, 1, 0], dtype=bool)
    table = criteria.criteria(score, label, pd.Series(list("aaabbb")))
    assert table.loc["a", ["ppv", "fpr", "fnr"]].tolist() == [0.5, 1, 0.5]
    assert table.loc["b", ["ppv", "fpr", "fnr"]].tolist() == [1, 0, 0.5]
    assert criteria.calibration_error(np.repeat([0.2, 0.8], 2), [1, 0, 1, 0], bins=2) == (
        pytest.approx(0.3)
    )
    p = criteria.worse_than_rest(np.array([1, 1, 0, 0]), pd.Series(list("aabb")))["p"]
    assert p.tolist() == pytest.approx([1 / 6, 1])


def test_criteria_need_both_outcomes():
    group = pd.Series(["a", "a", "b", "b"])
    with pytest.raises(ValueError, match="group 'b': expected outcomes of both kinds in 2 rows"):
        criteria.criteria(np.full(4, 0.5), np.array([0, 1, 1, 1]), group)


def test_hidden_cells_pass_both_margins():
    knobs = {**load()["worlds"]["loans"], "steepness": 8.0, "share_women": 0.5}
    parts = fairness.cases(make_world("loans", rng=stream(6, "loans"), **knobs))
    past, rows = (criteria.inject_hidden(p, sd=0.8, rng=stream(6, str(len(p)))) for p in parts)
    wrong = repairs.granted(repairs.learn(past), rows) != rows["repaid"]
    p = {by: criteria.worse_than_rest(wrong, rows[by])["p_all"] for by in ("gender", "age", "cell")}
    assert p["gender"].min() > 0.05
    assert p["age"].min() > 0.05
    assert list(p["cell"].index[p["cell"] < 0.001]) == ["F younger", "M older"]


def test_no_noise_changes_nothing(even):
    same = criteria.inject_noise(even, np.ones(len(even), bool), sd=0, rng=stream(1))
    pd.testing.assert_frame_equal(same, even)
    noisy = criteria.inject_noise(even, np.ones(len(even), bool), sd=3, rng=stream(1))
    assert noisy["credit_score"].between(300, 850).all()


def test_many_cells_raise_false_alarms_and_the_correction_holds(even):
    cell = criteria.crossed(even, ages=tuple("abcdefgh"))
    wrong = even["granted"] != even["repaid"]
    rates = criteria.false_alarms(wrong, cell, draws=100, rng=stream(1))
    assert rates["plain"] > 0.25
    assert rates["corrected"] <= 0.1
    with pytest.raises(ValueError, match="expected two groups or more"):
        criteria.worse_than_rest(wrong, pd.Series("all", index=even.index))


# --- figures --------------------------------------------------------------------------------------


def test_figures_say_what_the_data_say(results, even):
    panel = figures.matrix(results)
    assert "0 repairs help on more than one" in panel.figure.get_suptitle()
    title = figures.who_pays(results).figure.get_suptitle()
    before = results.xs("none", level="repair").reindex(results.index, level=0)
    smaller = before["gap"].abs() - results["gap"].abs() > 0.01
    paid = smaller & (results["truth_men"] < before["truth_men"] - 0.01)
    assert f"{smaller.sum()} repairs that make a gap smaller, {paid.sum()} take" in title
    draws = fairness.chance_gaps(even, sizes=(150,), draws=5, rng=stream(1))
    assert f"{draws['gap'].abs().max() * 100:.0f} points" in figures.chance(draws).get_title()
    table = fairness.by_group(even, **OF)
    forest = figures.forest(table.rename({"M": "M older"}), flagged=["F"])
    assert "0 of the cells, 1 of" in forest.get_title()
    assert [t.get_text() for t in forest.get_yticklabels()] == ["older men", "women"]
