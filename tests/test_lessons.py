"""The contract of every challenge: the same verbs, over the same tables, with the same promises.

Parametrised over `mlkit.CHALLENGES`: a new challenge is held to all of it without an edit here.
"""

import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from mlkit import CHALLENGES, lineage, model
from mlkit.params import VERBS as WITH_OPTIONS
from mlkit.params import options, stream
from mlkit.tables import content_hash, without_truth

ROOT = Path(__file__).parents[1]
VERBS = ["inject", "naive_detect", "detect", "repair", "score"]
COLUMNS = ["check", "subject", "value", "limit", "failed"]
LESSONS = {word: importlib.import_module(f"mlkit.{word}") for word in CHALLENGES}
KINDS = [(word, kind) for word, lesson in LESSONS.items() for kind in lesson.KINDS]
HARMFUL = [(word, kind) for word, kind in KINDS if LESSONS[word].KINDS[kind].harm == "yes"]

each_word = pytest.mark.parametrize("word", CHALLENGES)
each_kind = pytest.mark.parametrize(("word", "kind"), KINDS, ids=map("-".join, KINDS))


def needs(word: str, *verbs: str) -> None:
    """Skip when a challenge says that, and why, it leaves out one of the verbs."""
    for verb in verbs:
        if verb in getattr(LESSONS[word], "NO_VERB", {}):
            pytest.skip(f"{word} has no {verb}: {LESSONS[word].NO_VERB[verb]}")


@pytest.fixture(scope="module")
def world_of(params):
    """Return a function that gives a challenge its healthy world, each made once."""
    made = {}

    def get(word):
        name = LESSONS[word].WORLD
        if name not in made:
            rng = stream(params["seed"], name, "make")
            made[name] = model.make_world(name, rng=rng, **params["worlds"][name])
        return made[name]

    return get


@pytest.fixture(scope="module")
def inject(params, world_of):
    """Return a function that gives the world of a challenge with a fault of a kind."""

    def act(word, kind, **changed):
        needs(word, "inject")
        given = {**params[word]["inject"], "kind": kind, **changed}
        rng = stream(params["seed"], word, "inject")
        return LESSONS[word].inject(world_of(word), rng=rng, **given)

    return act


@pytest.fixture(scope="module")
def broken_by(inject):
    """Return the same as `inject`, each made once."""
    return cache(inject)


# --- verbs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@each_word
def test_verb_is_there_or_its_absence_is_explained(word, verb):
    reason = getattr(LESSONS[word], "NO_VERB", {}).get(verb, "")
    assert hasattr(LESSONS[word], verb) != (len(reason) > 20)


def test_numbers_of_the_challenges_rise():
    numbers = [int(re.match(r"Challenge (\d+), ", m.__doc__)[1]) for m in LESSONS.values()]
    assert numbers == sorted(set(numbers))


@each_word
def test_world_and_harmless_preset_exist(word, params):
    assert LESSONS[word].HARMLESS in params["presets"][LESSONS[word].WORLD]


@each_word
def test_first_kind_is_the_default(word):
    needs(word, "inject")
    default = inspect.signature(LESSONS[word].inject).parameters["kind"].default
    assert default == next(iter(LESSONS[word].KINDS))


@each_kind
def test_kind_declares_its_harm(word, kind):
    assert LESSONS[word].KINDS[kind].harm in {"yes", "no", "depends"}


@each_word
def test_one_kind_at_least_does_harm_that_the_usual_check_misses(word):
    assert any(kind.harm == "yes" and not kind.loud for kind in LESSONS[word].KINDS.values())


@each_word
def test_randomness_comes_from_the_caller(word):
    for verb in (verb for verb in VERBS if hasattr(LESSONS[word], verb)):
        rng = inspect.signature(getattr(LESSONS[word], verb)).parameters.get("rng")
        assert rng is None or (rng.kind is rng.KEYWORD_ONLY and rng.default is rng.empty)


# --- inject ---------------------------------------------------------------------------------------


@each_kind
def test_severity_0_is_the_world_itself(word, kind, world_of, inject):
    assert content_hash(inject(word, kind, severity=0)) == content_hash(world_of(word))


@each_kind
def test_fault_leaves_its_world_alone(word, kind, world_of, inject):
    before = content_hash(world_of(word))
    inject(word, kind)
    assert content_hash(world_of(word)) == before


@each_kind
def test_same_stream_gives_the_same_fault(word, kind, world_of, inject, broken_by):
    once = content_hash(broken_by(word, kind))
    assert content_hash(inject(word, kind)) == once != content_hash(world_of(word))


