"""Histories for drift.3: one row per day, what the world did to them, and what to do about it."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlkit.params import stream

N_DAYS, MATURE = 120, 14
TOLERANCE = 0.04  # a smaller loss of accuracy is not worth a release
ACCURACY, BAD, MISSING = 0.82, 0.64, 0.04
Answers = Literal["all in", "still coming", "wrong ones first"]


@dataclass(frozen=True)
class Case:
    """Histories that ask for the same action, and what the other actions would cost."""

    name: str
    want: str
    why: dict[str, str]
    histories: tuple[pd.DataFrame, ...]
    quiet: bool = False


def step(at: int, before: float, after: float) -> np.ndarray:
    """Return one value per day that changes overnight."""
    return np.where(np.arange(N_DAYS) < at, before, after)


def ramp(start: int, end: int, before: float, after: float) -> np.ndarray:
    """Return one value per day that changes evenly between two days."""
    return np.interp(np.arange(N_DAYS), [start, end], [before, after])


def history(
    rng: np.random.Generator,
    *,
    rows: int = 300,
    factor: Any = 1.0,
    missing: Any = MISSING,
    score: Any = 0.0,
    accuracy: Any = ACCURACY,
    frozen_from: int = N_DAYS,
    answers: Answers = "wrong ones first",
) -> pd.DataFrame:
    """Return a table of days, quiet but for what is asked for (numbers, or one value per day).

    Columns: day, rows, median (of one feature, USD), missing (share), score (mean), answers (that
    have come in), right (of these).
    """
    day = np.arange(N_DAYS)
    week = 1 + 0.08 * np.cos(2 * np.pi * day / 7)
    days = pd.DataFrame({"day": day, "rows": rng.poisson(rows * week)})
    median = np.round(40 * week * factor * np.exp(0.03 * rng.standard_normal(N_DAYS)), 4)
    days["median"] = np.where(day < frozen_from, median, median[min(frozen_from, N_DAYS - 1)])
    share = np.broadcast_to(missing, N_DAYS)
    days["missing"] = np.round(rng.binomial(days["rows"], share) / days["rows"], 4)
    days["score"] = np.round(0.35 + score + 0.01 * rng.standard_normal(N_DAYS), 4)
    right = rng.binomial(days["rows"], np.broadcast_to(accuracy, N_DAYS))
    age = np.minimum((N_DAYS - 1 - day) / MATURE, 1)
    slow, fast = {
        "all in": (np.ones(N_DAYS), np.ones(N_DAYS)),
        "still coming": (age, age),
        "wrong ones first": (age**2, np.minimum(4 * age, 1)),
    }[answers]
    days["right"] = rng.binomial(right, slow)
    days["answers"] = days["right"] + rng.binomial(days["rows"] - right, fast)
    return days[["day", "rows", "median", "missing", "score", "answers", "right"]]


@cache
def cases(seed: int) -> tuple[Case, ...]:
    """Return every case for one seed of a learner, made once."""
    rng = stream(seed, "exercise", "drift.3")
    return (*_quiet(rng), *_harmless(rng), *_changed(rng), *_broken(rng))


def _quiet(rng: np.random.Generator) -> list[Case]:
    why: dict[Answers, str] = {
        "all in": "Days differ by chance: the last day, or the worst of many, is a number of few "
        "answers. Pool days until chance is small against the tolerance.",
        "still coming": "A decision that has no answer yet is neither right nor wrong: counted as "
        "wrong, the newest days always look like a collapse.",
        "wrong ones first": "Complaints come first: of the newest days mostly the wrong decisions "
        "have answers. Judge the days whose answers are all in.",
    }
    jump = (
        "Every day differs a little from the one before, and Monday from Sunday: that is no fault."
    )
    sizes = np.geomspace(150, 800, 12).astype(int)
    return [
        Case(
            f"{len(sizes)} quiet histories, answers {answers}",
            "nothing",
            {"retrain": text, "fix upstream": jump},
            tuple(history(rng, rows=n, answers=answers) for n in sizes),
            quiet=True,
        )
        for answers, text in why.items()
    ]


def _harmless(rng: np.random.Generator) -> list[Case]:
    grown = {"factor": ramp(64, 112, 1, 2.5), "score": ramp(64, 112, 0, 0.15)}
    empty = {"missing": ramp(62, 116, MISSING, 0.2)}
    campaign = {"factor": step(84, 1, 1.3), "score": step(84, 0, 0.06)}
    less: dict[str, Any] = {
        "rows": 30_000,
        "accuracy": step(70, ACCURACY, ACCURACY - TOLERANCE / 4),
    }
    moved = "The feature moved and the accuracy did not: drift is not harm. A new model costs a "
    moved += "release, and forgets the months in which the old one learned."
    slow = "This came slowly: the world moved, and no table upstream is broken."
    about: dict[str, str] = {"retrain": moved, "fix upstream": slow}
    tiny = "Thirty thousand rows a day make any loss significant. A small p-value is not a large "
    tiny += "loss: compare the loss itself with the tolerance."
    found: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
        "the feature grows to more than twice of what it was": (grown, about),
        "missing values grow, day by day, to five times as many": (empty, about),
        "a campaign lifts the feature by a third overnight": (
            campaign,
            {**about, "fix upstream": "Customers can do this overnight, and it costs no accuracy."},
        ),
        "a quarter of the tolerance is lost, on very many rows": (
            less,
            dict.fromkeys(("retrain", "fix upstream"), tiny),
        ),
    }
    return [
        Case(name, "nothing", why, tuple(history(rng, **knobs) for _ in range(3)))
        for name, (knobs, why) in found.items()
    ]


def _changed(rng: np.random.Generator) -> list[Case]:
    abrupt, slow = step(82, ACCURACY, BAD), ramp(62, 90, ACCURACY, BAD)
    blind = "No feature moved, and one decision in six went from right to wrong: what a customer "
    blind += "with these features does has changed. Only the answers can say so."
    upstream = "Nothing upstream jumped: the world changed, and the model knows the old one."
    alone = {"nothing": blind, "fix upstream": upstream}
    with_shift = {**alone, "nothing": "This time the shift hurts: the answers say so."}
    grown = {"factor": ramp(62, 90, 1, 2.5), "score": ramp(62, 90, 0, 0.1), "accuracy": slow}
    found: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
        "the answers change overnight, no feature moves": ({"accuracy": abrupt}, alone),
        "the answers change over four weeks, no feature moves": ({"accuracy": slow}, alone),
        "the feature grows, and the accuracy falls with it": (grown, with_shift),
    }
    return [
        Case(name, "retrain", why, tuple(history(rng, **knobs) for _ in range(3)))
        for name, (knobs, why) in found.items()
    ]


BUGS = {
    "a unit changes upstream": "No customer spends a hundred times as much overnight, or a "
    "hundredth of it: what is written there has another meaning.",
    "values go missing overnight": "A feature that is empty tells nothing in its median: look at "
    "the share of missing values too.",
    "the feature stands still": "A median that is the same for a week, to the last digit, is not "
    "calm but stuck: a job has stopped, and old values are served.",
}


def _broken(rng: np.random.Generator) -> list[Case]:
    found = []
    for name, why in BUGS.items():
        histories = []
        for at in (N_DAYS - 8, 82):  # too new for any answer, and old enough for all of them
            for factor in (100.0, 0.01):
                knobs: dict[str, dict[str, Any]] = {
                    "a unit changes upstream": {"factor": step(at, 1, factor)},
                    "values go missing overnight": {"missing": step(at, MISSING, 0.45)},
                    "the feature stands still": {"frozen_from": at},
                }
                harm = step(at, ACCURACY, BAD)
                histories.append(history(rng, accuracy=harm, **knobs[name]))
        found.append(Case(name, "fix upstream", {"nothing": why}, tuple(histories)))
    return found
