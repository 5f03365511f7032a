"""Challenge 2: which check finds which leak, what an honest study is, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from mlkit import leakage, model
from mlkit.leakage import study
from mlkit.leakage.faults import loyalty
from mlkit.params import stream
from mlkit.tables import without_truth

FOUND = {  # kind: the checks that find it, and no others but those that come with a random split
    "lifetime": {"as of"},
    "no_test_set": {"repeated rows", "time order", "label horizon", "sampling"},
    "scaler": {"pre-processing"},
    "encoding": {"pre-processing"},
    "oversampling": {"repeated rows", "time order", "label horizon", "sampling"},
    "feature_selection": {"pre-processing"},
    "duplicates": {"repeated rows", "time order", "label horizon", "sampling"},
    "illegitimate": {"as of", "availability"},
    "temporal": {"time order", "label horizon", "sampling"},
    "same_user": {"shared entities", "time order", "label horizon", "sampling"},
    "sampling": {"sampling"},
    "test_reuse": {"test reuse"},
    "two_clocks": set(),
    "dimension": {"as of"},
    "horizon": {"label horizon"},
}


@pytest.fixture(scope="module")
def leaky(shop, params):
    """Return a function that gives the small shop with a leak of a kind."""

    def make(kind, **changed):
        options = {**params["leakage"]["inject"], "kind": kind, **changed}
        return leakage.inject(shop, rng=stream(params["seed"], "leakage", kind), **options)

    return make


def failed(findings):
    return set(findings.loc[findings["failed"], "check"])


@pytest.mark.parametrize("kind", leakage.KINDS)
def test_each_kind_is_found_by_its_own_checks(kind, shop, leaky):
    assert failed(leakage.detect(shop, leaky(kind))) <= FOUND[kind] | {"sampling"}
    assert FOUND[kind] - {"sampling"} <= failed(leakage.detect(shop, leaky(kind)))


@pytest.mark.parametrize("kind", leakage.KINDS)
def test_repaired_study_passes_every_check(kind, shop, leaky):
    assert not failed(leakage.detect(shop, leakage.repair(leaky(kind)))) - {"sampling"}


@pytest.mark.parametrize("kind", leakage.KINDS)
def test_repaired_study_is_honest_by_its_own_rows(kind, leaky):
    rows = leakage.design(leakage.repair(leaky(kind)))
    train, test = (leakage.part_of(rows, part) for part in ("train", "test"))
    assert len(train) and len(test)
    assert train["label_known_ts"].max() < test["prediction_ts"].min(), "no answer from the future"
    assert (
        not test["offer_id"].duplicated().any()
        and not test["offer_id"].isin(train["offer_id"]).any()
    )
    assert (rows["seen"] == (rows["part"] == "train")).all()


def test_healthy_study_is_the_split_of_the_model(shop):
    rows = study.study_of(shop)
    named = rows["part"].map({"train": "train", "test": "validate", "production": "production"})
    period = model.periods(shop["offers"]).loc[rows["offer_id"]].to_numpy()
    assert (named.to_numpy() == period).all()


def test_healthy_study_scores_as_the_model_does(shop):
    mine, theirs = leakage.score(shop), model.performance(shop)
    assert {key: mine[key] for key in ("offline", "honest", "production")} == {
        key: pytest.approx(theirs[key]) for key in ("offline", "honest", "production")
    }


def test_kept_is_production_less_offline(leaky):
    scores = leakage.score(leaky("lifetime"))
    assert scores["kept"] == scores["production"] - scores["offline"] < 0


@pytest.mark.parametrize("kind", ["lifetime", "encoding", "dimension", "illegitimate", "sampling"])
def test_temporal_validation_passes_what_no_split_made(kind, shop, leaky):
    assert not failed(leakage.naive_detect(shop, leaky(kind)))


@pytest.mark.parametrize("kind", ["no_test_set", "oversampling"])
def test_temporal_validation_finds_what_a_random_split_made(kind, shop, leaky):
    assert failed(leakage.naive_detect(shop, leaky(kind)))


def test_lifetime_average_by_hand(shop, leaky):
    broken = leaky("lifetime")
    row = broken["training"].iloc[1000]
    hers = shop["transactions"].query("user_id == @row.user_id")
    assert row["lifetime_avg"] == pytest.approx(hers["amount_usd"].mean())
    known = hers[
        (hers["event_ts"] < row["prediction_ts"]) & (hers["ingest_ts"] <= row["prediction_ts"])
    ]
    assert broken["served"]["lifetime_avg"].iloc[1000] == pytest.approx(known["amount_usd"].mean())


def test_repair_recomputes_what_was_served(leaky):
    fixed = leakage.repair(leaky("lifetime"))
    pd.testing.assert_frame_equal(fixed["training"], fixed["served"])


@pytest.mark.parametrize("kind", ["lifetime", "dimension", "two_clocks"])
def test_both_repairs_of_features_agree(kind, leaky):
    one, two = (leakage.repair(leaky(kind), how=how)["training"] for how in ("as_of", "served"))
    pd.testing.assert_frame_equal(one, two)


def test_encoding_repaired_twice_is_still_out_of_fold(leaky):
    once = leakage.repair(leaky("encoding"))
    assert leakage.plan_of(once)["step"] == "encode_folds"
    assert leakage.score(leakage.repair(once)) == leakage.score(once)


def test_severity_is_the_share_of_rows_that_hold_the_future(shop, leaky):
    half = leakage.asof_parity(leaky("lifetime", severity=0.5)).set_index("subject")["value"]
    whole = leakage.asof_parity(leaky("lifetime")).set_index("subject")["value"]
    assert half["lifetime_avg"] == pytest.approx(whole["lifetime_avg"] / 2, abs=0.05)


def test_loyalty_by_hand():
    offers = pd.DataFrame({"user_id": [1, 1, 2, 1], "accepted": [True, False, True, None]})
    offers["accepted"] = offers["accepted"].astype("boolean")
    offers["label_known_ts"] = pd.to_datetime(["2025-01-03", "2025-01-01"] * 2, utc=True)
    assert loyalty(offers)["loyalty"].tolist() == [0.0, 0.5, 1.0]


def test_balanced_rows_are_about_as_common(shop, leaky):
    rows = leakage.design(leaky("oversampling"))
    rows = rows[rows["part"] != "production"].dropna(subset=["accepted"])
    assert rows["accepted"].astype(float).mean() == pytest.approx(0.5, abs=0.05)


def test_noise_says_nothing_about_production(leaky):
    for kind in ("feature_selection", "test_reuse"):
        assert leakage.score(leaky(kind))["production"] == pytest.approx(0.5, abs=0.1)


def test_copies_lift_a_forest_and_no_line(leaky):
    lifted = {}
    for copies in (0.0, 1.0):
        broken = leaky("duplicates", copies=copies)
        for name in ("forest", "logistic"):
            tables = leakage.planned(broken, leakage.study_of(broken), model=name)
            lifted[name, copies] = leakage.score(tables)["offline"]
    assert lifted["forest", 1.0] - lifted["forest", 0.0] > 0.04
    assert abs(lifted["logistic", 1.0] - lifted["logistic", 0.0]) < 0.02


def test_more_tries_more_luck(shop, leaky):
    def luck(tries):
        found = leakage.detect(shop, leaky("test_reuse", tries=tries))
        return found.set_index("check").loc["test reuse", "value"]

    assert luck(1) == 0 < luck(10) < luck(200)


def test_encoding_out_of_fold_keeps_a_rows_own_answer_out():
    rows = pd.DataFrame({"user_id": [1, 1, 2], "accepted": [True, True, False]})
    rate = study.mean_answer(rows.iloc[:1], rows)
    assert rate.tolist() == [1.0, 1.0, 1.0]
    assert study.mean_answer(rows, rows).tolist() == [1.0, 1.0, 0.0]


def test_model_of_a_study_can_be_saved(leaky, tmp_path):
    fitted = leakage.fit(leaky("lifetime"))
    model.save_model(fitted, tmp_path / "model.skops")
    again = model.load_model(tmp_path / "model.skops")
    X = np.ones((3, len(fitted.feature_names_in_)))
    X = pd.DataFrame(X, columns=fitted.feature_names_in_)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def without(tables, *names):
    return {name: table for name, table in tables.items() if name not in names}


RNG = np.random.default_rng(1)
REFUSED = {
    "inject: kind": (
        lambda w: leakage.inject(w, rng=RNG, kind="lifetimes"),
        ValueError,
        "did you mean 'lifetime'",
    ),
    "inject: severity": (
        lambda w: leakage.inject(w, rng=RNG, severity=1.5),
        ValueError,
        "severity = 1.5: expected",
    ),
    "inject: no served": (
        lambda w: leakage.inject(without(w, "served"), rng=RNG),
        KeyError,
        "lacks 'served'",
    ),
    "detect: no training": (
        lambda w: leakage.detect(w, without(w, "training")),
        KeyError,
        "lacks 'training'",
    ),
    "repair: how": (
        lambda w: leakage.repair(w, how="log"),
        ValueError,
        "how = 'log': expected one",
    ),
    "score: no truth": (
        lambda w: leakage.score(without_truth(w)),
        KeyError,
        "lacks 'truth_offers'",
    ),
    "score: no test rows": (
        lambda w: leakage.score({**w, "study": study.study_of(w).query("part != 'test'")}),
        ValueError,
        "expected train and test rows with known answers, came none",
    ),
    "naive: gap": (
        lambda w: leakage.naive_detect(w, w, max_gap=2),
        ValueError,
        "max_gap = 2: expected",
    ),
}


@pytest.mark.parametrize(("act", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_named(shop, act, error, says):
    with pytest.raises(error, match=says):
        act(shop)
