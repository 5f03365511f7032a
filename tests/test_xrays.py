"""Chest films: equipment and patches as the knobs say, outpatients after go-live, same bytes."""

import hashlib
import json
import platform
import sys

import numpy as np
import pandas as pd
import pytest

from mlkit import model
from mlkit.features import film_features
from mlkit.params import maker, stream
from mlkit.tables import content_hash
from mlkit.tasks import TASKS
from mlkit.worlds.xrays import LUNGS, PATCH_Y, PIXELS, SIDE

TASK = TASKS["xrays"]
DAY = pd.Timedelta(days=1)
X86_LINUX = sys.platform == "linux" and platform.machine() == "x86_64"
NEWER = "X86_V3 X86_V4 AVX512_ICL"  # of numpy 2.4: what is not there to disable is passed over


@pytest.fixture(scope="module")
def knobs(params):
    return params["worlds"]["xrays"]


@pytest.fixture(scope="module")
def make(knobs):
    """Return a function that makes films, each setting once."""
    made = {}

    def get(seed=11, **changed):
        key = (seed, *sorted(changed.items()))
        if key not in made:
            rng = stream(seed, "xrays", "make")
            made[key] = maker("xrays")(rng=rng, **{**knobs, **changed})
        return made[key]

    return get


@pytest.fixture(scope="module")
def world(make):
    """Return the films of one seed with their model in operation."""
    return model.operate(make())


def picture(tables, mask=slice(None)):
    """Return the mean of some films, shape (32, 32)."""
    return tables["pixels"][list(PIXELS)].to_numpy()[mask].mean(axis=0).reshape(SIDE, SIDE)


# --- the rows -------------------------------------------------------------------------------------


def test_films_are_ordered_numbered_and_of_their_types(world, knobs):
    films = world["films"]
    assert films["film_id"].tolist() == list(range(knobs["n"] + knobs["n_live"]))
    assert films["taken_ts"].is_monotonic_increasing
    assert str(films["taken_ts"].dtype) == "datetime64[us, UTC]"
    assert str(films["pneumonia"].dtype) == "boolean"
    assert films["site"].cat.categories.tolist() == ["icu", "ward", "outpatient"]


def test_pixels_are_grey_values_of_every_film(world):
    pixels = world["pixels"]
    assert pixels["film_id"].equals(world["films"]["film_id"])
    assert list(pixels) == ["film_id", *PIXELS]
    assert set(pixels[list(PIXELS)].dtypes) == {np.dtype("uint8")}


def test_equipment_is_the_share_of_the_knobs(make, knobs):
    worlds = [make(seed) for seed in (11, 12, 13)]
    films = pd.concat([w["films"].assign(sick=w["truth_films"]["pneumonia"]) for w in worlds])
    shares = films[films["site"] != "outpatient"].groupby("sick")["equipment"].mean()
    assert shares[True] == pytest.approx(knobs["p_equip_sick"], abs=0.03)
    assert shares[False] == pytest.approx(knobs["p_equip_well"], abs=0.02)


def test_equipment_is_that_of_intensive_care(world):
    films = world["films"]
    assert films["equipment"].equals(films["site"] == "icu")


def test_production_is_the_clinic_and_nothing_but(world, knobs):
    period = model.periods(world["films"], TASK)
    live = world["films"][period == "production"]
    assert len(live) == knobs["n_live"]
    assert set(live["site"]) == {"outpatient"}
    archive = world["films"]["site"][period != "production"]
    assert (archive == "outpatient").mean() == pytest.approx(knobs["outpatient_share"], abs=0.05)


def test_sick_are_the_same_share_at_hospital_and_clinic(make, knobs):
    worlds = [make(seed) for seed in (11, 12, 13)]
    films = pd.concat([w["films"].assign(sick=w["truth_films"]["pneumonia"]) for w in worlds])
    sick = films.groupby(films["site"] == "outpatient")["sick"].mean()
    assert sick.to_numpy() == pytest.approx(knobs["share_sick"], abs=0.04)


def test_no_answer_is_known_before_its_time(world, knobs):
    films = world["films"]
    assert (films["label_known_ts"] - films["taken_ts"] == knobs["label_delay_days"] * DAY).all()
    end = pd.Timestamp("2025-01-01", tz="UTC") + knobs["n_days"] * DAY
    assert films["pneumonia"].notna().equals(films["label_known_ts"] <= end)
    known = films["pneumonia"].dropna()
    assert (known == world["truth_films"]["pneumonia"].loc[known.index]).all()
    assert 0 < films["pneumonia"].isna().sum() < 100


def test_some_patients_have_two_films_and_none_has_three(world, knobs):
    counts = world["films"]["user_id"].value_counts()
    assert counts.max() == 2
    twice = (counts == 2).sum() * 2 / len(world["films"])
    assert twice == pytest.approx(knobs["two_films_share"], abs=0.01)
    assert set(world["films"]["user_id"]) == set(world["users"]["user_id"])


def test_both_films_of_a_patient_show_the_same_body(make):
    tables = make(opacity=0.0, noise=0.0, p_equip_sick=0.0, p_equip_well=0.0)
    films = tables["films"]
    twice = films[films["user_id"].duplicated(keep=False)].sort_values("user_id", kind="stable")
    grey = tables["pixels"].loc[twice.index, list(PIXELS)].to_numpy()
    np.testing.assert_array_equal(grey[::2], grey[1::2])
    assert len(np.unique(grey[::2], axis=0)) == len(grey) / 2


# --- what is on a film ----------------------------------------------------------------------------


