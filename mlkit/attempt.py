"""One attempt at an exercise: call the learner's code with care, and hold it to the criteria.

The learner's code may raise, return something else, change what it was given, print, end the
interpreter, or run until it is interrupted: each becomes one line of feedback, and the notebook
goes on.
"""

import contextlib
import copy
import io
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, Exercise, Shape, kind_of
from mlkit.feedback import short

PRINTED_CHARACTERS = 200


@dataclass(frozen=True)
class Result:
    """How an attempt ended: its state, the criteria it came to, the problem, what it printed."""

    exercise: Exercise
    state: Literal["passed", "failed", "todo", "stopped"]
    criteria: tuple[Criterion, ...] = ()
    problem: str = ""
    printed: str = ""

    @property
    def points(self) -> float:
        """The points of the exercise that the attempt earns; a guard alone earns none."""
        total = sum(each.points for each in self.criteria)
        if self.state in ("todo", "stopped") or not total:
            return 0.0
        earned = sum(each.points for each in self.criteria if each.ok)
        return self.exercise.points * earned / total


class Stopped(Exception):
    """The learner's code did something with which a check cannot go on."""


class Tape(io.StringIO):
    """Text that the learner's code prints: the beginning of it."""

    def write(self, text: str) -> int:
        """Keep text while there is room."""
        room = PRINTED_CHARACTERS - self.tell()
        super().write(text[: max(room, 0)])
        return len(text)


def attempt(exercise: Exercise, given: Any) -> Result:
    """Return how an answer stands against the criteria of its exercise."""
    if given is ... or given is None:
        return Result(exercise, "todo")
    done: list[Criterion] = []
    tape, state, problem = Tape(), "stopped", ""
    try:
        with quiet(tape):
            for criterion in exercise.criteria(guarded(exercise, given)):
                done.append(criterion)
        state = "passed" if done and all(each.ok for each in done) else "failed"
    except NotImplementedError:
        return Result(exercise, "todo")
    except Stopped as error:
        problem = str(error)
    except KeyboardInterrupt:
        problem = "interrupted while your code ran: is there a loop without an end?"
    except Exception as error:
        problem = f"the check cannot read your answer: {type(error).__name__}: {error}"
    printed = short(" ".join(tape.getvalue().split()))
    return Result(exercise, state, tuple(done), short(problem, 300), printed)  # type: ignore[arg-type]


@contextlib.contextmanager
def quiet(tape: Tape) -> Any:
    """Send what is printed to the tape, and drop warnings: they name paths of this machine."""
    with (
        contextlib.redirect_stdout(tape),
        contextlib.redirect_stderr(tape),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def guarded(exercise: Exercise, given: Any) -> Any:
    """Return the answer when its shape is right; a function with a guard on each call.

    Raises
    ------
    Stopped: not a function where one is asked for, or a value of another shape
    """
    if not exercise.function:
        if problem := exercise.returns(given):
            raise Stopped(f"{exercise.answer}: {problem}")
        return given
    if not callable(given) or isinstance(given, type):
        raise Stopped(
            f"expected the function {exercise.answer}, without brackets; got {kind_of(given)}"
        )
    return guard(given, exercise.returns)


def guard(function: Callable, returns: Shape) -> Callable:
    """Return a function that hands out copies and stops on what a check cannot work with."""

    def call(*args: Any) -> Any:
        mine = copy.deepcopy(args)
        try:
            result = function(*mine)
        except (NotImplementedError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise Stopped(f"{type(error).__name__}: {error}{line_of(error)}") from None
        if problem := returns(result):
            raise Stopped(f"your function returned another kind of thing: {problem}")
        if not all(map(same, args, mine)):
            raise Stopped(
                "your function changes the table it is given; later cells would see it changed. "
                "Work on a copy: df = df.copy()"
            )
        return result

    return call


def line_of(error: BaseException) -> str:
    """Return the learner's own failing line, where a notebook cell or an answer is to blame."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "ipykernel" in frame.filename or frame.filename.startswith("<"):
            return f", in line {frame.lineno}" + (f": {frame.line}" if frame.line else "")
    return ""


def same(before: Any, after: Any) -> bool:
    """Return whether a value is still what it was."""
    if isinstance(before, (pd.DataFrame, pd.Series)):
        return before.equals(after) and before.index.equals(after.index) and _labels(before, after)
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if isinstance(before, dict):
        return list(before) == list(after) and all(same(before[k], after[k]) for k in before)
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(same, before, after))
    return bool(before == after)


def _labels(before: Any, after: Any) -> bool:
    if isinstance(before, pd.DataFrame):
        return list(before.columns) == list(after.columns)
    return before.name == after.name
