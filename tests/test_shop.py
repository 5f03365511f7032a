"""The shop: its schema, its bytes, and that each knob does what it says and has a zero."""

import json

import numpy as np
import pandas as pd
import pytest

from mlkit.params import stream
from mlkit.tables import content_hash, write
from mlkit.worlds.shop import CATEGORIES, CHANNELS, make_shop

DAY = pd.Timedelta(days=1)
TYPICAL_USD = 40.447304  # exp(3.7)
START = pd.Timestamp("2025-01-01", tz="UTC")
TIME = "datetime64[us, UTC]"
SCHEMA = {
    "users": {
        "user_id": "int32",
        "email": "str",
        "gender": "category",
        "birth_year": "int16",
        "signup_ts": TIME,
        "region": "int8",
        "income_usd": "float32",
        "consent": "bool",
        "deleted_ts": TIME,
    },
    "transactions": {
        "txn_id": "int64",
        "user_id": "int32",
        "event_ts": TIME,
        "ingest_ts": TIME,
        "amount_usd": "float64",
        "category": "category",
        "channel": "category",
    },
    "offers": {
        "offer_id": "int64",
        "user_id": "int32",
        "prediction_ts": TIME,
        "accepted": "boolean",
        "label_known_ts": TIME,
    },
    "truth_levels": {"user_id": "int32", "from_ts": TIME, "level": "float64"},
    "truth_naps": {"user_id": "int32", "from_ts": TIME, "to_ts": TIME},
    "truth_offers": {"offer_id": "int64", "accepted": "bool", "probability": "float64"},
}
KEYS = {"users": "user_id", "transactions": "txn_id", "offers": "offer_id"}


@pytest.fixture(scope="module")
def made(knobs):
    """Return a function that makes a shop with some knobs turned."""

    def make(seed=7, **turned):
        return make_shop(rng=stream(seed, "shop"), **{**knobs, **turned})

    return make


@pytest.fixture(scope="module")
def world(made):
    """Return the small shop, without a model."""
    return made()


# --- schema ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMA)
def test_columns_and_dtypes(world, name):
    kinds = world[name].dtypes.astype(str).replace("object", "str")  # pandas 2 calls text object
    assert kinds.to_dict() == SCHEMA[name]


def test_there_are_no_other_tables(world):
    assert list(world) == list(SCHEMA)


@pytest.mark.parametrize(("name", "key"), KEYS.items())
def test_keys_are_unique_and_complete(world, name, key):
    assert world[name][key].tolist() == list(range(len(world[name])))


@pytest.mark.parametrize("name", [name for name in SCHEMA if "user_id" in SCHEMA[name]])
def test_every_row_belongs_to_a_user(world, name):
    assert world[name]["user_id"].isin(world["users"]["user_id"]).all()


def test_nothing_is_missing_but_answers_and_deletions(world):
    gaps = {(n, c) for n, table in world.items() for c in table if table[c].isna().any()}
    assert gaps == {("users", "deleted_ts"), ("offers", "accepted")}


def test_purchases_are_ordered_and_arrive_after_they_happen(world):
    buys = world["transactions"]
    assert buys["event_ts"].is_monotonic_increasing
    assert (buys["ingest_ts"] > buys["event_ts"]).all()
    assert buys["event_ts"].between(START, START + 300 * DAY, inclusive="left").all()


def test_amounts_are_cents_above_zero(world):
    amounts = world["transactions"]["amount_usd"]
    assert amounts.min() >= 0.01
    assert (amounts == amounts.round(2)).all()


def test_categories_and_channels_all_occur(world):
    buys = world["transactions"]
    assert list(buys["category"].cat.categories) == CATEGORIES
    assert list(buys["channel"].cat.categories) == CHANNELS
    assert buys["category"].nunique() == len(CATEGORIES)
    assert buys["channel"].nunique() == len(CHANNELS)


def test_everybody_gets_an_offer_each_month_from_day_30(world):
    offers = world["offers"]
    months = offers.groupby("user_id")["prediction_ts"].diff().dropna() / DAY
    assert months.between(29, 31).all()
    assert offers.groupby("user_id").size().eq(9).all()
    assert (offers["prediction_ts"] >= START + 30 * DAY).all()


def test_probabilities_are_shares(world):
    assert world["truth_offers"]["probability"].between(0, 1).all()


def test_users_have_mail_addresses_of_their_own(world):
    assert world["users"]["email"].is_unique
    assert world["users"]["email"].str.endswith("@mail.example").all()


# --- answers --------------------------------------------------------------------------------------