def test_the_sick_are_brighter_in_the_lungs_and_nowhere_else(make):
    tables = make(p_equip_sick=0.0, p_equip_well=0.0, noise=0.0)
    sick = tables["truth_films"]["pneumonia"].to_numpy()
    more = picture(tables, sick) - picture(tables, ~sick)
    rows, columns = np.unravel_index(np.argsort(-more, axis=None, kind="stable")[:20], more.shape)
    assert np.abs(rows / (SIDE - 1) - PATCH_Y).max() < 0.15
    assert np.abs(columns[:, None] / (SIDE - 1) - LUNGS).min(axis=1).max() < 0.1
    assert more.max() > 20
    assert np.abs(more[:8]).max() < 5


def test_equipment_is_a_tube_from_above(make):
    tables = make(opacity=0.0, noise=0.0)
    shown = tables["films"]["equipment"].to_numpy()
    more = picture(tables, shown) - picture(tables, ~shown)
    brightest = np.argmax(more[:16], axis=1)
    assert np.abs(brightest - SIDE / 2).max() <= 3
    assert more[:16].max(axis=1).min() > 30
    assert np.abs(more[20:]).max() < 5


# --- zeros ----------------------------------------------------------------------------------------


def test_no_equipment_where_its_knobs_are_zero(make):
    assert not make(p_equip_sick=0.0, p_equip_well=0.0)["films"]["equipment"].any()


def test_no_opacity_no_difference_between_sick_and_healthy(make):
    tables = make(opacity=0.0, noise=0.0, p_equip_sick=0.0, p_equip_well=0.0)
    sick = tables["truth_films"]["pneumonia"].to_numpy()
    assert np.abs(picture(tables, sick) - picture(tables, ~sick)).max() < 6  # bodies differ
    scores = model.performance(model.operate(make(opacity=0.0, p_equip_sick=0.0, p_equip_well=0.0)))
    assert scores["production"] == pytest.approx(0.5, abs=0.07)


def test_no_noise_no_grain(make):
    grain = [np.diff(picture(make(noise=n), [0]), axis=1)[-3:].std() for n in (0.0, 0.1)]
    assert grain[1] > grain[0] + 10


def test_no_outpatients_in_the_archive_of_the_hospital_alone(make, knobs):
    films = make(outpatient_share=0.0)["films"]
    assert (films["site"] == "outpatient").sum() == knobs["n_live"]


def test_no_second_film_where_its_knob_is_zero(make):
    assert make(two_films_share=0.0)["films"]["user_id"].is_unique


def test_every_answer_is_known_without_delay(make):
    assert make(label_delay_days=0)["films"]["pneumonia"].notna().all()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"n": 19}, "n = 19: expected a whole number >= 20"),
        ({"n_live": 0}, "n_live = 0: expected a whole number >= 1"),
        ({"p_equip_sick": 1.1}, "p_equip_sick = 1.1: expected a number >= 0 and <= 1"),
        ({"p_equip_well": -0.1}, "p_equip_well = -0.1: expected a number >= 0 and <= 1"),
        ({"opacity": -1.0}, "opacity = -1.0: expected a number >= 0"),
        ({"noise": float("inf")}, "noise = inf: expected a number >= 0"),
        ({"outpatient_share": float("nan")}, "outpatient_share = nan: expected a number >= 0"),
    ],
)
def test_bad_knob_gives_one_line(knobs, changed, says):
    with pytest.raises(ValueError, match=says):
        maker("xrays")(rng=np.random.default_rng(1), **{**knobs, **changed})


# --- features and model ---------------------------------------------------------------------------


def test_features_are_the_pixels_in_the_order_of_the_films(world):
    some = world["films"].sample(50, random_state=1)
    features = film_features(some, world["pixels"].sample(frac=1, random_state=2))
    assert features["film_id"].tolist() == some["film_id"].tolist()
    np.testing.assert_array_equal(
        features[list(PIXELS)], world["pixels"].loc[some.index, list(PIXELS)]
    )
    assert not {"site", "equipment", "pneumonia"} & set(features)


def test_features_say_what_is_missing(world):
    films, pixels = world["films"], world["pixels"]
    with pytest.raises(ValueError, match="1800 films, 2 have none, first film_id 0"):
        film_features(films, pixels.iloc[2:])
    with pytest.raises(KeyError, match="pixels lacks 'p31_31'"):
        film_features(films, pixels.drop(columns="p31_31"))
    with pytest.raises(ValueError, match="pixels: expected one row per film_id"):
        film_features(films, pd.concat([pixels, pixels.head(1)]))


def test_model_finds_pneumonia_at_the_clinic(world):
    scores = model.performance(world)
    assert min(scores.values()) > 0.8


FOOTPRINT = """
import hashlib, json, sys
from pathlib import Path
from mlkit import model
from mlkit.params import stream
from mlkit.tables import content_hash
world = model.make_world("xrays", rng=stream(11, "xrays", "make"), **json.loads(sys.argv[1]))
model.save_model(model.fit(world), Path(sys.argv[2]))
print(content_hash(world), hashlib.sha256(Path(sys.argv[2]).read_bytes()).hexdigest())
"""


def test_films_and_model_have_the_same_bytes_elsewhere(world, knobs, fresh_python, tmp_path):
    """In another process, with other hashes, on what the libraries take for an older processor."""
    model.save_model(model.fit(world), tmp_path / "here.skops")
    here = hashlib.sha256((tmp_path / "here.skops").read_bytes()).hexdigest()
    older = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": NEWER}
    elsewhere = {"PYTHONHASHSEED": "1", **(older if X86_LINUX else {})}
    there = fresh_python(FOOTPRINT, json.dumps(knobs), tmp_path / "there.skops", **elsewhere)
    assert there == f"{content_hash(world)} {here}"
