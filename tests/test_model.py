"""The plain model: no answer from the future, the same bytes everywhere, clear errors."""

import functools
import hashlib
import json
import os
import platform
import sys

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from mlkit import model
from mlkit.features import FEATURES
from mlkit.params import stream
from mlkit.tables import content_hash, without_truth
from mlkit.tasks import TASKS

FIRST_CUT, GO_LIVE = TASKS["shop"].cuts
X86_LINUX = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.fixture(scope="module")
def fitted(shop):
    """Return the model of the small shop."""
    return model.fit(shop)


# --- periods --------------------------------------------------------------------------------------


def test_every_offer_is_in_one_period_and_all_periods_occur(shop):
    period = model.periods(shop["offers"])
    assert set(period) == {"train", "gap", "validate", "production"}
    assert period.index.equals(shop["offers"].index)


@pytest.mark.parametrize(
    ("period", "following"), [("train", "validate"), ("validate", "production")]
)
def test_no_answer_is_used_before_it_is_known(shop, period, following):
    rows = shop["offers"].assign(period=model.periods(shop["offers"])).groupby("period")
    assert rows["label_known_ts"].max()[period] < rows["prediction_ts"].min()[following]


def test_cuts_lie_where_the_module_says(shop):
    at, period = shop["offers"]["prediction_ts"], model.periods(shop["offers"])
    share = (at - at.min()) / (at.max() - at.min())
    assert share[period == "production"].min() == pytest.approx(GO_LIVE, abs=0.01)
    assert share[period == "validate"].min() == pytest.approx(FIRST_CUT, abs=0.01)
    assert (share[period == "train"] < FIRST_CUT).all()


def test_gap_is_as_long_as_answers_take(shop):
    offers = shop["offers"].assign(period=model.periods(shop["offers"]))
    for cut in (FIRST_CUT, GO_LIVE):
        at = offers["prediction_ts"]
        moment = at.min() + cut * (at.max() - at.min())
        assert set(offers["period"][at.between(moment - pd.Timedelta(days=13), moment)]) == {"gap"}


def test_periods_do_not_depend_on_the_order_of_rows(shop):
    shuffled = shop["offers"].sample(frac=1, random_state=1)
    pd.testing.assert_series_equal(
        model.periods(shuffled).sort_index(), model.periods(shop["offers"])
    )


# --- the fit --------------------------------------------------------------------------------------


def test_world_has_the_tables_of_a_healthy_pipeline(shop):
    assert {"training", "served", "decisions"} < set(shop)
    pd.testing.assert_frame_equal(shop["training"], shop["served"])


def test_same_stream_gives_the_same_world(params, knobs, shop):
    rng = stream(params["seed"], "shop", "make")
    assert content_hash(model.make_world("shop", rng=rng, **knobs)) == content_hash(shop)


def test_model_is_better_than_a_guess(shop):
    score = model.performance(shop)
    assert 0.7 < score["production"] < 0.95
    assert score["auc"] > 0.75


def test_only_rows_of_the_training_period_are_learned_from(shop, fitted):
    production = (model.periods(shop["offers"]) == "production").to_numpy()
    training = shop["training"].copy()
    training.loc[production, list(FEATURES)] = 0.0
    again = model.fit({**shop, "training": training})
    np.testing.assert_array_equal(again[-1].coef_, fitted[-1].coef_)


def test_coefficients_are_rounded_to_ten_decimals(fitted):
    scaler, logistic = fitted[-2:]
    for numbers in (scaler.mean_, scaler.scale_, logistic.coef_, logistic.intercept_):
        np.testing.assert_array_equal(numbers, np.round(numbers, 10))


def test_user_without_any_history_gets_a_score(fitted):
    unknown = pd.DataFrame([dict.fromkeys(FEATURES, np.nan)])
    assert 0 < fitted.predict_proba(unknown)[0, 1] < 1


# --- decisions ------------------------------------------------------------------------------------


def test_decisions_have_their_columns(shop):
    last = ["score", "decision", "label", "label_known_ts"]
    assert list(shop["decisions"]) == ["offer_id", "user_id", "ts", *FEATURES, *last]


def test_every_production_offer_is_decided(shop):
    production = shop["offers"][model.periods(shop["offers"]) == "production"]
    assert shop["decisions"]["offer_id"].tolist() == production["offer_id"].tolist()


