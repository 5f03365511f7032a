"""Cards: fraud as the knobs say, no label before its time, features as of the charge."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from mlkit import model
from mlkit.features import CARD_FEATURES, card_features
from mlkit.params import maker, stream
from mlkit.tables import content_hash
from mlkit.tasks import TASKS

TASK = TASKS["cards"]
MINUTE, DAY = pd.Timedelta(minutes=1), pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def knobs(params):
    return params["worlds"]["cards"]


@pytest.fixture(scope="module")
def make(knobs):
    """Return a function that makes cards, each setting once."""
    made = {}

    def get(seed=11, **changed):
        key = (seed, *sorted(changed.items()))
        if key not in made:
            rng = stream(seed, "cards", "make")
            made[key] = maker("cards")(rng=rng, **{**knobs, **changed})
        return made[key]

    return get


@pytest.fixture(scope="module")
def world(make):
    """Return the cards of one seed with their model in operation."""
    return model.operate(make())


# --- the rows -------------------------------------------------------------------------------------


def test_charges_are_ordered_and_numbered(world):
    charges = world["charges"]
    assert charges["event_ts"].is_monotonic_increasing
    assert charges["charge_id"].tolist() == list(range(len(charges)))
    assert str(charges["event_ts"].dtype) == "datetime64[us, UTC]"
    assert str(charges["is_fraud"].dtype) == "boolean"


def test_same_stream_gives_the_same_cards(make, knobs):
    again = maker("cards")(rng=stream(11, "cards", "make"), **knobs)
    assert content_hash(again) == content_hash(make())


def test_fraud_is_about_one_charge_in_a_hundred(make):
    shares = [make(seed)["truth_charges"]["is_fraud"].mean() for seed in (11, 12, 13)]
    assert min(shares) > 0.009
    assert max(shares) < 0.016


def test_share_of_bursts_is_the_knob(make, knobs):
    episodes = pd.concat([make(seed)["truth_episodes"] for seed in (11, 12, 13)])
    frauds = episodes[episodes["is_fraud"]]
    assert len(frauds) == 3 * knobs["episodes"]
    assert (frauds["charges"] > 1).mean() == pytest.approx(knobs["burst_share"], abs=0.06)


def test_burst_lies_within_minutes(world):
    charges = world["charges"].merge(world["truth_charges"].drop(columns="is_fraud"))
    span = charges[charges["episode"] >= 0].groupby("episode")["event_ts"].agg(["min", "max"])
    fraud = world["truth_episodes"].set_index("episode")["is_fraud"]
    minutes = (span["max"] - span["min"]) / MINUTE
    assert minutes[fraud].quantile(0.95) < 20
    assert minutes[~fraud].median() > minutes[fraud].median()


def test_no_fraud_is_known_before_its_chargeback(world):
    charges, truth = world["charges"], world["truth_charges"]["is_fraud"]
    told = charges["fraud_known_ts"].notna()
    assert (charges.loc[told, "fraud_known_ts"] > charges.loc[told, "event_ts"]).all()
    assert not told[~truth].any()
    assert not told.all() and 0.6 < told[truth].mean() < 1


def test_no_label_is_mature_before_its_time(world, knobs):
    charges = world["charges"]
    age = charges["label_known_ts"] - charges["event_ts"]
    assert (age == knobs["label_mature_days"] * DAY).all()
    end = pd.Timestamp("2025-01-01", tz="UTC") + knobs["n_days"] * DAY
    assert charges["is_fraud"].notna().equals(charges["label_known_ts"] <= end)


def test_mature_label_misses_only_slow_chargebacks(world):
    known = world["charges"]["is_fraud"].dropna()
    truth = world["truth_charges"]["is_fraud"].loc[known.index]
    assert not known[~truth].any()
    assert 0.85 < known[truth].mean() < 1


def test_late_rows_are_the_share_of_the_knob(make):
    late = make()["charges"].eval("ingest_ts - event_ts") > 3 * MINUTE
    assert 0.02 < late.mean() < 0.06
    on_time = make(late_share=0.0)["charges"].eval("ingest_ts - event_ts")
    assert (on_time > 10 * MINUTE).sum() == 0


# --- zeros ----------------------------------------------------------------------------------------


def test_no_episodes_no_fraud(make):
    quiet = make(episodes=0)
    assert not quiet["truth_charges"]["is_fraud"].any()
    assert quiet["charges"]["fraud_known_ts"].isna().all()


def test_neither_episodes_nor_sprees_leaves_everyday_charges(make):
    assert (make(episodes=0, sprees=0)["truth_charges"]["episode"] == -1).all()


def test_no_bursts_no_fraudulent_burst(make):
    episodes = make(burst_share=0.0)["truth_episodes"]
    assert (episodes.loc[episodes["is_fraud"], "charges"] == 1).all()


def test_thieves_mimic_from_their_day_on(make):
    episodes = make(mimic_from_day=110.0)["truth_episodes"]
    begin = pd.Timestamp("2025-01-01", tz="UTC") + 110 * DAY
    fraud = episodes[episodes["is_fraud"]]
    assert fraud["mimic"].equals(fraud["from_ts"] >= begin.floor("s"))
    assert not make()["truth_episodes"]["mimic"].any()


# --- features and model ---------------------------------------------------------------------------


def by_loop(charges, row):
    """Return the features of one charge, looked up row by row."""
    mine = charges[charges["user_id"] == row.user_id]
    known = mine[(mine["event_ts"] < row.event_ts) & (mine["ingest_ts"] <= row.event_ts)]
    age = row.event_ts - known["event_ts"]
    known, age = known[age <= 30 * DAY], age[age <= 30 * DAY]
    average = known["amount_usd"].mean()
    return {
        "amount_usd": row.amount_usd,
        "new_device": float(row.new_device),
        "km_home": row.km_home,
        "charges_5m": float((age <= 5 * MINUTE).sum()),
        "amount_5m": known.loc[age <= 5 * MINUTE, "amount_usd"].sum(),
        "charges_1h": float((age <= 60 * MINUTE).sum()),
        "charges_30d": float(len(known)),
        "avg_30d": average,
        "amount_ratio": row.amount_usd / average,
        "chargebacks": float((mine["fraud_known_ts"] <= row.event_ts).sum()),
    }


def test_features_are_those_known_at_the_charge(world):
    charges = world["charges"]
    everyday = charges.sample(150, random_state=2)
    bursts = charges[world["truth_charges"]["episode"] >= 0].sample(100, random_state=3)
    rows = pd.concat([everyday, bursts])
    expected = pd.DataFrame([by_loop(charges, row) for row in rows.itertuples()])
    features = world["training"].loc[rows.index, list(CARD_FEATURES)].reset_index(drop=True)
    pd.testing.assert_frame_equal(features, expected, rtol=1e-9)


def test_charges_of_the_same_moment_do_not_see_each_other(world):
    two = world["charges"].head(2).copy()
    two["user_id"], two["event_ts"] = 1, two["event_ts"].iloc[0]
    two["ingest_ts"] = two["event_ts"]
    assert (card_features(two)["charges_30d"] == 0).all()


def test_features_keep_the_order_of_the_charges(world):
    some = world["charges"].sample(500, random_state=1)
    assert card_features(some)["charge_id"].tolist() == some["charge_id"].tolist()


def test_missing_column_is_named(world):
    with pytest.raises(KeyError, match="charges lacks 'km_home'"):
        card_features(world["charges"].drop(columns="km_home"))


def test_model_is_far_better_than_chance(world):
    scores = model.performance(world)
    base = world["truth_charges"]["is_fraud"].mean()
    assert min(scores[key] for key in ("offline", "honest", "production")) > 20 * base
    assert scores["recall"] > 0.4


def test_production_is_average_precision_against_the_truth(world):
    decisions = world["decisions"]
    truth = world["truth_charges"]["is_fraud"].loc[decisions["charge_id"]]
    by_hand = average_precision_score(truth, decisions["score"])
    assert model.performance(world)["production"] == by_hand


def test_decision_is_what_can_be_reviewed(world):
    assert world["decisions"]["decision"].mean() == pytest.approx(TASK.review, abs=0.004)


def test_velocity_carries_the_bursts(world):
    served = world["served"].assign(charges_5m=0.0, amount_5m=0.0, charges_1h=0.0)
    blind = model.log_decisions({**world, "served": served})
    assert model.performance(blind)["production"] < model.performance(world)["production"] - 0.1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"burst_most": 2}, "burst_most = 2: expected a whole number >= 3"),
        ({"late_share": -1.0}, "late_share = -1.0: expected a number >= 0 and <= 1"),
        ({"mimic_from_day": 0.0}, "mimic_from_day = 0.0: expected a number > 0"),
    ],
)
def test_bad_knob_gives_one_line(knobs, changed, says):
    with pytest.raises(ValueError, match=says):
        maker("cards")(rng=np.random.default_rng(1), **{**knobs, **changed})
