"""The shortcut of the archive: it hurts at the clinic, is seen by checks, and can be repaired."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from mlkit import model, plots
from mlkit.leakage import films as shortcut
from mlkit.params import stream
from mlkit.plots.films import where_it_looks
from mlkit.tables import content_hash, without_truth
from mlkit.tasks import TASKS
from mlkit.worlds.xrays import PIXELS, SIDE

FINDINGS = ["check", "subject", "value", "limit", "failed"]
SQUARE = slice(8, 13)


@pytest.fixture(scope="module")
def make(params):
    """Return a function that makes films with their model in operation, each setting once."""
    made = {}

    def get(**changed):
        key = tuple(sorted(changed.items()))
        if key not in made:
            knobs = {**params["worlds"]["xrays"], **changed}
            made[key] = model.make_world("xrays", rng=stream(11, "xrays", "make"), **knobs)
        return made[key]

    return get


@pytest.fixture(scope="module")
def world(make):
    """Yield the healthy films; fail at the end when a test changed them in place."""
    before = content_hash(make())
    yield make()
    assert content_hash(make()) == before, "a test changed the shared films in place"


@pytest.fixture(scope="module")
def broken(world):
    return shortcut.inject_shortcut(world, rng=stream(11, "films"))


@pytest.fixture(scope="module")
def scores(world, broken):
    """Return the scores of the healthy and the broken state."""
    return {"clean": shortcut.film_scores(world), "broken": shortcut.film_scores(broken)}


# --- the fault and its repair ---------------------------------------------------------------------


def test_archive_says_well_and_the_clinic_says_ill(scores):
    assert scores["broken"]["validation"] > 0.9
    assert scores["broken"]["outpatient"] < 0.72
    assert scores["broken"]["recall"] < 0.5
    assert scores["broken"]["slice_recall"] < scores["clean"]["slice_recall"] - 0.2


def test_outpatient_films_in_training_repair_it(broken, scores):
    fixed = shortcut.repair_shortcut(broken)
    assert model.performance(fixed)["production"] > scores["broken"]["outpatient"] + 0.15
    assert scores["clean"]["validation"] - scores["clean"]["outpatient"] < 0.08


def test_repair_gives_back_the_healthy_world(world, broken):
    assert content_hash(shortcut.repair_shortcut(broken)) == content_hash(world)


def test_repair_and_checks_need_no_truth(broken):
    blind = without_truth(broken)
    again = shortcut.repair_shortcut(blind)["decisions"]
    pd.testing.assert_frame_equal(again, shortcut.repair_shortcut(broken)["decisions"])
    pd.testing.assert_frame_equal(shortcut.detect_shortcut(blind), shortcut.detect_shortcut(broken))
    np.testing.assert_array_equal(shortcut.evidence_map(blind), shortcut.evidence_map(broken))


def test_fault_takes_the_films_of_the_clinic_and_no_other(world, broken):
    gone = world["films"][~world["films"]["film_id"].isin(broken["training"]["film_id"])]
    archived = world["films"][model.periods(world["films"], TASKS["xrays"]) != "production"]
    assert gone["film_id"].tolist() == archived.query("site == 'outpatient'")["film_id"].tolist()


@pytest.mark.parametrize("inject", [shortcut.inject_shortcut, shortcut.inject_fewer_films])
def test_severity_0_is_the_world_itself(world, inject):
    rng = stream(11, "films")
    assert content_hash(inject(world, rng=rng, severity=0.0)) == content_hash(world)


@pytest.mark.parametrize("inject", [shortcut.inject_shortcut, shortcut.inject_fewer_films])
def test_same_stream_gives_the_same_fault(world, inject):
    one, two, other = (inject(world, rng=stream(seed), severity=0.5) for seed in (1, 1, 2))
    assert content_hash(one) == content_hash(two) != content_hash(other)


def test_as_many_films_less_are_not_the_cause(world, broken, scores):
    fewer = shortcut.inject_fewer_films(world, rng=stream(11, "films"))
    assert len(fewer["training"]) == len(broken["training"])
    assert model.performance(fewer)["production"] > scores["broken"]["outpatient"] + 0.1


def test_no_gap_where_equipment_is_independent_of_illness(make):
    even = make(p_equip_sick=0.45, p_equip_well=0.45)
    hospital = shortcut.inject_shortcut(even, rng=stream(11, "films"))
    found = shortcut.film_scores(hospital)
    assert abs(found["validation"] - found["outpatient"]) < 0.06
    assert found["equipment_alone"] < 0.6
    assert not shortcut.detect_shortcut(hospital).set_index("check").loc["recall gap", "failed"]


# --- checks ---------------------------------------------------------------------------------------


def test_both_checks_find_the_shortcut_and_are_silent_without(world, broken):
    assert list(shortcut.detect_shortcut(broken)) == FINDINGS
    assert shortcut.detect_shortcut(broken)["failed"].all()
    assert not shortcut.detect_shortcut(world)["failed"].any()


def test_recall_gap_is_that_of_the_slices(broken):
    recall = shortcut.slice_recall(broken)
    found = shortcut.detect_shortcut(broken).set_index("check").loc["recall gap", "value"]
    assert found == recall[True] - recall[False]


def test_slice_recall_is_counted_by_hand(broken):
    X, y = model.labelled(broken, "training", "validate")
    guess = pd.Series(model.fit(broken).predict(X), index=y.index)
    films = broken["films"].merge(broken["training"][["film_id"]], on="film_id")
    period = model.periods(broken["films"], TASKS["xrays"])
    films = films[films["film_id"].isin(broken["films"]["film_id"][period == "validate"])]
    shown = films["equipment"].to_numpy()
    for kind in (True, False):
        rows = y.to_numpy() & (shown == kind)
        assert shortcut.slice_recall(broken)[kind] == guess.to_numpy()[rows].mean()


def test_slice_without_films_is_nan_and_fails_nothing(make):
    none = make(p_equip_sick=0.0, p_equip_well=0.0)
    assert np.isnan(shortcut.slice_recall(none)[True])
    assert not shortcut.detect_shortcut(none)["failed"].any()


def test_equipment_alone_is_nearly_the_answer(scores, world):
    assert scores["broken"]["equipment_alone"] > 0.9
    hospital = world["films"].query("site != 'outpatient'")
    site = shortcut.alone(hospital, column="site")
    assert site == pytest.approx(shortcut.alone(hospital))


def test_column_alone_is_the_most_common_answer_of_each_value():
    films = pd.DataFrame(
        {"site": list("aaabbc"), "pneumonia": [True, True, False, False, True, None]}
    )
    films = films.astype({"pneumonia": "boolean"})
    assert shortcut.alone(films, column="site") == 3 / 5
    missing = films.assign(site=["a", "a", None, None, "b", "c"])
    assert shortcut.alone(missing, column="site") == 1.0


# --- where the model looks ------------------------------------------------------------------------


class OneSquare:
    """A model that looks at one square of the film, in its log-odds."""

    def predict_proba(self, X):
        """Return both probabilities for the mean brightness of the square."""
        grey = X.to_numpy().reshape(-1, SIDE, SIDE)[:, SQUARE, SQUARE].mean(axis=(1, 2))
        sick = 1 / (1 + np.exp(-grey / 100))
        return np.c_[1 - sick, sick]


def test_occlusion_finds_the_square_that_a_model_looks_at():
    films = np.full((3, SIDE**2), 100.0)
    found = shortcut.occlusion(OneSquare(), films, blank=np.zeros(SIDE**2), step=1)
    assert np.unravel_index(found.argmax(), found.shape) == (10, 10)
    assert found[10, 10] == pytest.approx(1.0)
    assert found[8, 10] == pytest.approx(3 / 5)
    found[6:15, 6:15] = 0
    assert np.abs(found).max() < 1e-12


def test_occlusion_of_a_model_that_does_not_look_is_zero(world):
    blind = DummyClassifier().fit(np.zeros((4, SIDE**2)), [0, 1, 0, 1])
    films = world["pixels"][list(PIXELS)].to_numpy()[:5]
    assert not shortcut.occlusion(blind, films, blank=films[0]).any()


def test_occlusion_does_not_change_its_films():
    films = np.full((2, SIDE**2), 100.0)
    shortcut.occlusion(OneSquare(), films, blank=np.zeros(SIDE**2), step=8)
    assert (films == 100).all()


@pytest.mark.parametrize("step", [1, 2, 3, 32])
def test_map_has_the_size_of_a_film(step):
    films = np.zeros((1, SIDE**2))
    found = shortcut.occlusion(OneSquare(), films, blank=films[0], step=step)
    assert found.shape == (SIDE, SIDE)


def test_model_looks_at_the_tube_before_the_repair_and_more_at_the_lungs_after(world, broken, make):
    even = make(p_equip_sick=0.45, p_equip_well=0.45)
    before, after, best = map(shortcut.evidence_map, (broken, world, even))
    tube = (slice(0, 16), slice(13, 20))
    assert before[tube].sum() > 0.4 * np.clip(before, 0, None).sum()
    shares = [shortcut.share_on_lungs(found) for found in (before, after, best)]
    assert shares[0] + 0.05 < shares[1] < shares[2]


def test_share_on_lungs_is_that_of_the_evidence():
    assert shortcut.share_on_lungs(np.ones((SIDE, SIDE))) == pytest.approx(shortcut.ILL.mean())
    assert shortcut.share_on_lungs(np.where(shortcut.ILL, 1.0, -5.0)) == 1.0
    assert np.isnan(shortcut.share_on_lungs(-np.ones((SIDE, SIDE))))


def test_examples_are_one_film_of_each_kind(world):
    kinds = shortcut.examples(world)
    assert list(kinds) == ["healthy", "sick", "healthy, equipment", "sick, equipment"]
    films, grey = world["films"], world["pixels"][list(PIXELS)].to_numpy()
    wanted = films["equipment"] & ~films["pneumonia"]
    first = films.index[wanted.fillna(False)][0]
    np.testing.assert_array_equal(kinds["healthy, equipment"].ravel(), grey[first])


# --- what is refused ------------------------------------------------------------------------------

FLAT = np.zeros((2, SIDE**2))
WORDS = {
    "severity": (
        lambda w: shortcut.inject_shortcut(w, rng=stream(1), severity=1.5),
        ValueError,
        "severity = 1.5: expected a number >= 0 and <= 1",
    ),
    "other world": (
        lambda w: shortcut.inject_shortcut({"offers": w["films"]}, rng=stream(1)),
        KeyError,
        "tables lacks 'films'",
    ),
    "no site": (
        lambda w: shortcut.detect_shortcut({**w, "films": w["films"].drop(columns="site")}),
        KeyError,
        "films lacks 'site'",
    ),
    "no decisions": (
        lambda w: shortcut.detect_shortcut({k: t for k, t in w.items() if k != "decisions"}),
        KeyError,
        "tables lacks 'decisions'",
    ),
    "films twice": (
        lambda w: shortcut.detect_shortcut({**w, "films": pd.concat([w["films"], w["films"][:1]])}),
        ValueError,
        "films: expected one row per film_id",
    ),
    "no pixels": (
        lambda w: shortcut.repair_shortcut({k: t for k, t in w.items() if k != "pixels"}),
        KeyError,
        "tables lacks 'pixels'",
    ),
    "no column": (lambda w: shortcut.alone(w["films"], column="sight"), KeyError, "Closest.*site"),
    "no answer": (
        lambda w: shortcut.alone(w["films"].tail(1)),
        ValueError,
        "films.pneumonia: expected a known answer, came 1 unknown",
    ),
    "one film flat": (
        lambda w: shortcut.occlusion(OneSquare(), FLAT[0], blank=FLAT[0]),
        ValueError,
        r"films: expected shape \(n, 1024\)",
    ),
    "no film": (
        lambda w: shortcut.occlusion(OneSquare(), FLAT[:0], blank=FLAT[0]),
        ValueError,
        r"n >= 1, came \(0, 1024\)",
    ),
    "blank": (
        lambda w: shortcut.occlusion(OneSquare(), FLAT, blank=FLAT),
        ValueError,
        r"blank: expected shape \(1024,\), came \(2, 1024\)",
    ),
    "patch": (
        lambda w: shortcut.occlusion(OneSquare(), FLAT, blank=FLAT[0], patch=0),
        ValueError,
        "patch = 0: expected a whole number >= 1",
    ),
    "map": (lambda w: shortcut.share_on_lungs(FLAT), ValueError, r"shape \(32, 32\), came"),
    "nothing to draw": (lambda w: where_it_looks({}, {}), ValueError, "came 0 and 0"),
}


@pytest.mark.parametrize(("call", "error", "says"), WORDS.values(), ids=WORDS)
def test_bad_input_is_named_in_one_line(world, call, error, says):
    with pytest.raises(error, match=says) as caught:
        call(world)
    assert "\n" not in str(caught.value)


# --- the figure -----------------------------------------------------------------------------------


def test_figure_states_its_shares_and_has_a_panel_for_each(world):
    half = np.where(shortcut.ILL, 1.0, 0.0)
    half[~shortcut.ILL] = shortcut.ILL.sum() / (~shortcut.ILL).sum()
    all_of_it = shortcut.ILL.astype(float)
    with mpl.style.context(plots.STYLE):
        ax = where_it_looks(shortcut.examples(world), {"broken": half, "fixed": all_of_it})
        assert len(plots.png(ax)) > 10_000
    title = ax.figure.get_figure(root=True).get_suptitle()
    assert title == "Evidence on the lungs: 50% before the repair, 100% after"
    assert len(ax.figure.get_figure(root=True).axes) == 6


def test_same_figure_has_the_same_bytes(world):
    maps = {"broken": shortcut.ILL.astype(float)}
    one, two = (plots.png(where_it_looks(shortcut.examples(world), maps)) for _ in range(2))
    assert one == two