def test_decision_is_the_score_at_the_threshold(shop):
    decisions = shop["decisions"]
    assert (decisions["decision"] == (decisions["score"] >= 0.5)).all()
    assert (decisions["score"] == decisions["score"].round(6)).all()


def test_decisions_hold_the_features_as_served(broken):
    both = broken["decisions"].merge(broken["served"], on="offer_id", suffixes=("", "_served"))
    for name in FEATURES:
        pd.testing.assert_series_equal(both[name], both[f"{name}_served"], check_names=False)


def test_deciding_needs_no_truth(shop):
    blind = model.log_decisions(without_truth(shop))
    pd.testing.assert_frame_equal(blind["decisions"], shop["decisions"])


def test_operating_leaves_its_input_alone(shop):
    raw = {name: shop[name] for name in ("transactions", "offers")}
    model.operate(raw)
    assert set(raw) == {"transactions", "offers"}


# --- scores ---------------------------------------------------------------------------------------


def test_production_is_the_share_of_right_decisions(shop):
    both = shop["decisions"].merge(shop["truth_offers"], on="offer_id")
    right = both["decision"] == both["accepted"]
    score = model.performance(shop)
    assert score["production"] == right.mean()
    assert score["honest"] == right[both["label"].notna()].mean()


def test_offline_looks_at_the_training_path_only(shop):
    nonsense = {**shop, "served": shop["served"].assign(avg_amount=0.0)}
    before, after = (model.performance(model.log_decisions(world)) for world in (shop, nonsense))
    assert after["offline"] == before["offline"]
    assert after["production"] < before["production"] - 0.05


@pytest.mark.parametrize("table", ["truth_offers", "decisions", "training", "offers"])
def test_performance_names_the_table_it_lacks(shop, table):
    with pytest.raises(KeyError, match=f"lacks '{table}'"):
        model.performance({name: frame for name, frame in shop.items() if name != table})


# --- what is refused ------------------------------------------------------------------------------


def without(table: str, column: str | None = None):
    """Return a change that takes out a table, or one of its columns."""

    def change(world):
        rest = {name: frame for name, frame in world.items() if name != table}
        return rest if column is None else {**rest, table: world[table].drop(columns=column)}

    return change


def put(table: str, change):
    """Return a change of one table."""
    return lambda world: {**world, table: change(world[table])}


def twice(frame):
    """Return the frame with its first row repeated."""
    return pd.concat([frame.iloc[:1], frame])


BAD = {
    "no training": (without("training"), KeyError, "tables lacks 'training'"),
    "no offers": (without("offers"), KeyError, "tables lacks 'offers'"),
    "no feature": (without("training", "avg_amount"), KeyError, "training lacks 'avg_amount'"),
    "no id": (without("training", "offer_id"), KeyError, "training lacks 'offer_id'"),
    "no answers": (without("offers", "accepted"), KeyError, "offers lacks 'accepted'"),
    "empty training": (put("training", lambda t: t.iloc[:0]), ValueError, "training: .*one row"),
    "empty offers": (put("offers", lambda t: t.iloc[:0]), ValueError, "offers: .*one row"),
    "one offer": (put("offers", lambda t: t.iloc[:1]), ValueError, "no row of the train period"),
    "nothing known": (
        put("offers", lambda t: t.assign(accepted=pd.array([None] * len(t), dtype="boolean"))),
        ValueError,
        "training: no row of the train period has a known answer",
    ),
    "one answer": (
        put("offers", lambda t: t.assign(accepted=True)),
        ValueError,
        "expected answers of both kinds .*, came .* of one kind",
    ),
    "repeated features": (put("training", twice), ValueError, "training: expected one row per"),
    "repeated offers": (put("offers", twice), ValueError, "offers: expected one row per offer_id"),
    "text feature": (
        put("training", lambda t: t.astype({"avg_amount": str})),
        TypeError,
        "training.avg_amount: expected float",
    ),
    "naive time": (
        put("offers", lambda t: t.assign(prediction_ts=t["prediction_ts"].dt.tz_localize(None))),
        TypeError,
        "offers.prediction_ts: expected UTC time",
    ),
}


@pytest.mark.parametrize(("change", "error", "says"), BAD.values(), ids=BAD)
def test_fit_names_what_is_wrong(shop, change, error, says):
    with pytest.raises(error, match=says):
        model.fit(change(shop))


