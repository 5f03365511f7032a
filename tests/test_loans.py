"""Loans: the leak is mechanical, the three mechanisms differ, every knob has a zero."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mlkit import model
from mlkit.features import LOAN_FEATURES
from mlkit.params import maker, stream
from mlkit.tables import content_hash
from mlkit.tasks import TASKS

TASK = TASKS["loans"]
SEEDS = [11, 12, 13]


@pytest.fixture(scope="module")
def knobs(params):
    return params["worlds"]["loans"]


@pytest.fixture(scope="module")
def make(knobs):
    """Return a function that makes loans, each setting once."""
    made = {}

    def get(seed=11, **changed):
        key = (seed, *sorted(changed.items()))
        if key not in made:
            rng = stream(seed, "loans", "make")
            made[key] = model.make_world("loans", rng=rng, **{**knobs, **changed})
        return made[key]

    return get


def aucs(world, extra=()):
    """Return AUC on validation and production rows of a plain model with more columns."""
    X = world["training"][list(LOAN_FEATURES)].assign(
        **{name: world["applications"][name].astype(float) for name in extra}
    )
    truth = world["truth_applications"]["defaulted"].to_numpy()
    period = model.periods(world["applications"], TASK).to_numpy()
    fitted = model.plain_model().fit(X[period == "train"], truth[period == "train"])
    late = X.assign(**dict.fromkeys(extra, 0.0))  # nothing is late at the moment of application
    rows = period == "production"
    return (
        roc_auc_score(truth[period == "validate"], scores(fitted, X[period == "validate"])),
        roc_auc_score(truth[rows], scores(fitted, late[rows])),
        fitted.predict(late[rows & truth]).mean(),
    )


def scores(fitted, X):
    return fitted.predict_proba(X)[:, 1]


def accuracy_by_gender(world, truth_of):
    """Return the accuracy for men and for women in production."""
    rows = model.periods(world["applications"], TASK).to_numpy() == "production"
    guess = model.fit(world).predict(world["training"][list(LOAN_FEATURES)])
    women = world["applications"].merge(world["users"], "left", on="user_id")["gender"] == "F"
    right = guess == truth_of(world)
    return right[rows & ~women].mean(), right[rows & women.to_numpy()].mean()


def true_default(world):
    return world["truth_applications"]["defaulted"].to_numpy()


# --- the rows -------------------------------------------------------------------------------------


def test_dtypes_are_those_of_the_docstring(make):
    applications = make()["applications"]
    wanted = {"applied_ts": "datetime64[us, UTC]", "defaulted": "boolean", "amount_usd": "float64"}
    assert {name: str(applications[name].dtype) for name in wanted} == wanted
    assert applications["credit_score"].between(300, 850).all()


def test_same_stream_gives_the_same_loans(make, knobs):
    again = model.make_world("loans", rng=stream(11, "loans", "make"), **knobs)
    assert content_hash(again) == content_hash(make())


def test_default_is_three_late_payments_in_a_row(make):
    world = make()
    end = world["applications"]["late_payment_asof"].iloc[0]
    over = world["applications"]["label_known_ts"] <= end
    late = world["payments"].groupby("application_id")["late"]
    longest = late.apply(lambda s: s.groupby((~s).cumsum()).sum().max())
    longest = longest.reindex(world["applications"]["application_id"])
    assert (longest[over] >= 3).tolist() == true_default(world)[over].tolist()


def test_count_of_late_payments_is_that_of_the_payments(make):
    world = make()
    counted = world["payments"].groupby("application_id")["late"].sum()
    column = world["applications"].set_index("application_id")["late_payment_count"]
    assert (column == counted.reindex(column.index, fill_value=0)).all()


def test_no_label_is_known_before_its_time(make):
    applications = make()["applications"]
    end = applications["late_payment_asof"]
    known = applications["label_known_ts"] <= end
    assert known.equals(applications["defaulted"].notna())
    assert not known.all()
    assert (applications["outcome_ts"] <= applications["label_known_ts"]).all()


def test_nothing_is_due_after_the_end_or_after_a_default(make):
    world = make()
    rows = world["payments"].merge(world["applications"], on="application_id")
    assert (rows["due_ts"] <= rows["late_payment_asof"]).all()
    assert (rows["due_ts"] <= rows["outcome_ts"]).all()


def test_earlier_late_payments_are_those_of_other_loans_before(make):
    world = make()
    features = world["training"].sample(200, random_state=1)
    payments = world["payments"]
    for row in features.itertuples():
        mine = payments[(payments["user_id"] == row.user_id) & payments["late"]]
        assert row.earlier_late == (mine["due_ts"] < row.applied_ts).sum()


def test_decisions_are_the_production_period(make):
    world = make()
    rows = model.periods(world["applications"], TASK) == "production"
    assert len(world["decisions"]) == rows.sum()
    assert world["decisions"]["score"].between(0, 1).all()


# --- the leak -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_late_payments_of_the_loan_itself_leak(make, seed):
    honest, leaky = aucs(make(seed)), aucs(make(seed), ["late_payment_count"])
    assert leaky[0] > honest[0] + 0.03
    assert leaky[2] < 0.02 < honest[2], "in production the leaky model finds no default"


def test_flat_world_has_nothing_to_learn(make):
    assert aucs(make(steepness=0.0))[1] == pytest.approx(0.5, abs=0.05)


# --- the mechanisms -------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["mapping", "noise"])
@pytest.mark.parametrize("seed", SEEDS)
def test_mechanism_costs_women_accuracy(make, mechanism, seed):
    men, women = accuracy_by_gender(make(seed, steepness=8.0, mechanism=mechanism), true_default)
    assert men - women > 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_mechanism_the_gap_is_small(make, seed):
    men, women = accuracy_by_gender(make(seed, steepness=8.0), true_default)
    assert abs(men - women) < 0.035


@pytest.mark.parametrize("seed", SEEDS)
def test_biased_labels_show_a_gap_that_the_truth_does_not_have(make, seed):
    world = make(seed, steepness=8.0, mechanism="label_bias")
    recorded = world["applications"]["defaulted"].astype("object")

    matured = world["applications"]["defaulted"].notna()
    production = model.periods(world["applications"], TASK) == "production"
    assert (matured & production).sum() > 100
    women = world["applications"].merge(world["users"], "left", on="user_id")["gender"] == "F"
    wrong = recorded[matured] != true_default(world)[matured]
    assert wrong[women[matured]].mean() > 0.08
    assert wrong[~women[matured]].sum() == 0


@pytest.mark.parametrize(
    ("mechanism", "zero"), [("noise", {"measure_sd": 0.0}), ("label_bias", {"label_flip": 0.0})]
)
def test_zero_makes_the_mechanism_vanish(make, mechanism, zero):
    without, with_zero = make(), make(mechanism=mechanism, **zero)
    pd.testing.assert_frame_equal(without["applications"], with_zero["applications"])


def test_no_women_no_effect(make):
    none, mapping = make(share_women=0.0), make(share_women=0.0, mechanism="mapping")
    pd.testing.assert_frame_equal(none["applications"], mapping["applications"])


def test_measurements_without_error_are_in_the_truth(make):
    world = make(mechanism="noise")
    women = world["applications"].merge(world["users"], "left", on="user_id")["gender"] == "F"
    off = world["applications"]["credit_score"] != world["truth_applications"]["credit_score"]
    assert off[women].mean() > 0.9
    assert not off[~women].any()


def test_spiral_makes_defaults(make):
    calm, spiral = (make(late_spiral=factor)["truth_applications"] for factor in (1.0, 2.2))
    assert calm["defaulted"].mean() < 0.6 * spiral["defaulted"].mean()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"mechanism": "noisy"}, "mechanism = 'noisy': expected one of .*; did you mean 'noise'"),
        ({"share_women": 2.0}, "share_women = 2.0: expected a number >= 0 and <= 1"),
        ({"n_days": 30}, "n_days = 30: expected a whole number >= 720"),
    ],
)
def test_bad_knob_gives_one_line(knobs, changed, says):
    with pytest.raises(ValueError, match=says):
        maker("loans")(rng=np.random.default_rng(1), **{**knobs, **changed})
