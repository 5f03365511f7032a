"""The gate of every exercise, quiz and bet: held to all of it without an edit here."""

import doctest
import inspect
import io
import json
import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlkit import exercises
from mlkit.contents import GATE
from mlkit.exercises import LEVELS, Bet, Exercise, Quiz
from mlkit.exercises.compliance.verdicts import one_row_each
from mlkit.fill import FOLDER, blocks
from mlkit.notebooks import convert, names_below

sys.path.insert(0, str(Path(__file__).parent))
import gate

ROOT = Path(__file__).parents[1]
SAID = pd.DataFrame({"gap": np.nan, "low": 0.1, "high": 0.2, "verdict": "gap"}, index=["north"])
WORDS = exercises.words()
EXERCISES = exercises.of_kind(Exercise)
RIGHT = [block for word in WORDS for block in gate.right(word)]
WRONG = [block for word in WORDS for block in gate.wrong(word)]
SEEDS = [pytest.param(s, marks=[pytest.mark.slow] if s > 1000 else []) for s in range(1000, 1050)]
each_exercise = pytest.mark.parametrize("id", EXERCISES)
each_word = pytest.mark.parametrize("word", WORDS)


def named(found):
    """Return readable test names: the exercise, and the mistake or the number of the answer."""
    return [f"{b.id}-{i}-{b.says.replace(' ', '_') or 'reference'}" for i, b in enumerate(found)]


@cache
def sources():
    """Return the cells of every notebook."""
    folder = ROOT / "notebooks/src"
    return [convert(folder / f"{name}.py").cells for name in names_below(folder, ".py")]


def cells(word):
    """Return the cells of the notebooks that hold the exercises of a word."""
    uses = re.compile(rf'\b(?:check|answer|predict)\("{word}\b')
    return [c for group in sources() if any(uses.search(c.source) for c in group) for c in group]


def statement(id):
    """Return the cell before an exercise cell, and the exercise cell."""
    group = cells(id.partition(".")[0])
    ids = [cell.metadata.get("mlkit", {}).get("exercise") for cell in group]
    at = ids.index(id)
    return group[at - 1].source, group[at].source


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MLKIT_STRICT", raising=False)


# --- the gate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", RIGHT, ids=named(RIGHT))
def test_right_answer_passes(block):
    assert gate.result(block).state == "passed", gate.says(block)


@pytest.mark.parametrize("block", WRONG, ids=named(WRONG))
def test_wrong_answer_is_told_its_mistake_by_name(block):
    assert gate.result(block).state in ("failed", "stopped"), "it passes"
    assert block.says in gate.says(block), gate.says(block)


@each_exercise
def test_gate_is_wide_enough(id):
    right = [b.code for b in RIGHT if b.id == id]
    wrong = [b.code for b in WRONG if b.id == id]
    assert len(set(right)) == len(right) >= 3, "a reference and two more, all different"
    assert len(set(wrong)) == len(wrong) >= 5


def test_rates_are_printed_and_stored():
    measured = gate.rates()
    print(pd.DataFrame(measured).T)
    assert measured == json.loads((ROOT / GATE).read_text(encoding="utf-8"))
    assert all(passed == of for rate in measured.values() for passed, of in rate.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_checks_hold_for_every_seed_of_a_learner(seed, monkeypatch):
    monkeypatch.setenv("MLKIT_SEED", str(seed))
    gate.result.cache_clear()
    refused = [f"{b.id}: {gate.says(b)}" for b in RIGHT if gate.result(b).state != "passed"]
    let_through = [f"{b.id}: {b.says}: {gate.says(b)}" for b in WRONG if not gate.told(b)]
    gate.result.cache_clear()
    assert not refused and not let_through


def test_seed_of_a_learner_changes_the_world(monkeypatch):
    monkeypatch.setenv("MLKIT_SEED", "1")
    one = exercises.seeded("skew.1").random()
    monkeypatch.setenv("MLKIT_SEED", "2")
    assert exercises.seeded("skew.1").random() != one


# --- what is said ---------------------------------------------------------------------------------


@each_exercise
def test_exercise_has_hints_from_a_question_to_a_line(id):
    hints = EXERCISES[id].hints
    assert len(hints) == 3 and "?" in hints[0]


@each_exercise
def test_statement_is_complete(id):
    text, cell = statement(id)
    exercise = EXERCISES[id]
    level = f"*Level {exercise.level} ({LEVELS[exercise.level]}), about {exercise.minutes} minutes"
    wanted = [f"### {id} · {exercise.title}", level, "**Goal.**", "**Given.**", "**Return.**"]
    assert not [part for part in [*wanted, "**Checked.**"] if part not in text]
    assert f'check("{id}", {exercise.answer})' in cell


@pytest.mark.parametrize("block", RIGHT, ids=named(RIGHT))
def test_example_of_the_statement_holds(block):
    fence = re.search(r"```python\n(>>>.*?)```", statement(block.id)[0], re.DOTALL)
    answer = exercises.find(block.id).answer
    names = {"pd": pd, "np": np, answer: gate.answer(block)}
    example = doctest.DocTestParser().get_doctest(fence[1], names, block.id, None, 0)
    said = io.StringIO()
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.write)
    assert example.examples and not said.getvalue(), said.getvalue()