BAD_SERVED = {
    "no table": (without("served"), KeyError, "tables lacks 'served'"),
    "no id": (without("served", "offer_id"), KeyError, "served lacks 'offer_id'"),
    "no feature": (without("served", "avg_amount"), KeyError, "served lacks 'avg_amount'"),
    "empty": (put("served", lambda t: t.iloc[:0]), ValueError, "served: expected at least one row"),
    "repeated": (put("served", twice), ValueError, "served: expected one row per offer_id"),
}


@pytest.mark.parametrize(("change", "error", "says"), BAD_SERVED.values(), ids=BAD_SERVED)
def test_decide_names_what_is_wrong(shop, fitted, change, error, says):
    with pytest.raises(error, match=says):
        model.decide(fitted, change(shop))


def test_unknown_world_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'shop'"):
        model.make_world("shp", rng=stream(1))


# --- models on disk -------------------------------------------------------------------------------

FOOTPRINT = """
import hashlib, json, sys
from pathlib import Path
from mlkit import model
from mlkit.params import stream
from mlkit.tables import content_hash
world = model.make_world("shop", rng=stream(7, "shop", "make"), **json.loads(sys.argv[1]))
model.save_model(model.fit(world), Path(sys.argv[2]))
print(content_hash(world), hashlib.sha256(Path(sys.argv[2]).read_bytes()).hexdigest())
"""


NEWER = "X86_V3 X86_V4 AVX512_ICL"  # of numpy 2.4: what is not there to disable is passed over


@pytest.fixture(scope="module")
def footprint(params, knobs, shop, fitted, tmp_path_factory):
    """Return hashes of the small shop and its model, as this process makes them."""
    if params["seed"] != 7:
        shop = model.make_world("shop", rng=stream(7, "shop", "make"), **knobs)
        fitted = model.fit(shop)
    file = tmp_path_factory.mktemp("model") / "model.skops"
    model.save_model(fitted, file)
    return f"{content_hash(shop)} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def test_world_and_model_have_the_same_bytes_elsewhere(knobs, footprint, fresh_python, tmp_path):
    """In another process, with other hashes, on what the libraries take for an older processor."""
    older = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": NEWER}
    elsewhere = {"PYTHONHASHSEED": "1", **(older if X86_LINUX else {})}
    there = fresh_python(FOOTPRINT, json.dumps(knobs), tmp_path / "model.skops", **elsewhere)
    assert there == footprint


def test_model_read_back_predicts_the_same(shop, fitted, tmp_path):
    model.save_model(fitted, tmp_path / "model.skops")
    again = model.load_model(tmp_path / "model.skops")
    X = shop["training"][list(FEATURES)]
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_model_saved_again_after_reading_has_the_same_bytes(fitted, tmp_path):
    one, two = tmp_path / "one.skops", tmp_path / "two.skops"
    model.save_model(fitted, one)
    model.save_model(model.load_model(one), two)
    assert one.read_bytes() == two.read_bytes()


def test_model_of_other_rows_has_other_bytes(shop, fitted, tmp_path):
    one, two = tmp_path / "one.skops", tmp_path / "two.skops"
    model.save_model(fitted, one)
    half = {**shop, "training": shop["training"].iloc[::2]}
    model.save_model(model.fit(half), two)
    assert one.read_bytes() != two.read_bytes()


@pytest.mark.parametrize(
    "strange", [FunctionTransformer(os.getcwd), functools.partial(print)], ids=["call", "partial"]
)
def test_file_with_an_untrusted_type_is_refused(tmp_path, strange):
    (tmp_path / "model.skops").write_bytes(skops.io.dumps(strange))
    with pytest.raises(ValueError, match=r"model\.skops: holds types that are not trusted: \["):
        model.load_model(tmp_path / "model.skops")


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.skops"):
        model.load_model(tmp_path / "model.skops")


# --- every world ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shop", "loans", "cards", "xrays"])
def test_model_runs_in_every_preset_of_every_world(name, params):
    for preset, knobs in {"": {}, **params["presets"][name]}.items():
        rng = stream(12, name, preset)
        world = model.make_world(name, rng=rng, **{**params["worlds"][name], **knobs})
        scores = model.performance(world)
        assert all(0.0 < value <= 1.0 for value in scores.values()), preset
        assert len(world["decisions"]) > 50


def test_tables_of_no_known_world_are_named():
    with pytest.raises(KeyError, match="tables lacks 'offers' or 'applications' or 'charges'"):
        model.operate({"users": pd.DataFrame()})