@each_kind
def test_fault_leaves_the_truth_alone(word, kind, world_of, broken_by):
    if reason := getattr(LESSONS[word], "CHANGES_TRUTH", ""):
        pytest.skip(f"{word} changes the truth: {reason}")

    def truth(tables):
        return content_hash({n: t for n, t in tables.items() if n.startswith("truth_")})

    assert truth(broken_by(word, kind)) == truth(world_of(word))


# --- checks and scores ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["naive_detect", "detect"])
@each_word
def test_check_has_the_columns_of_every_check(word, verb, world_of):
    needs(word, verb)
    findings = getattr(LESSONS[word], verb)(world_of(word), world_of(word))
    assert list(findings)[: len(COLUMNS)] == COLUMNS
    assert findings["failed"].dtype == bool


@pytest.mark.parametrize("verb", ["naive_detect", "detect"])
@each_word
def test_check_is_silent_on_the_healthy_world(word, verb, world_of):
    needs(word, verb)
    assert not getattr(LESSONS[word], verb)(world_of(word), world_of(word))["failed"].any()


@each_word
def test_score_has_its_three_keys(word, world_of):
    needs(word, "score")
    score = LESSONS[word].score(world_of(word))
    assert {"offline", "honest", "production"} <= set(score)
    assert all(type(value) is float for value in score.values())


@each_word
def test_no_verb_but_score_looks_at_the_truth(word, world_of, broken_by):
    lesson, world = LESSONS[word], world_of(word)
    broken = broken_by(word, next(iter(lesson.KINDS)))
    for verb in ("naive_detect", "detect"):
        if hasattr(lesson, verb):
            seen, blind = (
                getattr(lesson, verb)(a, b)
                for a, b in ((world, broken), (without_truth(world), without_truth(broken)))
            )
            pd.testing.assert_frame_equal(seen, blind)
    if hasattr(lesson, "repair"):
        seen, blind = without_truth(lesson.repair(broken)), lesson.repair(without_truth(broken))
        assert content_hash(seen) == content_hash(blind)


@each_word
def test_repair_leaves_its_input_alone(word, broken_by):
    needs(word, "repair")
    broken = broken_by(word, next(iter(LESSONS[word].KINDS)))
    before = content_hash(broken)
    LESSONS[word].repair(broken)
    assert content_hash(broken) == before


@pytest.mark.parametrize(("word", "kind"), HARMFUL, ids=map("-".join, HARMFUL))
def test_fault_hurts_the_usual_check_passes_the_good_one_finds_it_and_the_repair_heals(
    word, kind, params, world_of, broken_by
):
    needs(word, *VERBS)
    lesson, clean, broken = LESSONS[word], world_of(word), broken_by(word, kind)
    fixed = lesson.repair(broken, **params[word]["repair"])
    key, least = getattr(lesson, "HARM", ("production", 0.02))
    healthy, hurt, healed = (lesson.score(t)[key] for t in (clean, broken, fixed))
    assert hurt <= healthy - least, "it hurts"
    assert lesson.naive_detect(clean, broken)["failed"].any() == lesson.KINDS[kind].loud
    assert lesson.detect(clean, broken, **params[word]["detect"])["failed"].any(), "it is found"
    assert healed - hurt >= 0.5 * (healthy - hurt), "the repair heals"


# --- one word, the same word everywhere -----------------------------------------------------------


@each_word
@pytest.mark.parametrize("pattern", ["[0-9][0-9]_{}", "[0-9][0-9]b_{}_*"])
def test_lesson_and_gallery_have_one_source_each(word, pattern):
    found = list((ROOT / "notebooks/src").glob(pattern.format(word) + ".py"))
    assert len(found) == 1


@each_word
@pytest.mark.parametrize("name", ["claims/{}.yaml", "tests/test_{}.py"])
def test_files_of_the_word_exist(word, name):
    assert (ROOT / name.format(word)).is_file()


@each_word
def test_pipeline_has_its_stages(word):
    names = {stage.name for stage in lineage.stages(ROOT / "dvc.yaml")}
    assert {f"{verb}@{word}" for verb in ("inject", "repair", "score")} <= names


@each_word
def test_block_of_parameters_is_the_options_of_its_verbs(word, params):
    verbs = {verb for verb in WITH_OPTIONS if hasattr(LESSONS[word], verb)}
    assert set(params[word]) == verbs
    for verb in verbs:
        assert set(params[word][verb]) == set(options(getattr(LESSONS[word], verb)))
