"""The learner's verbs: predict, reveal, check, hint, solution, answer, progress.

    predict("skew.b1", 0.7)         a bet, before you look
    reveal("skew.b1", truth)        your bet, the truth, and why most people bet otherwise
    check("skew.1", my_function)    every criterion, with what was got and what was wanted
    hint("skew.1")                  a question, then where to look, then a line of code
    solution("skew.1")              one way to do it, after you have tried
    answer("skew", q1="b")          the quiz: what each option would mean
    progress()                      what you have done so far

What a learner did is kept in one JSON file in the folder that MLKIT_HOME names (default: `.mlkit/`
beside params.yaml). With MLKIT_STRICT=1 an answer that does not pass raises: so the reference
solutions are tested in the notebooks themselves.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from mlkit.attempt import Result, attempt
from mlkit.exercises import LEVELS, Bet, Exercise, Quiz, find, of_kind
from mlkit.feedback import Feedback, Line, State, short
from mlkit.lesson import say
from mlkit.params import nearest_file
from mlkit.tables import write_text

USED = re.compile(r'\b(?:predict|reveal|check|answer)\(\\?"(\w+)')  # words of a notebook's calls
EMPTY: dict[str, dict] = {"bets": {}, "exercises": {}, "quizzes": {}}


# Bets


def predict(id: str, guess: Any = ...) -> Feedback:
    """Return the receipt of a bet; without a guess, the question. A revealed bet stays as it was.

    Raises
    ------
    ValueError: no such bet
    """
    bet, state = find(id, Bet), _read()
    placed = state["bets"].get(id, {})
    if "truth" in placed and guess is not ...:
        kept = f"you said {short(placed['guess'])}" if "guess" in placed else "no bet was placed"
        return Feedback("note", f"{bet.question} The truth is out; {kept}.")
    if guess is ...:
        return Feedback("todo", bet.question, closing=f"No bet yet: replace ... by {_range(bet)}.")
    if not _fits(bet, guess):
        closing = f"Expected {_range(bet)}, got {short(guess)}; no bet is placed."
        return Feedback("stopped", bet.question, closing=closing)
    _write({**state, "bets": {**state["bets"], id: {"guess": _json(guess)}}})
    return Feedback("note", f"{bet.question} Your bet: {short(guess)}.")


def reveal(id: str, truth: Any) -> Feedback:
    """Return a bet beside the truth, and the reason for which most people bet otherwise.

    Raises
    ------
    ValueError: no such bet
    """
    bet, state = find(id, Bet), _read()
    placed = {**state["bets"].get(id, {}), "truth": _json(truth)}
    _write({**state, "bets": {**state["bets"], id: placed}})
    lines = [Line("note", f"The truth: {_shown(truth)}")]
    if "guess" in placed:
        lines.insert(0, Line("note", f"Your bet: {_shown(placed['guess'])}{_miss(placed)}"))
    else:
        lines.insert(0, Line("note", "Your bet: none"))
    return Feedback("note", bet.question, tuple(lines), closing=f"The usual mistake: {bet.usual}")


def _range(bet: Bet) -> str:
    if bet.options:
        return "one of " + ", ".join(map(repr, bet.options))
    return f"a number from {bet.low:g} to {bet.high:g}"


def _fits(bet: Bet, guess: Any) -> bool:
    if bet.options:
        return isinstance(guess, str) and guess in bet.options
    number = isinstance(_json(guess), (int, float)) and not isinstance(guess, bool)
    return bool(number and bet.low <= guess <= bet.high)


def _miss(placed: dict[str, Any]) -> str:
    guess, truth = placed["guess"], placed["truth"]
    if isinstance(guess, str):
        return ", as it was" if guess == truth else ", and it was another"
    return f", {abs(guess - truth):.3f} off"


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(_json(value), float) else short(value)


# Exercises


def check(id: str, given: Any = ...) -> Feedback:
    """Return what is right and wrong about an answer, one line per criterion.

    Raises
    ------
    ValueError: no such exercise
    AssertionError: the answer does not pass, and MLKIT_STRICT is set
    """
    result = attempt(find(id), given)
    if result.state != "todo":
        before = _done("exercises", id)
        passed = before.get("passed", False) or result.state == "passed"
        _note("exercises", id, tries=before.get("tries", 0) + 1, passed=passed)
    return _strictly(feedback_on(result))


def feedback_on(result: Result) -> Feedback:
    """Return what a learner reads about an attempt."""
    exercise, state = result.exercise, result.state
    headline = f"{exercise.id} · {exercise.title}"
    if state == "todo":
        closing = (
            f"Level {exercise.level} ({LEVELS[exercise.level]}), about {exercise.minutes} minutes. "
            f'Write `{exercise.answer}`, then run the cell. Stuck? `hint("{exercise.id}")`'
        )
        return Feedback("todo", headline, closing=closing)
    lines = [_criterion(each) for each in result.criteria]
    if result.problem:
        lines.append(Line("stopped", result.problem))
    if result.printed:
        lines.append(Line("note", f"Your code printed: {result.printed}"))
    stuck = f'Stuck? `hint("{exercise.id}")`'
    return Feedback(state, headline, tuple(lines), exercise.praise if state == "passed" else stuck)


def _criterion(criterion: Any) -> Line:
    if criterion.ok:
        return Line("passed", criterion.text)
    seen = [f"got {short(criterion.got)}"] if criterion.got is not None else []
    seen += [f"wanted {short(criterion.want)}"] if criterion.want is not None else []
    return Line("failed", criterion.text, tuple(filter(None, [", ".join(seen), criterion.why])))


def hint(id: str) -> Feedback:
    """Return the next hint of an exercise: a question, then where to look, then a line of code.

    Raises
    ------
    ValueError: no such exercise
    """
    hints = find(id).hints
    number = min(_done("exercises", id).get("hints", 0) + 1, len(hints))
    _note("exercises", id, hints=number)
    last = "That was the last one." if number == len(hints) else ""
    return Feedback("note", f"Hint {number} of {len(hints)} · {hints[number - 1]}", closing=last)


def solution(id: str, *, give_up: bool = False) -> Any:
    """Return one way to do an exercise, once you have tried or given up.

    Raises
    ------
    ValueError: no such exercise
    """
    from mlkit.fill import reference

    find(id)
    if not (give_up or _done("exercises", id).get("tries")):
        once = f'Try once, then ask again; or `solution("{id}", give_up=True)`.'
        return Feedback("note", f"{id} · not attempted", closing=once)
    try:
        code = reference(id)
    except FileNotFoundError:
        return Feedback("note", f"{id} · the solutions are not part of this copy.")
    _note("exercises", id, seen=True)
    return say(f"```python\n{code}\n```")


# Quizzes


def answer(word: str, **choices: Any) -> Feedback:
    """Return what each chosen option of a quiz means: why it is right, or what it overlooks.

    Raises
    ------
    ValueError: no such question
    AssertionError: a choice is not right, and MLKIT_STRICT is set
    """
    quizzes = [find(f"{word}.{name}", Quiz) for name in choices]
    lines = [_choice(q, choice) for q, choice in zip(quizzes, choices.values(), strict=True)]
    for q, line in zip(quizzes, lines, strict=True):
        if line.state in ("passed", "failed"):
            tries = _done("quizzes", q.id).get("tries", 0) + 1
            _note("quizzes", q.id, tries=tries, passed=line.state == "passed")
    right = sum(line.state == "passed" for line in lines)
    states = {line.state for line in lines}
    order: list[State] = ["stopped", "failed", "todo"]
    state: State = next((s for s in order if s in states), "passed")
    return _strictly(Feedback(state, f"{right} of {len(lines)} right", tuple(lines)))


def _choice(quiz: Quiz, choice: Any) -> Line:
    text = f"{quiz.id.partition('.')[2]} · {quiz.question}"
    if choice is ...:
        return Line(
            "todo", text, tuple(f"{key}: {says}" for key, (says, _) in quiz.options.items())
        )
    if not isinstance(choice, str) or choice not in quiz.options:
        letters = ", ".join(map(repr, quiz.options))
        return Line("stopped", text, (f"expected one of {letters}, got {short(choice)}",))
    says, why = quiz.options[choice]
    return Line("passed" if choice == quiz.right else "failed", text, (f"{choice}: {says}", why))


def _strictly(feedback: Feedback) -> Feedback:
    if os.environ.get("MLKIT_STRICT") and feedback.state != "passed":
        raise AssertionError(repr(feedback))
    return feedback


# Progress


def progress(word: str = "") -> Feedback:
    """Return what is done, of one word or of all: exercises alone or with help, quizzes, bets.

    Bets on numbers are drawn beside the truth.
    """
    state = _read()
    exercises, quizzes, bets = (_of(word, of_kind(kind)) for kind in (Exercise, Quiz, Bet))
    done = {id: state["exercises"].get(id, {}) for id in exercises}
    lines = [Line(*_progress_of(each, done[id])) for id, each in exercises.items()]
    right = sum(state["quizzes"].get(id, {}).get("passed", False) for id in quizzes)
    lines.append(Line("note", f"quiz: {right} of {len(quizzes)} questions right"))
    placed = {id: b for id, b in _of(word, state["bets"]).items() if {"guess", "truth"} <= set(b)}
    lines.append(Line("note", f"bets: {len(placed)} of {len(bets)} placed and revealed"))
    if numbers := {id: b for id, b in placed.items() if not isinstance(b["guess"], str)}:
        _draw(numbers)
    solved = sum(each.get("passed", False) for each in done.values())
    return Feedback("note", f"{solved} of {len(exercises)} exercises solved", tuple(lines))


def _of(word: str, things: dict[str, Any]) -> dict[str, Any]:
    return {id: thing for id, thing in things.items() if not word or id.split(".")[0] == word}


def forget(notebook: Path) -> int:
    """Return how many bets, attempts and answers of a notebook were forgotten.

    Raises
    ------
    FileNotFoundError: no such notebook
    """
    words = set(USED.findall(notebook.read_text(encoding="utf-8")))
    state = _read()
    kept = {
        part: {id: done for id, done in things.items() if id.partition(".")[0] not in words}
        for part, things in state.items()
    }
    _write(kept)
    return sum(len(state[part]) - len(kept[part]) for part in state)


def _progress_of(exercise: Exercise, done: dict[str, Any]) -> tuple[State, str]:
    text = f"{exercise.id} · {exercise.title}"
    if not done.get("passed"):
        return ("failed", f"{text} · tried") if done.get("tries") else ("todo", text)
    helped = "after the solution" if done.get("seen") else f"with {done.get('hints', 0)} hints"
    alone = not done.get("seen") and not done.get("hints")
    return "passed", f"{text} · {'alone' if alone else helped}"


def _draw(bets: dict[str, dict[str, float]]) -> None:
    import pandas as pd

    from mlkit import plots

    table = pd.DataFrame(bets).T.sort_index()
    alt = "Each bet beside its truth: the longer the line between them, the further off."
    plots.show(plots.bets(table), alt=alt)


# The learner's file


def _file() -> Path:
    home = os.environ.get("MLKIT_HOME")
    folder = Path(home) if home else nearest_file(Path.cwd()).parent / ".mlkit"
    return folder / "progress.json"


def _read() -> dict[str, dict]:
    """Return what is kept; a file that cannot be read is set aside, never overwritten."""
    file = _file()
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if all(isinstance(kept[part], dict) for part in EMPTY):
            return kept
    except FileNotFoundError:
        return {**EMPTY}
    except (ValueError, KeyError, TypeError):
        pass
    file.replace(file.with_name("progress.unreadable.json"))
    return {**EMPTY}


def _write(state: dict[str, dict]) -> None:
    write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", _file())


def _done(part: str, id: str) -> dict[str, Any]:
    return _read()[part].get(id, {})


def _note(part: str, id: str, **news: Any) -> None:
    state = _read()
    _write({**state, part: {**state[part], id: {**state[part].get(id, {}), **news}}})


def _json(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