def test_answers_are_known_after_the_delay(world):
    delay = world["offers"]["label_known_ts"] - world["offers"]["prediction_ts"]
    assert (delay == 14 * DAY).all()


def test_answer_is_empty_exactly_when_it_comes_after_the_end(world):
    offers = world["offers"]
    assert (offers["accepted"].isna() == (offers["label_known_ts"] > START + 300 * DAY)).all()
    assert 0 < offers["accepted"].isna().sum() < len(offers) / 5


def test_truth_has_every_answer_and_agrees_where_the_team_knows_it(world):
    both = world["offers"].merge(world["truth_offers"], "outer", "offer_id", suffixes=("", "_true"))
    known = both[both["accepted"].notna()]
    assert len(both) == len(world["truth_offers"]) == len(world["offers"])
    assert (known["accepted"] == known["accepted_true"]).all()


def test_answers_follow_their_probability(world):
    truth = world["truth_offers"]
    error = truth["accepted"].mean() - truth["probability"].mean()
    assert abs(error) < 4 * np.sqrt(0.25 / len(truth))


def test_answers_follow_the_level_at_that_moment(world):
    at = pd.merge_asof(
        world["offers"].sort_values("prediction_ts"),
        world["truth_levels"].sort_values("from_ts"),
        left_on="prediction_ts",
        right_on="from_ts",
        by="user_id",
    ).sort_values("offer_id")
    wanted = 1 / (1 + np.exp(-10.0 * at["level"].to_numpy() / 0.8))
    np.testing.assert_allclose(world["truth_offers"]["probability"], wanted, atol=1e-4)


# --- knobs ----------------------------------------------------------------------------------------


def asleep(world, user, at):
    """Return, row by row, whether a user was in a nap (by a loop, the slow and plain way)."""
    naps = dict(list(world["truth_naps"].groupby("user_id")))
    none = world["truth_naps"].iloc[:0]
    return [
        ((naps.get(u, none)["from_ts"] <= t) & (t < naps.get(u, none)["to_ts"])).any()
        for u, t in zip(user, at, strict=True)
    ]


def test_nobody_buys_in_their_sleep(world):
    buys = world["transactions"].sample(500, random_state=1)
    assert not any(asleep(world, buys["user_id"], buys["event_ts"]))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_share_of_time_asleep_is_the_knob(made, share):
    world = made(dormant_share=share)
    rng = np.random.default_rng(2)
    user, day = rng.integers(0, 400, 1500), rng.uniform(0, 300, 1500)
    times = START + pd.to_timedelta(day, unit="D").round("s")
    assert np.mean(asleep(world, user, times)) == pytest.approx(share, abs=0.05)


def test_without_dormancy_there_are_no_naps(made):
    assert made(dormant_share=0.0)["truth_naps"].empty


def test_without_regimes_everybody_stays_as_they_are(made):
    levels = made(regime_days=float("inf"))["truth_levels"]
    assert levels.groupby("user_id").size().eq(1).all()
    assert (levels["from_ts"] == START).all()


def test_regimes_last_as_long_as_the_knob_says(made):
    levels = made(regime_days=50.0)["truth_levels"]
    changes = len(levels) / 400 - 1
    assert changes == pytest.approx(300 / 50, rel=0.06)


def test_base_share_of_one_means_that_regimes_change_nothing(made):
    assert made(base_share=1.0)["truth_levels"].groupby("user_id")["level"].nunique().eq(1).all()


@pytest.mark.parametrize("base_share", [0.0, 0.5])
def test_levels_have_their_spread_whatever_stays(made, base_share):
    levels = made(base_share=base_share)["truth_levels"]["level"]
    assert levels.mean() == pytest.approx(0, abs=0.1)
    assert levels.std() == pytest.approx(0.8, rel=0.08)


def test_without_late_rows_all_arrive_within_minutes(made):
    buys = made(late_share=0.0)["transactions"]
    assert (buys["ingest_ts"] - buys["event_ts"]).max() < pd.Timedelta(minutes=15)


def test_late_rows_are_as_many_and_as_late_as_the_knobs_say(made):
    buys = made(late_share=0.2, late_hours=24.0)["transactions"]
    lag = (buys["ingest_ts"] - buys["event_ts"]) / pd.Timedelta(hours=1)
    assert (lag > 0.25).mean() == pytest.approx(0.2, abs=0.02)
    assert lag[lag > 0.25].mean() == pytest.approx(24, rel=0.1)


def test_answers_are_coin_flips_without_steepness(made):
    truth = made(label_k=0.0)["truth_offers"]
    assert truth["probability"].eq(0.5).all()
    assert truth["accepted"].mean() == pytest.approx(0.5, abs=0.035)


