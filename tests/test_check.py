"""The learner's verbs: what is said, what is kept, and that nothing a learner writes stops them."""

import json
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from mlkit import check as verbs
from mlkit import exercises
from mlkit.attempt import PRINTED_CHARACTERS, attempt
from mlkit.exercises import SHELF, a_number, expect
from mlkit.feedback import COLOURS, INK, MARKS, PAPER, QUIET, Feedback, Line, escape, short

ROOT = Path(__file__).parents[1]
TABLE = pd.DataFrame({"x": [1, 2, 3]})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A learner of their own, and one exercise, one quiz and two bets that nobody else has."""
    monkeypatch.setenv("MLKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLKIT_STRICT", raising=False)
    exercises.of_kind(exercises.Exercise)  # load them all, so that they come back
    before = dict(SHELF)

    @exercises.exercise(
        "tiny.1",
        title="Add up",
        level=1,
        minutes=2,
        returns=a_number,
        hints=["What is a sum?", "`x` is the column.", "return df['x'].sum()"],
        praise="You can add.",
    )
    def tiny_1(total):
        got = total(TABLE)
        yield expect(got == 6, "the sum of three rows", got=got, want=6, why="A mean is no sum.")
        yield expect(total(TABLE.head(0)) == 0, "no rows, no sum")

    exercises.quiz("tiny.q1", "Sum?", right="b", a=("five", "Count again."), b=("six", "Right."))
    exercises.bet("tiny.b1", "How much?", usual="to guess the mean.")
    exercises.bet("tiny.b2", "Which?", usual="to trust.", options=("mean", "sum"))
    yield tmp_path / "home"
    SHELF.clear()
    SHELF.update(before)


def right(df):
    return df["x"].sum()


# --- what a learner's code may do -----------------------------------------------------------------


def loops(df):
    while True:
        pass


def changes(df):
    df["x"] = 0
    return 6


def changes_a_label(df):
    df.rename(columns={"x": "y"}, inplace=True)
    return 6


def fills(df):
    df.loc[0, "x"] = 7
    return 6


CODE = {
    "raises": (lambda df: 1 / 0, "ZeroDivisionError: division by zero"),
    "no such column": (lambda df: df["y"].sum(), "KeyError: 'y'"),
    "no return": (lambda df: None, "expected a number, got None (is a return missing?)"),
    "wrong type": (lambda df: "six", "expected a number, got str 'six'"),
    "frame for a number": (lambda df: df, "expected a number, got DataFrame"),
    "changes a column": (changes, "changes the table it is given"),
    "changes a value": (fills, "changes the table it is given"),
    "changes a label": (changes_a_label, "changes the table it is given"),
    "ends the interpreter": (lambda df: sys.exit(3), "SystemExit: 3"),
    "wants no argument": (lambda: 6, "TypeError: "),
    "called already": (6, "expected the function total, without brackets; got int 6"),
    "a class": (dict, "expected the function total"),
    "interrupted": (lambda df: (_ for _ in ()).throw(KeyboardInterrupt), "a loop without an end?"),
}


@pytest.mark.parametrize("name", CODE)
def test_mishap_becomes_one_line_and_the_notebook_goes_on(name):
    code, says = CODE[name]
    feedback = verbs.check("tiny.1", code)
    assert feedback.state == "stopped"
    assert says in repr(feedback)
    assert len(feedback.lines) == 1


def test_endless_loop_can_be_interrupted():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread can be interrupted")
    import _thread
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    threading.Timer(0.3, _thread.interrupt_main).start()
    began = time.monotonic()
    feedback = verbs.check("tiny.1", loops)
    signal.signal(signal.SIGINT, before)
    assert "a loop without an end?" in repr(feedback)
    assert time.monotonic() - began < 30


def test_line_of_the_learner_is_shown():
    names = {}
    exec(
        compile("def total(df):\n    wrong = df['nothing']\n    return wrong", "<cell>", "exec"),
        names,
    )
    assert "in line 2" in repr(verbs.check("tiny.1", names["total"]))


def test_what_is_printed_is_shown_in_one_line_and_cut(capsys):
    def prints(df):
        print("looking\nat", len(df))
        print("x" * 10_000)
        return right(df)

    feedback = verbs.check("tiny.1", prints)
    assert feedback.state == "passed"
    assert "Your code printed: looking at 3 xxx" in repr(feedback)
    assert len(repr(feedback)) < PRINTED_CHARACTERS + 300
    assert capsys.readouterr().out == ""


def test_warnings_of_the_learners_code_stay_inside(recwarn):
    import warnings

    def warns(df):
        warnings.warn("old", stacklevel=1)
        return right(df)

    assert verbs.check("tiny.1", warns).state == "passed"
    assert not list(recwarn)


def test_criteria_see_their_own_tables_whatever_the_learner_does():
    before = TABLE.copy()
    verbs.check("tiny.1", changes)
    pd.testing.assert_frame_equal(TABLE, before)


@pytest.mark.parametrize("given", [..., None])
def test_nothing_given_is_not_attempted(given):
    assert verbs.check("tiny.1", given).state == "todo"


def test_stub_is_not_attempted_and_not_counted():
    def stub(df):
        raise NotImplementedError

    assert "○ not attempted · tiny.1 · Add up" in repr(verbs.check("tiny.1", stub))
    assert not verbs._done("exercises", "tiny.1")


def test_check_that_cannot_read_an_answer_says_so():
    @exercises.exercise(
        "tiny.2", title="", level=1, minutes=1, returns=lambda value: "", hints=["?"], praise=""
    )
    def tiny_2(f):
        yield expect(f().nothing, "never reached")

    try:
        assert "the check cannot read your answer: AttributeError" in repr(
            verbs.check("tiny.2", lambda: 1)
        )
    finally:
        del SHELF["tiny.2"]


# --- feedback -------------------------------------------------------------------------------------


def test_right_answer_passes_with_praise():
    feedback = verbs.check("tiny.1", right)
    assert feedback.state == "passed"
    assert repr(feedback).startswith("✔ passed · tiny.1 · Add up\n")
    assert repr(feedback).endswith("You can add.")


def test_wrong_answer_gets_every_criterion_got_wanted_and_why():
    feedback = verbs.check("tiny.1", lambda df: float(df["x"].mean()) if len(df) else 0)
    assert "✘ failed · the sum of three rows" in repr(feedback)
    assert "got 2, wanted 6" in repr(feedback)
    assert "A mean is no sum." in repr(feedback)
    assert "✔ passed · no rows, no sum" in repr(feedback)


def test_points_are_those_of_the_criteria_that_hold():
    exercise = exercises.find("tiny.1")
    assert attempt(exercise, right).points == 1
    assert attempt(exercise, lambda df: 6).points == 0.5
    assert attempt(exercise, lambda df: 1 / 0).points == 0


def test_strict_mode_raises_what_does_not_pass(monkeypatch):
    monkeypatch.setenv("MLKIT_STRICT", "1")
    assert verbs.check("tiny.1", right).state == "passed"
    with pytest.raises(AssertionError, match="failed · the sum"):
        verbs.check("tiny.1", lambda df: 0)
    with pytest.raises(AssertionError, match="not attempted"):
        verbs.check("tiny.1")
    with pytest.raises(AssertionError, match="0 of 1 right"):
        verbs.answer("tiny", q1="a")


def test_html_has_the_words_of_the_text_and_no_script():
    feedback = verbs.check("tiny.1", lambda df: "<script>alert(1)</script>")
    page = feedback._repr_html_()
    assert "✘ stopped" in page and "&lt;script&gt;" in page
    assert "<script" not in page and "class=" not in page and "http" not in page


def contrast(one, other):
    """Return the contrast ratio of two colours (WCAG 2)."""

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [*COLOURS.values(), INK, QUIET])
def test_text_can_be_read_on_its_own_background(colour):
    assert contrast(colour, PAPER) >= 4.5


def test_background_is_set_with_the_colour_of_the_text():
    assert f"background:{PAPER};color:{INK}" in Feedback("note", "hello")._repr_html_()


def test_state_is_said_in_words():
    assert all(word.split()[1:] for state, word in MARKS.items() if state != "note")


def test_code_in_backticks_is_set_as_code():
    code = '<code style="background:#F0F2F4;color:#1F2328">a &lt; b</code>'
    assert escape("run `a < b` now") == f"run {code} now"
    assert escape("one ` only") == "one ` only"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"b": 0.123456, "a": 1}, "{b: 0.1235, a: 1}"),
        ({"b", "a"}, "{a, b}"),
        (set(), "nothing"),
        ([1.0, "x"], "[1, x]"),
        ("y" * 100, "y" * 77 + "..."),
    ],
)
def test_values_are_shown_in_few_words(value, says):
    assert short(value) == says


def test_line_without_a_state_has_no_mark():
    assert repr(Feedback("note", "a", (Line("note", "b"),))) == "a\n  b"


# --- bets -----------------------------------------------------------------------------------------


def test_no_bet_is_a_question():
    assert "No bet yet: replace ... by a number from 0 to 1." in repr(verbs.predict("tiny.b1", ...))


def test_bet_is_kept_and_revealed_with_its_distance():
    verbs.predict("tiny.b1", 0.5)
    said = repr(verbs.reveal("tiny.b1", 0.75))
    assert "Your bet: 0.500, 0.250 off" in said and "The truth: 0.750" in said
    assert "The usual mistake: to guess the mean." in said


def test_bet_can_be_changed_until_it_is_revealed():
    verbs.predict("tiny.b1", 0.5)
    verbs.predict("tiny.b1", 0.6)
    verbs.reveal("tiny.b1", 0.75)
    assert "The truth is out; you said 0.6." in repr(verbs.predict("tiny.b1", 0.75))
    assert "Your bet: 0.600" in repr(verbs.reveal("tiny.b1", 0.75))


def test_truth_is_shown_to_those_who_did_not_bet():
    assert "Your bet: none" in repr(verbs.reveal("tiny.b1", 0.75))
    assert "no bet was placed" in repr(verbs.predict("tiny.b1", 0.75))


@pytest.mark.parametrize(
    ("id", "guess", "says"),
    [
        ("tiny.b1", 75, "Expected a number from 0 to 1, got 75; no bet is placed."),
        ("tiny.b1", "much", "got much"),
        ("tiny.b1", True, "got True"),
        ("tiny.b1", float("nan"), "got nan"),
        ("tiny.b2", "median", "Expected one of 'mean', 'sum', got median"),
    ],
)
def test_impossible_bet_is_refused_in_one_line(id, guess, says):
    assert says in repr(verbs.predict(id, guess))
    assert "Your bet: none" in repr(verbs.reveal(id, "sum"))


def test_bet_on_a_word():
    verbs.predict("tiny.b2", "mean")
    assert "Your bet: mean, and it was another" in repr(verbs.reveal("tiny.b2", "sum"))


# --- hints, solutions, quiz -----------------------------------------------------------------------


def test_hints_go_from_a_question_to_a_line_and_stay_there():
    said = [repr(verbs.hint("tiny.1")) for _ in range(4)]
    assert [text[:11] for text in said] == ["Hint 1 of 3", "Hint 2 of 3", *["Hint 3 of 3"] * 2]
    assert "What is a sum?" in said[0] and "That was the last one." in said[2]


def test_solution_waits_for_an_attempt(monkeypatch):
    assert "Try once" in repr(verbs.solution("skew.1"))
    verbs.check("skew.1", lambda log, rtol: log["served"])
    assert "np.isclose" in verbs.solution("skew.1").data


def test_solution_opens_for_those_who_give_up():
    assert "np.isclose" in verbs.solution("skew.1", give_up=True).data


def test_copy_without_solutions_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("mlkit.fill.FOLDER", tmp_path)
    assert "not part of this copy" in repr(verbs.solution("skew.1", give_up=True))


def test_unanswered_quiz_asks():
    said = repr(verbs.answer("tiny", q1=...))
    assert "q1 · Sum?" in said and "a: five" in said and "b: six" in said


@pytest.mark.parametrize(
    ("choice", "state", "says"),
    [
        ("a", "failed", "Count again."),
        ("b", "passed", "Right."),
        ("c", "stopped", "expected one of 'a', 'b', got c"),
        (2, "stopped", "got 2"),
    ],
)
def test_quiz_explains_what_was_chosen(choice, state, says):
    feedback = verbs.answer("tiny", q1=choice)
    assert feedback.state == state and says in repr(feedback)


# --- what is kept ---------------------------------------------------------------------------------


def test_folder_and_file_are_made_where_mlkit_home_says(home):
    verbs.predict("tiny.b1", 0.5)
    kept = json.loads((home / "progress.json").read_text(encoding="utf-8"))
    assert kept["bets"] == {"tiny.b1": {"guess": 0.5}}


def test_without_mlkit_home_the_file_is_beside_params(monkeypatch, tmp_path):
    (tmp_path / "params.yaml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.delenv("MLKIT_HOME")
    monkeypatch.chdir(tmp_path / "notebooks")
    verbs.predict("tiny.b1", 0.5)
    assert (tmp_path / ".mlkit/progress.json").is_file()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"bets": 3}'])
def test_unreadable_file_is_set_aside_and_not_lost(home, text):
    home.mkdir()
    (home / "progress.json").write_text(text, encoding="utf-8")
    verbs.predict("tiny.b1", 0.5)
    assert (home / "progress.unreadable.json").read_text(encoding="utf-8") == text
    assert verbs._read()["bets"] == {"tiny.b1": {"guess": 0.5}}


def test_progress_tells_alone_from_helped():
    verbs.check("tiny.1", right)
    assert "✔ passed · tiny.1 · Add up · alone" in repr(verbs.progress("tiny"))
    verbs.hint("tiny.1")
    assert "with 1 hint" in repr(verbs.progress("tiny"))
    verbs._note("exercises", "tiny.1", seen=True)
    assert "after the solution" in repr(verbs.progress("tiny"))


def test_passed_stays_passed_after_a_worse_attempt():
    verbs.check("tiny.1", right)
    verbs.check("tiny.1", lambda df: 0)
    assert verbs.progress("tiny").headline == "1 of 1 exercises solved"


def test_progress_draws_bets_beside_their_truth(monkeypatch):
    shown = []
    monkeypatch.setattr("mlkit.plots.show", lambda ax, alt: shown.append(ax))
    verbs.predict("tiny.b1", 0.5)
    verbs.progress("tiny")
    assert not shown, "nothing is drawn before the truth is out"
    verbs.reveal("tiny.b1", 0.75)
    assert "bets: 1 of 2 placed and revealed" in repr(verbs.progress("tiny"))
    titles = {shown[0].get_title(loc=place) for place in ("left", "center")}  # a style decides
    assert "Your bets were 0.25 off on average" in titles


def test_progress_of_all_words_counts_every_exercise():
    assert len(verbs.progress().lines) >= 6


def test_forget_takes_one_notebook_only(tmp_path):
    verbs.predict("tiny.b1", 0.5)
    verbs.check("skew.1", lambda log, rtol: log["served"])
    notebook = tmp_path / "one.ipynb"
    notebook.write_text(json.dumps({"source": 'predict("tiny.b1", ...)'}), encoding="utf-8")
    assert verbs.forget(notebook) == 1
    assert not verbs._done("bets", "tiny.b1")
    assert verbs._done("exercises", "skew.1")
