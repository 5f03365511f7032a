"""Exercises of challenge 6: answers that are late, shifts of categories, and what to do."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import (
    Criterion,
    a_number,
    a_series,
    a_text,
    bet,
    exercise,
    expect,
    learner_seed,
    quiz,
    seeded,
)
from mlkit.exercises.drift.days import TOLERANCE, Case, cases
from mlkit.exercises.drift.shifts import HALVES, NEW, PAIRS, channels, shift_by_loop

START = pd.Timestamp("2025-03-03", tz="UTC")
NOW = START + pd.Timedelta(weeks=9)


def decisions_of_weeks(rng: np.random.Generator, *, n: int = 480) -> pd.DataFrame:
    """Return decisions of weeks 0 to 7, in no order, all answered before NOW.

    Columns: week, decision (0 or 1), label (0.0 or 1.0), label_known_ts.
    """
    log = pd.DataFrame({"week": rng.permutation(np.arange(n) % 8)})
    log["decision"] = rng.integers(0, 2, n)
    wrong = rng.random(n) < 0.2
    log["label"] = np.where(wrong, 1 - log["decision"], log["decision"]).astype(float)
    delay = pd.to_timedelta(rng.uniform(7, 13, n), unit="D").round("s")
    log["label_known_ts"] = START + pd.to_timedelta(7 * log["week"], unit="D") + delay
    return log


def unanswered(log: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    """Return the log as it is while these rows have no answer."""
    return log.assign(
        label=log["label"].mask(rows), label_known_ts=log["label_known_ts"].mask(rows)
    )


@exercise(
    "drift.1",
    title="How good were we, as far as anybody knows?",
    level=1,
    minutes=5,
    returns=a_series,
    hints=[
        "A decision without an answer: is it right, wrong, or neither?",
        "`Series.where` keeps a value where something holds and makes it missing elsewhere; the "
        "`mean` and the `count` of a group leave missing values out.",
        "return weeks.mean().where(weeks.count() >= least)",
    ],
    praise="Your chart has gaps where nobody knows yet, and no collapse that is only delay.",
)
def drift_1(weekly_accuracy: Any) -> Iterator[Criterion]:
    """Accuracy by week on the answers known by now: no answer is no mistake, few are no number."""
    rng = seeded("drift.1")
    log = decisions_of_weeks(rng)
    yield _weeks(
        weekly_accuracy(log, NOW, 5),
        _true(log),
        "every answer is in: the share of right decisions of each week, in order",
        "Right means that decision and label agree; each week divides by its own decisions.",
    )
    late = unanswered(log, (log["week"] >= 5) & (log["decision"] == 0) & (rng.random(480) < 0.6))
    got, want = weekly_accuracy(late, NOW, 5), _true(late)
    first = _weeks(
        got,
        want,
        "decisions without an answer count neither as wrong nor as right",
        "This takes a missing answer for a no, and rewards whoever decided no."
        if got.mean() > want.mean()
        else "This counts a decision that has no answer yet as wrong: the newest weeks would "
        "look like a collapse, every week again.",
    )
    yield first
    yield _future(weekly_accuracy, log, first.ok)
    yield from _few(weekly_accuracy, log, first.ok)


def _future(weekly_accuracy: Any, log: pd.DataFrame, clean: bool) -> Criterion:
    some = seeded("drift.1 later").random(len(log)) < 0.5
    later = (log["week"] >= 4) & (log["decision"] == log["label"]) & some
    known = log["label_known_ts"].mask(later, NOW + pd.Timedelta(days=3))
    got = weekly_accuracy(log.assign(label_known_ts=known), NOW, 5)
    why = "The table holds answers that nobody had at that moment: a chart drawn with them shows "
    why += "what nobody could have seen."
    return _weeks(
        got,
        _true(unanswered(log, later)),
        "an answer that comes in after `now` is not used",
        why if clean or list(got.round(9)) == list(_true(log).round(9)) else "As above.",
    )


def _true(log: pd.DataFrame) -> pd.Series:
    answered = log.dropna(subset=["label"])
    return (answered["decision"] == answered["label"]).groupby(answered["week"]).mean()


def _weeks(got: pd.Series, want: pd.Series, text: str, why: str) -> Criterion:
    same = list(got.index) == list(want.index) and np.allclose(got, want)
    return expect(same, text, why=why, got=got.round(3).tolist(), want=want.round(3).tolist())


def _few(weekly_accuracy: Any, log: pd.DataFrame, clean: bool) -> Iterator[Criterion]:
    """Yield what must hold of weeks with few decisions, few answers, or none."""
    least = int(seeded("drift.1 few").integers(8, 20))
    good = log.assign(label=log["decision"].astype(float))
    place, week = good.groupby("week").cumcount(), good["week"]

    def of(log: pd.DataFrame, week: int) -> float:
        return float(weekly_accuracy(log, NOW, least).reindex(range(8))[week])

    got = of(good[(week != 3) | (place < least - 1)], 3)
    alone = np.isnan(got)
    lucky = "A few answers are a lucky or an unlucky number, and the eye believes it."
    zero = "Nobody knows is not zero: a chart would fall to the floor and ring."
    text = f"a week of {least - 1} answers has no number where at least {least} are asked for"
    yield expect(alone, text, got=got, want=np.nan, why=zero if got == 0 else lucky)
    got = of(unanswered(good, (week == 6) & (place >= least - 1)), 6)
    text = f"nor has a week of 60 decisions and {least - 1} answers"
    sixty = "Count the answers, not the decisions: sixty decisions without answers say nothing."
    yield expect(
        np.isnan(got), text, got=got, want=np.nan, why=sixty if alone and clean else "As above."
    )
    got = of(unanswered(good, (week == 6) & (place >= least)), 6)
    many = "At least means: that many, or more."
    yield expect(
        got == 1,
        f"{least} answers are enough",
        got=got,
        want=1.0,
        why=many if clean else "As above.",
    )
    yield _every_week(list(weekly_accuracy(unanswered(good, week == 7), NOW, least).index))


def _every_week(weeks: list) -> Criterion:
    return expect(
        weeks == list(range(8)),
        "a week without any answer keeps its row",
        got=weeks,
        want=list(range(8)),
        why="A week that vanishes from the table is a line that ends, or joins across the gap: "
        "nobody sees that nobody knows.",
    )


def a_number_or_inf(value: Any) -> str:
    """Return what is wrong when a value is no number; infinity and NaN are for the criteria."""
    infinite = isinstance(value, float) and not np.isfinite(value)
    return "" if infinite else a_number(value)


@exercise(
    "drift.2",
    title="A channel that nobody knew",
    level=2,
    minutes=15,
    returns=a_number_or_inf,
    hints=[
        "Into which bin goes a value that the training table never had? And a missing one?",
        "Rename before you count: `Series.where` with `isin`, then `fillna`; `value_counts` of "
        "both sides, put side by side, shows which bins are empty.",
        "counts = pd.concat([old.value_counts(), now.value_counts()], axis=1).fillna(0) + 0.5",
    ],
    praise="One number for small and large weeks alike: about zero when nothing changed.",
)
def drift_2(shift_size: Any) -> Iterator[Criterion]:
    """Population stability of categories: new and missing as bins, finite, chance taken off."""
    rng = seeded("drift.2")
    failed: set[str] = set()
    for name, pair in PAIRS.items():
        trained_on, served = channels(pair.before, rng), channels(pair.after, rng)
        got, want = shift_size(trained_on, served), shift_by_loop(trained_on, served)
        ok = abs(got - want) < 0.02
        why = "As above." if failed & {*pair.unless} else pair.why or _fate(got, want)
        failed |= set() if ok else {name}
        yield expect(ok, name, got=got, want=want, why=why)
    yield _exact(shift_size, rng, "As above." if failed else HALVES)


def _exact(shift_size: Any, rng: np.random.Generator, why: str) -> Criterion:
    names, worst = ["web", "app", "pos", "fax", None], (0.0, 0.0)
    for _ in range(8):
        old, now = (dict(zip(names, rng.integers(3, 90, 5), strict=True)) for _ in range(2))
        trained_on, served = channels(old, rng), channels(now, rng)
        both = shift_size(trained_on, served), shift_by_loop(trained_on, served)
        worst = max(worst, both, key=lambda pair: abs(pair[0] - pair[1]))
    close = abs(worst[0] - worst[1]) < 1e-9
    text = "eight other pairs, to the last digit"
    return expect(close, text, got=worst[0], want=worst[1], why=why)


def _fate(got: float, want: float) -> str:
    if not np.isfinite(got):
        return NEW["infinite"]
    return NEW["lost" if got < want / 2 else "constant"]


ACTIONS = ["nothing", "fix upstream", "retrain"]
ON_A_BUG = "Retraining on a bug teaches it to the model: the accuracy looks fine until upstream is "
ON_A_BUG += "repaired, and then falls with a model that believes in the bug."
WAITS = "The newest bug has no answers yet, and needs none: a fault upstream can be seen in the "
WAITS += "table on the day it comes. Waiting for the answers costs their delay."


@exercise(
    "drift.3",
    title="What is to be done?",
    level=3,
    minutes=25,
    returns=a_text,
    hints=[
        "Which of the columns can say that it hurts? And which, that somebody upstream broke it?",
        "Ask in this order: is the table itself impossible (unit, missing, stuck)? If not, has "
        "the accuracy of days with all their answers fallen by more than the tolerance?",
        "then, now = days[:60], days[days['day'] <= days['day'].max() - 14][-14:]",
    ],
    praise="A gate: bugs go back to their owners, alarms without harm are let go, and a new model "
    "is trained only where the answers ask for one.",
)
def drift_3(what_to_do: Any) -> Iterator[Criterion]:
    """Action for histories of days whose cause nobody names."""
    told: set[str] = set()
    noisy = False  # quiet histories led to retraining: the harmless ones do for the same reason
    for case in cases(learner_seed()):
        said = [what_to_do(days, TOLERANCE) for days in case.histories]
        ok = set(said) == {case.want}
        why = _why_action(case, said)
        trains = case.want == "nothing" and set(said) - {"nothing"} == {"retrain"}
        again = why in told or (noisy and trains)
        noisy |= case.quiet and trains
        told |= set() if ok else {why}
        yield expect(
            ok,
            case.name,
            got=", ".join(f"{each}: {said.count(each)}" for each in sorted(set(said))),
            want=f"{case.want}: {len(said)}",
            why="As above." if again else why,
        )


def _why_action(case: Case, said: list[str]) -> str:
    if odd := [each for each in said if each not in ACTIONS]:
        return f"{odd[0]!r} is none of {', '.join(ACTIONS)}."
    why = dict(case.why)
    if case.want == "fix upstream":
        why["retrain"] = ON_A_BUG
        new, old = said[:2], said[2:]
        if "nothing" in new and set(old) == {"fix upstream"}:
            why["nothing"] = WAITS
    return " ".join(dict.fromkeys(why[each] for each in sorted(set(said)) if each in why))


quiz(
    "drift.q1",
    "The Kolmogorov-Smirnov test says of one feature: p is less than one in a billion. Then",
    right="b",
    a=(
        "the feature has shifted far",
        "With enough rows a shift that nobody could measure by eye has a p-value like that. How "
        "far it went is another number: the distance itself, in units that you can judge.",
    ),
    b=(
        "the difference is hardly chance; how large it is, and whether it hurts, is still open",
        "Right, and even the first half holds only for rows that do not depend on each other.",
    ),
    c=(
        "the model must be trained again",
        "Not before somebody knows the cause: on a bug, retraining makes it worse, and on a "
        "harmless shift it costs a release.",
    ),
)
quiz(
    "drift.q2",
    "For eight weeks no feature has moved, by any test. What do you know about the accuracy?",
    right="c",
    a=(
        "it is what it was",
        "Features are one half. The same customers can begin to answer otherwise, and no test of "
        "features alone can see it.",
    ),
    b=(
        "it can have fallen a little, never much",
        "There is no such bound: in this lesson it fell far while every feature stood still.",
    ),
    c=(
        "nothing: the answers of those weeks must tell",
        "Right. And while they are not in, a small sample that is labelled by hand.",
    ),
)
quiz(
    "drift.q3",
    "Four months of four models. In which one is it time to train again?",
    right="b",
    a=("picture A", "The feature climbs, the accuracy does not care: an alarm without harm."),
    b=(
        "picture B",
        "Right: the feature is as ever and the accuracy has fallen. The world gives other answers.",
    ),
    c=("picture C", "A jump from one day to the next, in both: look upstream before you train."),
    d=(
        "picture D",
        "Only the last two days are low: few answers, and complaints come first. Wait.",
    ),
)
bet(
    "drift.b1",
    "What accuracy will production get in the newest four weeks, now that the concept has changed? "
    "It was about eight in ten before.",
    usual="to believe that features that look the same mean an accuracy that is the same. The "
    "model answers yesterday's question as well as ever; it is no longer the question.",
)
bet(
    "drift.b2",
    "In how many of a hundred quiet months does the retrain rule of the syllabus fire?",
    usual="to hear one in twenty in p < .05. That is one feature, once. The rule asks several "
    "features every day, one of them is enough, and rows of one customer are not independent.",
    low=0,
    high=100,
)
