"""Drift: what each change does, harm against alarm, the gate, models made again, remedies."""

import numpy as np
import pandas as pd
import pytest

from mlkit import drift, model
from mlkit.drift import decide, faults, mitigation, monitor
from mlkit.params import stream
from mlkit.plots import drift as pictures


@pytest.fixture(scope="module")
def change(params, shop):
    """Return a function that puts a change into the small shop, each made once."""
    made = {}

    def act(kind, **options):
        key = kind, *sorted(options.items())
        if key not in made:
            given = {**params["drift"]["inject"], "kind": kind, **options}
            made[key] = drift.inject(shop, rng=stream(7, "drift", "inject"), **given)
        return made[key]

    return act


@pytest.fixture(scope="module")
def mended(change):
    """Return the small shop with cents for dollars from the first day, and the gate's repair."""
    return drift.repair(change("unit", start_day=0))


def begin_of(shop, day=14):
    return shop["decisions"]["ts"].min() + pd.Timedelta(days=day)


def log(right, *, users=None, score=0.9):
    """Return a log of accepted offers, scored so that the first `right` of ten are right."""
    rows = pd.DataFrame({"user_id": range(10) if users is None else users, "label": True})
    return rows.assign(score=np.where(np.arange(len(rows)) < right, score, 1 - score))


# --- faults ---------------------------------------------------------------------------------------


def test_concept_changes_answers_of_regulars_only_and_no_feature(shop, change):
    broken, begin = change("concept"), begin_of(shop)
    for name in ("training", "served", "transactions"):
        pd.testing.assert_frame_equal(broken[name], shop[name])
    regular = (shop["training"]["purchases_30d"] >= 3) & (shop["offers"]["prediction_ts"] >= begin)
    truth = broken["truth_offers"]["accepted"]
    assert not truth[regular].any()
    assert truth[~regular].equals(shop["truth_offers"]["accepted"][~regular])


@pytest.mark.parametrize("kind", ["covariate", "prior"])
def test_who_is_asked_changes_but_no_answer_and_no_period(shop, change, kind):
    broken = change(kind)
    kept = shop["truth_offers"].set_index("offer_id").loc[broken["truth_offers"]["offer_id"]]
    assert (kept["accepted"].to_numpy() == broken["truth_offers"]["accepted"].to_numpy()).all()
    before = (model.periods(t["offers"]).value_counts() for t in (shop, broken))
    one, other = before
    assert one["train"] == other["train"] and one["validate"] == other["validate"]
    assert other["production"] < one["production"]


def test_prior_shift_keeps_all_who_decline(shop, change):
    no = [(~t["truth_offers"]["accepted"]).sum() for t in (shop, change("prior"))]
    assert abs(no[0] - no[1]) == 0


def test_unit_reaches_every_purchase_after_its_day(shop, change):
    bought, now = shop["transactions"], change("unit")["transactions"]
    late = bought["event_ts"] >= begin_of(shop)
    assert np.allclose(now["amount_usd"][late], bought["amount_usd"][late] * 100)
    assert now["amount_usd"][~late].equals(bought["amount_usd"][~late])


def test_clustered_adds_requests_of_few_users(shop, change):
    more = change("clustered")["offers"].iloc[len(shop["offers"]) :]
    assert 0 < more["user_id"].nunique() <= 10 and len(more) > 100
    assert change("clustered")["offers"]["offer_id"].is_unique


