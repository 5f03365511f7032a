"""The story of the exercise: five months of one service, three ways to answer its alarms."""

from functools import cache

import pandas as pd

from mlkit.exercises.ex3.daily import COUNTER, STATISTICS, daily_statistics
from mlkit.exercises.ex3.days import WINDOW, Change, first_model, make_days, operate
from mlkit.exercises.ex3.gate import NOTHING, Gate, Run, accuracy, careful_gate, naive_gate, no_gate
from mlkit.exercises.ex3.gate import run as run_through
from mlkit.params import stream

LAST = 147
PLAN = [Change("benign", 31, 60), Change("concept", 61), Change("unit", 101, 121)]
HEARD = [*PLAN[:2], Change("unit", 101, 106)]  # the gate is asked on day 105, repaired two days on
SEGMENTS = {  # first and last day
    "quiet": (1, 30),
    "other people": (31, 60),
    "another concept": (61, 100),
    "cents": (101, 121),
    "repaired": (122, LAST),
}
GATES: dict[str, Gate] = {
    "never retrain": no_gate,
    "the syllabus's rule": naive_gate,
    "a gate": careful_gate,
}


@cache
def story(seed: int, *, heard: bool = False) -> pd.DataFrame:
    """Return the rows of five months: quiet, a benign shift, another concept, a unit bug.

    With `heard`, upstream is repaired two days after a gate could first ask for it.
    """
    rng, plan = stream(seed, "exercise", "ex3", "story"), HEARD if heard else PLAN
    return operate(make_days(rng=rng, last=LAST), rng=rng, model=first_model(seed), plan=plan)


@cache
def story_of(seed: int, name: str, *, heard: bool = False) -> Run:
    """Return the story under one of `GATES`, asked every seventh day."""
    return run_through(story(seed, heard=heard), GATES[name], model=first_model(seed))


def scores(found: Run) -> dict[str, float]:
    """Return the share of right decisions in each segment of the story, and on all days."""
    parts = {**SEGMENTS, "all days": (1, LAST)}
    return {name: accuracy(found.rows, *days) for name, days in parts.items()}


def before_and_after(decide: Gate, seed: int) -> pd.DataFrame:
    """Return the scores of the story: never retrained, by the syllabus's rule, by your gate.

    A gate that is not written yet has no row.
    """
    table = {
        name: scores(story_of(seed, name)) for name in ("never retrain", "the syllabus's rule")
    }
    try:
        mine = run_through(story(seed), decide, model=first_model(seed))
    except NotImplementedError:
        return pd.DataFrame(table).T.round(3)
    retrained = [day for day, verdict in mine.verdicts.items() if verdict == "retrain"]
    table[f"your gate (retrains on day {', '.join(map(str, retrained)) or 'none'})"] = scores(mine)
    return pd.DataFrame(table).T.round(3)


def realised(found: Run) -> pd.Series:
    """Return the share of right decisions of the last seven days, by day."""
    right = (found.rows["decision"] == found.rows["answer"]).groupby(found.rows["day"])
    sums, counts = (right.agg(how).rolling(WINDOW).sum() for how in ("sum", "count"))
    return (sums / counts).loc[1:]


def calendar(found: Run, quiet: pd.DataFrame) -> pd.DataFrame:
    """Return which statistic is above its limit on which day: one row per statistic.

    The limits are the kit's own: half an alarm a month, shared by all statistics.
    """
    watched = [name for name in STATISTICS if name != COUNTER]
    limits = quiet.groupby("month")[watched].max().quantile(1 - 0.5 / len(watched))
    history = daily_statistics(found.rows).set_index("day")
    return (history[watched] > limits).T


def acts(found: Run) -> pd.DataFrame:
    """Return the days on which a gate asked for something: columns day and verdict."""
    told = [(day, said) for day, said in found.verdicts.items() if said != NOTHING]
    return pd.DataFrame(told, columns=["day", "verdict"])
