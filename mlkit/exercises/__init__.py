"""What an author of exercises writes with: exercises, criteria, quizzes, bets.

One module per word (`mlkit/exercises/skew.py` holds `skew.1`, `skew.q1`, `skew.b1`, ...). An
exercise is a generator function: its one argument is named as the answer it asks for, and it
yields one `expect(...)` per criterion. The same criteria serve the notebook and a grader.
"""

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlkit import params

Shape = Callable[[Any], str]
Level = Literal[1, 2, 3]
LEVELS = {1: "complete", 2: "adapt", 3: "open"}


@dataclass(frozen=True)
class Criterion:
    """One thing that must hold of an answer, and what to say when it does not."""

    ok: bool
    text: str
    why: str = ""
    got: Any = None
    want: Any = None
    points: float = 1.0


@dataclass(frozen=True)
class Exercise:
    """An exercise: what is said about it, the shape of its answer, and its criteria."""

    id: str
    title: str
    level: Level
    minutes: int
    returns: Shape
    hints: tuple[str, ...]
    praise: str
    criteria: Callable[[Any], Iterator[Criterion]]
    points: float = 1.0
    function: bool = True

    @property
    def answer(self) -> str:
        """The name of what the learner writes: the argument of the criteria."""
        return next(iter(inspect.signature(self.criteria).parameters))


@dataclass(frozen=True)
class Quiz:
    """A question with options, each with a sentence on why it is right or wrong."""

    id: str
    question: str
    options: Mapping[str, tuple[str, str]]
    right: str


@dataclass(frozen=True)
class Bet:
    """A prediction that costs nothing: a number in a range, or one of some words."""

    id: str
    question: str
    usual: str
    low: float = 0.0
    high: float = 1.0
    options: tuple[str, ...] = ()


SHELF: dict[str, Exercise | Quiz | Bet] = {}  # what the modules of this folder registered, by id


def exercise(
    id: str,
    *,
    title: str,
    level: Level,
    minutes: int,
    returns: Shape,
    hints: list[str],
    praise: str,
    points: float = 1.0,
    function: bool = True,
) -> Callable:
    """Return a decorator that makes an exercise of a generator of criteria.

    Parameters
    ----------
    id: word and number, such as "skew.1"
    returns: the shape of the answer, or of what the learner's function returns (`a_number`, ...)
    hints: a question, then where to look, then a line of code
    praise: what the learner can do now that they could not before
    function: False when the answer is a value and not a function
    """

    def register(criteria: Callable[[Any], Iterator[Criterion]]) -> Callable:
        SHELF[id] = Exercise(
            id, title, level, minutes, returns, tuple(hints), praise, criteria, points, function
        )
        return criteria

    return register


def expect(
    ok: Any,
    text: str,
    *,
    why: str = "",
    got: Any = None,
    want: Any = None,
    points: float = 1.0,
) -> Criterion:
    """Return one criterion: what must hold, and (shown when it does not) why that matters.

    Parameters
    ----------
    ok: whether it holds
    text: what must hold, in the learner's words
    why: the mistake by name, and what it costs in production
    got, want: shown side by side; leave both out and the criterion stays hidden but for its why
    points: 0 for guards of type and shape
    """
    return Criterion(bool(ok), text, why, got, want, points)


def quiz(id: str, question: str, *, right: str, **options: tuple[str, str]) -> None:
    """Register a question; each option is a pair: what it says, and why it is right or wrong.

    Raises
    ------
    ValueError: the right option is not among the options
    """
    if right not in options:
        raise ValueError(f"{id}: right = {right!r}: expected one of {', '.join(options)}")
    SHELF[id] = Quiz(id, question, options, right)


def bet(
    id: str,
    question: str,
    *,
    usual: str,
    low: float = 0.0,
    high: float = 1.0,
    options: tuple[str, ...] = (),
) -> None:
    """Register a bet on a number from `low` to `high`, or on one of `options`.

    `usual` is the reason for which most people bet wrong, shown with the truth.
    """
    SHELF[id] = Bet(id, question, usual, low, high, options)


def find(id: str, kind: type[Any] = Exercise) -> Any:
    """Return the exercise, quiz or bet of an id, after importing the module of its word.

    Raises
    ------
    ValueError: no such thing; the message names the nearest
    """
    word = str(id).partition(".")[0]
    if word.isidentifier() and importlib.util.find_spec(f"{__name__}.{word}"):
        importlib.import_module(f"{__name__}.{word}")
    thing = SHELF.get(id)
    if not isinstance(thing, kind):
        known = sorted(of_kind(kind))
        close = difflib.get_close_matches(str(id), known, n=1, cutoff=0.3)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no {kind.__name__.lower()} {id!r}{hint}; there are: {', '.join(known)}")
    return thing


def words() -> list[str]:
    """Return the words that have exercises: one module, or one package, each."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def of_kind(kind: type[Any]) -> dict[str, Any]:
    """Return every exercise, quiz or bet there is, by id and in its order."""
    for word in words():
        importlib.import_module(f"{__name__}.{word}")
    return {id: SHELF[id] for id in sorted(SHELF) if isinstance(SHELF[id], kind)}


def seeded(id: str) -> np.random.Generator:
    """Return the random generator of an exercise: another one for every seed of a learner."""
    return params.stream(learner_seed(), "exercise", id)


def learner_seed() -> int:
    """Return the seed of a learner: of params.yaml, or MLKIT_SEED."""
    return params.load()["seed"]


# Shapes of answers: each returns nothing when a value fits, else what was expected and what came


def a_number(value: Any) -> str:
    """Return what is wrong when a value is no finite number."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    number = number and not isinstance(value, (bool, np.bool_))
    return "" if number and np.isfinite(value) else f"expected a number, got {kind_of(value)}"


def a_bool(value: Any) -> str:
    """Return what is wrong when a value is neither True nor False."""
    boolean = isinstance(value, (bool, np.bool_))
    return "" if boolean else f"expected True or False, got {kind_of(value)}"


def a_text(value: Any) -> str:
    """Return what is wrong when a value is no text."""
    return "" if isinstance(value, str) else f"expected a text, got {kind_of(value)}"


def a_set(value: Any) -> str:
    """Return what is wrong when a value is no set of texts."""
    if not isinstance(value, (set, frozenset)):
        return f"expected a set of texts, got {kind_of(value)}"
    odd = [each for each in value if not isinstance(each, str)]
    return f"expected a set of texts; it holds {kind_of(odd[0])}" if odd else ""


def a_series(value: Any) -> str:
    """Return what is wrong when a value is no pandas Series of numbers."""
    if not isinstance(value, pd.Series):
        return f"expected a pandas Series, got {kind_of(value)}"
    numbers = pd.api.types.is_numeric_dtype(value.dtype)
    return "" if numbers else f"expected a Series of numbers, got dtype {value.dtype}"


def a_frame(*columns: str) -> Shape:
    """Return a shape: a pandas DataFrame that has at least these columns."""

    def shape(value: Any) -> str:
        if not isinstance(value, pd.DataFrame):
            return f"expected a pandas DataFrame, got {kind_of(value)}"
        missing = [column for column in columns if column not in value]
        return f"expected a column {missing[0]!r}; there are {list(value)}" if missing else ""

    return shape


def kind_of(value: Any) -> str:
    """Return a value's type in words a learner knows, with the value where it is short."""
    if value is None:
        return "None (is a return missing?)"
    text = repr(value)
    name = type(value).__name__
    return f"{name} {text}" if len(text) <= 40 and "\n" not in text else name