@each_exercise
def test_notebook_ships_the_exercise_unanswered(id):
    assert "raise NotImplementedError" in statement(id)[1]


@each_word
def test_quiz_is_asked_in_full_and_its_solution_is_right(word):
    quizzes = {i: q for i, q in exercises.of_kind(Quiz).items() if i.startswith(f"{word}.")}
    code = next(b.code for b in blocks(FOLDER / f"{word}.py") if b.id == f"{word}.quiz")
    right = ", ".join(f'{i.partition(".")[2]}="{q.right}"' for i, q in quizzes.items())
    assert code == f'answer("{word}", {right})'
    asked = code.replace('"', "…")  # the shipped cell has dots where the solution has letters
    shipped = next(c.source for c in cells(word) if c.source.startswith(f'answer("{word}"'))
    assert re.sub(r"…\w…", "...", asked).replace("…", '"') == shipped


@pytest.mark.parametrize("quiz", exercises.of_kind(Quiz).values(), ids=lambda quiz: quiz.id)
def test_every_option_of_a_quiz_explains_itself(quiz):
    assert len(quiz.options) >= 3
    assert all(len(text) > 3 and len(why) > 20 for text, why in quiz.options.values())


@pytest.mark.parametrize("bet", exercises.of_kind(Bet).values(), ids=lambda bet: bet.id)
def test_bet_is_placed_unanswered_and_revealed_later(bet):
    code = [c.source for c in cells(bet.id.partition(".")[0]) if c.cell_type == "code"]
    placed = [i for i, text in enumerate(code) if f'predict("{bet.id}", ...)' in text]
    revealed = [i for i, text in enumerate(code) if f'reveal("{bet.id}"' in text]
    assert len(placed) == len(revealed) == 1 and placed < revealed
    assert len(bet.usual) > 20


@each_word
def test_answers_belong_to_exercises(word):
    known = {*EXERCISES, f"{word}.quiz"}
    assert {b.id for b in blocks(FOLDER / f"{word}.py")} <= known
    assert {b.id for b in gate.wrong(word)} <= set(EXERCISES)


@each_exercise
def test_criteria_take_one_answer(id):
    assert len(inspect.signature(EXERCISES[id].criteria).parameters) == 1


def test_unknown_exercise_names_the_nearest():
    with pytest.raises(ValueError, match=r"no exercise 'skew\.9'; did you mean 'skew\.\d'"):
        exercises.find("skew.9")


def test_unknown_word_names_what_there_is():
    with pytest.raises(ValueError, match=r"there are: .*skew\.1"):
        exercises.find("nothing.1")


def test_right_option_is_among_the_options():
    with pytest.raises(ValueError, match=r"x\.q1: right = 'c': expected one of a, b"):
        exercises.quiz("x.q1", "?", right="c", a=("", ""), b=("", ""))


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "good", "bad", "says"),
    [
        (exercises.a_number, 0.5, "0.5", "expected a number, got str '0.5'"),
        (exercises.a_number, np.float64(1), True, "expected a number, got bool True"),
        (exercises.a_number, 1, float("nan"), "expected a number, got float nan"),
        (exercises.a_bool, np.bool_(True), 1, "expected True or False, got int 1"),
        (exercises.a_text, "a", None, "is a return missing?"),
        (exercises.a_set, {"a"}, ["a"], "expected a set of texts, got list"),
        (exercises.a_set, set(), {1}, "it holds int 1"),
        (exercises.a_series, pd.Series([1.0]), [1.0], "expected a pandas Series, got list"),
        (exercises.a_series, pd.Series([1]), pd.Series(["a"]), "expected a Series of numbers"),
        (exercises.a_frame("x"), pd.DataFrame({"x": []}), pd.DataFrame(), "a column 'x'"),
        (exercises.a_frame(), pd.DataFrame(), 3, "expected a pandas DataFrame, got int 3"),
        (one_row_each, SAID, 3, "expected a pandas DataFrame, got int 3"),
        (one_row_each, SAID, pd.concat([SAID, SAID]), "expected one row per group; twice: north"),
        (one_row_each, SAID, SAID.assign(low="0 %"), "low: expected numbers, got ['0 %']"),
    ],
)
def test_shape_tells_what_was_expected_and_what_came(shape, good, bad, says):
    assert shape(good) == ""
    assert says in shape(bad)