def test_season_only_adds_purchases(shop, change):
    now = change("season")["transactions"]
    assert len(now) > len(shop["transactions"]) and now["txn_id"].is_unique
    old = now[now["txn_id"].isin(shop["transactions"]["txn_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, shop["transactions"])


def test_ramp_begins_with_nothing(shop, change):
    at_once, slow = (change("nulls", ramp_days=days) for days in (0, 60))
    lost = [t["served"]["avg_amount"].isna().sum() for t in (shop, slow, at_once)]
    assert lost[0] < lost[1] < lost[2]


def test_change_after_the_end_is_none(shop, change):
    assert change("concept", start_day=5000)["decisions"].equals(shop["decisions"])


@pytest.mark.parametrize(
    "bad", [{"severity": 1.5}, {"kind": "weather"}, {"ramp_days": -1}, {"purchases": 0}]
)
def test_inject_names_what_is_wrong(shop, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        faults.inject(shop, rng=stream(7), **bad)


# --- harm -----------------------------------------------------------------------------------------


def test_harm_needs_proof():
    few = monitor.harm(log(10), log(7))
    many = monitor.harm(*(pd.concat([log(k)] * 40).assign(user_id=range(400)) for k in (10, 7)))
    assert few["now"][0] == many["now"][0] == pytest.approx(0.7)
    assert not few["failed"][0] and many["failed"][0]


def test_rows_of_one_user_prove_nothing():
    one = monitor.harm(log(10), log(0, users=[3] * 10))
    assert one["now"][0] == 0 and not one["failed"].any()


def test_each_user_counts_once_however_many_rows():
    rows = pd.concat([log(10), log(0, users=[0] * 10)])
    assert monitor.harm(rows, rows)["now"][0] == pytest.approx((1 / 11 + 9) / 10)


def test_calibration_is_the_distance_of_score_and_share():
    rows = pd.DataFrame({"user_id": range(400), "score": 0.8, "label": [True, False] * 200})
    found = monitor.harm(rows, rows).set_index("check").loc["calibration"]
    assert found["now"] == pytest.approx(0.3)
    assert 0.2 < found["value"] < 0.3 and found["failed"]


@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        (log(5).drop(columns="score"), KeyError, "now lacks 'score'"),
        (log(5).iloc[:0], ValueError, "now: expected at least one row"),
    ],
)
def test_harm_names_what_is_wrong(rows, error, says):
    with pytest.raises(error, match=says):
        monitor.harm(log(5), rows)


def test_usual_check_of_a_feature_that_is_all_missing_fails(shop):
    gone = shop["decisions"].assign(avg_amount=np.nan)
    found = drift.naive_detect(shop, {"decisions": gone}).set_index("subject")
    assert found.loc["avg_amount", "failed"] and found.loc["avg_amount", "value"] == np.inf


# --- the gate -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "action"),
    [
        ([], "do nothing"),
        (["psi", "ks", "missing"], "do nothing"),
        (["calibration", "psi"], "recalibrate"),
        (["calibration", "performance"], "retrain"),
        (["performance", "calibration", "unit"], "fix upstream"),
        (["parity"], "fix upstream"),
    ],
)
def test_gate_takes_the_most_urgent_reason(failed, action):
    checks = ["unit", "parity", "performance", "calibration", "psi", "ks", "missing"]
    found = pd.DataFrame({"check": checks, "failed": [check in failed for check in checks]})
    assert decide.decide(found) == action


def test_wrong_unit_is_found_and_taken_back(shop, change):
    cents = change("unit")
    hit, factor = decide.wrong_unit(cents["transactions"], until=decide.trained_until(cents))
    late = shop["transactions"]["event_ts"] >= begin_of(shop)
    assert factor == 100 and (hit != late).mean() < 0.005


@pytest.mark.parametrize("kind", ["concept", "season", "covariate", "clustered"])
def test_healthy_source_is_left_alone(change, kind):
    found, _ = decide.source_breaks(change(kind))
    assert not found["failed"].any()


def test_recalibration_moves_the_mean_to_the_share():
    score, label = np.array([0.2, 0.5, 0.9, 0.7]), np.array([True, False, False, False])
    shift = decide.recalibrate(score, label)
    assert shift < 0
    assert decide.shifted(score, shift).mean() == pytest.approx(0.25, abs=1e-5)
    assert (np.diff(decide.shifted(np.sort(score), shift)) > 0).all()


def test_challenger_has_to_win_beyond_chance():
    rows = pd.DataFrame({"user_id": range(200), "label": True})
    lucky, good, champion = (np.where(np.arange(200) < k, 0.9, 0.1) for k in (101, 150, 100))
    assert decide.beats(good, champion, rows) and not decide.beats(champion, good, rows)
    assert not decide.beats(lucky, champion, rows)


# --- production under a policy --------------------------------------------------------------------


def test_healthy_production_keeps_its_champion(shop):
    fixed = drift.repair(shop)
    assert fixed["deployments"]["model"].tolist() == ["champion"]
    pd.testing.assert_frame_equal(fixed["decisions"], shop["decisions"])


def test_nothing_is_decided_before_it_is_known(change):
    broken = change("concept")
    fixed = drift.repair(broken)
    first = fixed["deployments"].iloc[1]
    early = fixed["decisions"]["ts"] < first["live_from"]
    pd.testing.assert_frame_equal(fixed["decisions"][early], broken["decisions"][early])
    answers = broken["decisions"].loc[broken["decisions"]["ts"] <= first["trained_to"]]
    assert (answers["label_known_ts"] <= first["live_from"]).all()


def test_future_does_not_change_the_past(change):
    broken = change("concept")
    end = broken["decisions"]["ts"].min() + pd.Timedelta(days=50)
    blind = broken["decisions"].copy()
    blind.loc[blind["label_known_ts"] > end, "label"] = pd.NA
    ledgers = [drift.repair({**broken, "decisions": d})["deployments"] for d in
               (broken["decisions"], blind)]  # fmt: skip
    early = [ledger[ledger["live_from"] <= end].reset_index(drop=True) for ledger in ledgers]
    pd.testing.assert_frame_equal(*early)


def test_model_is_made_again_from_its_row(change):
    fixed = drift.repair(change("concept"))
    row = next(fixed["deployments"].iloc[[-1]].itertuples())
    late = fixed["decisions"][fixed["decisions"]["ts"] >= row.live_from]
    again = decide.predict(decide.model_of(fixed, row), late, row.shift)
    assert np.array_equal(again, late["score"])


def test_bug_is_mended_and_never_learned(shop, mended):
    assert mended["deployments"]["reason"].tolist() == ["first", "fix upstream"]
    assert np.allclose(mended["transactions"]["amount_usd"], shop["transactions"]["amount_usd"])


def test_model_that_learned_a_bug_falls_when_upstream_is_mended(change):
    cents = change("unit", start_day=0)
    learned = drift.score(drift.repair(cents, how="retrain"))
    assert learned["production"] > drift.score(cents)["production"] + 0.05
    assert learned["upstream_fixed"] < drift.score(cents)["upstream_fixed"] - 0.1


def test_world_that_turns_back_gets_its_old_model_back(shop):
    opened = drift.inject(shop, rng=stream(7), kind="concept", start_day=0)
    after = (shop["offers"]["prediction_ts"] >= begin_of(shop, 42)).to_numpy()
    turned = {
        name: pd.concat([opened[name][~after], shop[name][after]])
        for name in ("offers", "truth_offers")
    }
    turned = model.log_decisions({**opened, **turned})
    reasons = drift.repair(turned)["deployments"]["reason"].tolist()
    assert "roll back" in reasons and reasons.index("retrain") < reasons.index("roll back")


def test_score_looks_at_the_newest_four_weeks(shop):
    month = monitor.last_days(shop["decisions"], 28)
    truth = shop["truth_offers"].set_index("offer_id")["accepted"].loc[month["offer_id"]]
    right = (month["decision"].to_numpy() == truth.to_numpy()).mean()
    assert drift.score(shop)["production"] == pytest.approx(right)
    assert month["ts"].max() - month["ts"].min() <= pd.Timedelta(days=28)


@pytest.mark.parametrize("how", ["sometimes", None])
def test_repair_names_what_is_wrong(shop, how):
    with pytest.raises(ValueError, match="how = .*expected one of 'gate'"):
        drift.repair(shop, how=how)


# --- ways to keep a model fresh -------------------------------------------------------------------


def test_majority_of_one_decides_alone():
    scores = [np.array([0.9, 0.1, 0.9, 0.1]), np.array([0.9, 0.9, 0.1, 0.1]), np.array([0.1] * 4)]
    assert not mitigation.naive_votes(scores).any()
    assert mitigation.naive_votes(scores[::-1], (0.6, 0.3, 0.1)).tolist() == [False] * 4
    assert mitigation.averaged(scores, (0.4, 0.4, 0.2)).tolist() == [True, False, False, False]


def test_old_answers_hold_a_model_back(change):
    table = mitigation.compete(change("concept"), rng=stream(7, "compete"))
    end = table.iloc[-4:].mean()
    assert end["window"] > end["all history"] + 0.03 > end["static"]
    assert table["votes"].equals(table["window"])


def test_rule_fires_in_most_quiet_months_and_more_where_rows_are_not_independent():
    quiet = mitigation.quiet_months(30, rng=stream(7, "quiet"))
    clustered = mitigation.quiet_months(8, rng=stream(7, "clustered"), per_user=3)
    assert 0.6 < quiet["month"].mean() <= 1 and 0.03 < quiet["first"].mean() < 0.4
    assert clustered["first"].mean() > quiet["first"].mean() + 0.2


def test_refused_are_seen_through_the_hold_out_alone():
    rng = stream(7, "refused")
    rows = pd.DataFrame({"score": rng.random(20_000)})
    rows = rows.assign(decision=rows["score"] > 0.5, label=rng.random(20_000) < rows["score"])
    seen = mitigation.selective(rows, rng=rng)
    assert seen["answered"] > seen["truth"] + 0.2
    assert seen["hold-out"] == pytest.approx(seen["truth"], abs=0.03)


# --- figures --------------------------------------------------------------------------------------


def title(ax):
    """Return the title of a figure, wherever it stands."""
    return ax.get_title(loc="left") + ax.get_title()


def test_quadrants_count_alarms_without_harm_and_harm_without_alarm():
    table = pd.DataFrame({"alarm": [0.5, 3, 20, 0.1], "loss": [0.1, 0.0, 0.2, 0.0]}, list("abcd"))
    assert title(pictures.quadrants(table)).startswith("1 changes alarm and do no harm; 1 harm")


def test_quadrants_in_words_name_each_change_once():
    table = pd.DataFrame({"alarm": [0.5, 3, 20, 0.1], "loss": [0.1, 0.0, 0.2, 0.0]}, list("abcd"))
    said = "Harm without an alarm: a; alarm without harm: b; both: c; neither: d."
    assert pictures.in_words(table) == "Changes by alarm and by harm. " + said
    assert "both: none" in pictures.in_words(table.drop("c"))


def test_weeks_say_whether_a_feature_alarmed():
    at = pd.date_range("2025-08-01", periods=4, freq="7D", tz="UTC")
    table = pd.DataFrame({"psi": 0.05, "accuracy": [0.8, 0.8, 0.6, 0.6]}, index=at)
    ax = pictures.weeks(table, begin=at[2])
    assert "no alarm in 4 weeks; accuracy: 0.20 lost" in title(ax.figure.axes[0])


def test_labels_keep_their_distance():
    spread = pictures._spread(pd.Series({"a": 0.5, "b": 0.5, "c": 0.9}), 0.1)
    assert spread == pytest.approx({"a": 0.5, "b": 0.6, "c": 0.9})


# --- what a review of these functions found -------------------------------------------------------


@pytest.mark.parametrize("start_day", [0, 14])
@pytest.mark.parametrize("factor", [0.01, 0.1, 10.0, 100.0, 1000.0])
def test_unit_is_named_up_and_down_from_any_day(shop, change, factor, start_day):
    broken = change("unit", factor=factor, start_day=start_day)
    hit, named = decide.wrong_unit(broken["transactions"], until=decide.trained_until(broken))
    late = shop["transactions"]["event_ts"] >= begin_of(shop, start_day)
    assert named == pytest.approx(factor) and (hit != late).mean() < 0.005
    found, _ = decide.source_breaks(broken)
    assert decide.decide(found) == "fix upstream"


def test_cents_from_before_half_of_the_log_are_found(shop):
    begin = decide.trained_until(shop) + pd.Timedelta(days=1)
    bought = shop["transactions"]
    late = bought["event_ts"] >= begin
    assert late.mean() > 0.45 and begin < bought["event_ts"].min() + pd.Timedelta(days=153)
    cents = bought.assign(amount_usd=bought["amount_usd"].where(~late, bought["amount_usd"] * 100))
    hit, factor = decide.wrong_unit(cents, until=decide.trained_until(shop))
    assert factor == 100 and (hit != late).mean() < 0.005


def test_unit_in_a_part_of_the_rows_is_found_from_a_hundred_on(shop, change):
    broken = change("unit", severity=0.4)
    hit, factor = decide.wrong_unit(broken["transactions"], until=decide.trained_until(broken))
    wrong = broken["transactions"]["amount_usd"] != shop["transactions"]["amount_usd"]
    assert factor == 100 and (hit != wrong).mean() < 0.01


@pytest.mark.parametrize("severity", [0.5, 1.0])
def test_unit_that_has_no_name_stops_the_gate_and_claims_no_repair(change, severity):
    broken = change("unit", factor=50.0, severity=severity)
    found, mended = decide.source_breaks(broken)
    assert decide.decide(found) == "fix upstream" and found["factor"].isna().sum() == 1
    pd.testing.assert_frame_equal(mended["transactions"], broken["transactions"])
    fixed = drift.repair(broken)
    assert fixed["deployments"]["reason"].tolist() == ["first"]
    assert np.isnan(drift.score(fixed)["upstream_fixed"])


def test_healthy_amounts_are_in_one_unit(shop, change):
    for tables in (shop, change("season")):
        hit, factor = decide.wrong_unit(tables["transactions"], until=decide.trained_until(tables))
        assert factor == 1 and not hit.any()
    with pytest.raises(ValueError, match="expected a purchase by then"):
        decide.wrong_unit(shop["transactions"], until=pd.Timestamp("2020-01-01", tz="UTC"))


@pytest.mark.parametrize(("users", "proven"), [(2, False), (29, False), (30, True)])
def test_few_equal_users_prove_nothing(users, proven):
    rows = pd.DataFrame({"user_id": range(users), "label": True})
    right, wrong = (rows.assign(score=score) for score in (0.9, 0.1))
    found = monitor.harm(right, wrong)
    assert found["failed"].tolist() == [proven, proven]
    assert decide.beats(right["score"].to_numpy(), wrong["score"].to_numpy(), rows) == proven


def test_margin_is_students():
    means = pd.Series(np.arange(40.0))
    assert monitor.margin(means, 0.95) == pytest.approx(2.0227 * means.std() / np.sqrt(40), 1e-4)


@pytest.mark.parametrize("column", ["user_id", "score", "label"])
def test_harm_refuses_what_is_missing(column):
    rows = log(7).astype({column: "float64"})
    rows.loc[0, column] = np.nan
    with pytest.raises(ValueError, match=rf"now.{column}: expected no missing values, came 1"):
        monitor.harm(log(7), rows)


def test_contest_and_hold_out_refuse_what_is_missing():
    rows = pd.DataFrame({"user_id": range(40), "decision": True, "score": 0.9, "label": 1.0})
    score, gap = rows["score"].to_numpy(), rows["score"].mask(rows.index == 3).to_numpy()
    with pytest.raises(ValueError, match="1 are missing"):
        decide.beats(gap, score, rows)
    for name in ("label", "user_id"):
        with pytest.raises(ValueError, match=rf"rows.{name}: expected no missing values"):
            decide.beats(score, score, rows.assign(**{name: gap}))
    for name in ("label", "decision"):
        with pytest.raises(ValueError, match=rf"rows.{name}: expected no missing values"):
            mitigation.selective(rows.assign(**{name: gap}), rng=stream(7))


@pytest.mark.parametrize(
    ("score", "label"),
    [([], []), ([0.2, 0.7], [1, 1]), ([0.2, 0.7], [0, 0]), ([0.2, 0.7], [1, np.nan]),
     ([np.nan, 0.7], [1, 0])],
)  # fmt: skip
def test_recalibration_needs_both_classes(score, label):
    with pytest.raises(ValueError, match="both classes among them"):
        decide.recalibrate(np.array(score), np.array(label))


def test_small_shop_is_never_repaired_and_says_so(params):
    knobs = {**params["worlds"]["shop"], "n_users": 50}
    small = model.make_world("shop", rng=stream(7, "shop", "make"), **knobs)
    broken = drift.inject(small, rng=stream(7), kind="concept")
    assert drift.repair(broken)["deployments"]["reason"].tolist() == ["first"]
    assert "more than 300 users" in drift.repair.__doc__
    assert drift.naive_detect(small, small)["failed"].any()
    assert "whatever happens" in drift.naive_detect.__doc__