def test_answers_are_known_at_once_without_delay(made):
    assert made(label_delay_days=0)["offers"]["accepted"].notna().all()


def test_without_noise_the_basket_is_the_level(made):
    world = made(noise_sd=0.0, regime_days=float("inf"))
    level = world["truth_levels"].set_index("user_id")["level"]
    buys = world["transactions"]
    wanted = TYPICAL_USD * np.exp(buys["user_id"].map(level))
    np.testing.assert_allclose(buys["amount_usd"], wanted, atol=0.006)


def test_without_spread_of_rates_purchases_are_the_knob(made):
    buys = made(rate_sd=0.0, dormant_share=0.0, rate_per_day=0.1)["transactions"]
    assert len(buys) == pytest.approx(400 * 300 * 0.1, rel=0.04)


def test_category_says_nothing_without_its_pull(made):
    def correlation(**knobs):
        buys = made(**knobs)["transactions"]
        return buys["category"].cat.codes.corr(np.log(buys["amount_usd"]))

    assert abs(correlation(category_pull=0.0)) < 0.05
    assert correlation(category_pull=1.0) > 0.3


def test_size_is_the_knobs(made):
    world = made(n_users=11, n_days=61)
    assert len(world["users"]) == 11
    assert START + 55 * DAY < world["transactions"]["event_ts"].max() < START + 61 * DAY


@pytest.mark.parametrize("seed", range(5))
def test_smallest_shop_can_be_made(made, seed):
    world = made(seed=seed, n_users=1, n_days=31)
    assert len(world["users"]) == 1
    assert len(world["offers"]) <= 1
    assert world["offers"]["accepted"].isna().all()


# --- bytes ----------------------------------------------------------------------------------------

MAKE = """
import json, sys
from pathlib import Path
from mlkit.params import stream
from mlkit.tables import write
from mlkit.worlds.shop import make_shop
write(make_shop(rng=stream(7, "shop"), **json.loads(sys.argv[1])), Path(sys.argv[2]))
"""


def test_same_seed_gives_the_same_bytes_in_another_process(knobs, world, fresh_python, tmp_path):
    write(world, tmp_path / "here")
    fresh_python(MAKE, json.dumps(knobs), tmp_path / "there", PYTHONHASHSEED="1")
    for file in (tmp_path / "here").iterdir():
        assert (tmp_path / "there" / file.name).read_bytes() == file.read_bytes()


def test_other_seed_gives_another_shop(made, world):
    other = made(seed=8)
    assert all(content_hash({n: other[n]}) != content_hash({n: world[n]}) for n in world)


def test_more_users_do_not_change_what_a_purchase_looks_like(made):
    small, large = (made(n_users=n)["transactions"]["amount_usd"] for n in (400, 1600))
    assert np.log(small).mean() == pytest.approx(np.log(large).mean(), abs=0.1)


def test_without_a_mood_weeks_differ_by_chance_alone_and_with_one_they_do(made):
    def spread(sd):
        world = made(market_sd=sd)
        week = (world["offers"]["prediction_ts"] - START).dt.days // 7
        by_week = world["truth_offers"]["accepted"].groupby(week.to_numpy())
        return (by_week.mean().var() / (0.25 / by_week.size()).mean()) ** 0.5

    assert spread(0.0) < 1.6 < 3 < spread(8.0)


# --- knobs out of range ---------------------------------------------------------------------------

BAD = {
    "n_users": 0,
    "n_days": 30,
    "rate_per_day": 0.0,
    "rate_sd": -0.1,
    "level_sd": 0.0,
    "base_share": 1.1,
    "regime_days": 0.0,
    "noise_sd": float("nan"),
    "dormant_share": 1.0,
    "dormant_len_days": float("inf"),
    "category_pull": -1.0,
    "late_share": True,
    "late_hours": "12",
    "label_k": -1.0,
    "label_delay_days": 1.5,
    "market_sd": -1.0,
}


def test_every_knob_is_tried_below(knobs):
    assert set(BAD) == set(knobs)


@pytest.mark.parametrize(("knob", "value"), BAD.items())
def test_knob_out_of_range_is_refused(made, knob, value):
    with pytest.raises(ValueError, match=rf"make_shop\.{knob} = .*: expected a (whole )?number"):
        made(**{knob: value})


def test_unknown_knob_names_the_nearest(made):
    with pytest.raises(TypeError, match="unknown key 'n_user'; did you mean 'n_users'"):
        made(n_user=5)
