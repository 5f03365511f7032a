"""What an answer is worth: part by part, and what acting on it would have cost."""

from datetime import date
from typing import Any, NamedTuple

import pandas as pd

from mlkit.incident.plans import Incident, causes, harm, lesson
from mlkit.incident.ticket import REPAIRS
from mlkit.params import nearest
from mlkit.tables import Tables

CLOSE_DAYS = 3
SLOW_DAYS = {"drift.season": 28}  # it begins with nothing and grows
REPAIR_OF = {  # of a harmful fault; where a challenge has one repair it stands under its word
    "skew": "one_definition",
    "leakage": "new_study",
    "leakage.lifetime": "as_of",
    "leakage.illegitimate": "as_of",
    "leakage.dimension": "as_of",
    "drift.concept": "retrain",
    "drift.prior": "recalibrate",
    "drift": "fix_upstream",
}
MONTH = 28  # days by which production is judged


class Answer(NamedTuple):
    """A diagnosis: the cause ("skew.unit" or "none"), the day it began, the repair."""

    cause: str
    onset: date | None
    repair: str


class Part(NamedTuple):
    """One part of an answer: what came, what was expected, whether that is right."""

    name: str
    got: str
    want: str
    right: bool


def answer(cause: str, onset: str, repair: str, *, only: tuple[str, ...]) -> Answer:
    """Return an answer whose three parts can be judged.

    Raises
    ------
    ValueError: a cause, day or repair that cannot be; the message names the nearest
    """
    if repair not in REPAIRS:
        near = nearest(repair, list(REPAIRS))
        raise ValueError(f"--repair {repair!r}: expected one of {', '.join(REPAIRS)}{near}")
    return Answer(_cause(cause, only), _day(onset), repair)


def _cause(text: str, only: tuple[str, ...]) -> str:
    if text == "none":
        return text
    known = list(causes(only))
    meant = [name for name in known if text in (name, name.partition(".")[2])]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ValueError(f"--cause {text!r}: which of them? say {' or '.join(meant)}")
    short = [name.partition(".")[2] for name in known]
    near = nearest(text, [*known, *short])
    raise ValueError(f"--cause {text!r}: expected none or one of {', '.join(known)}{near}")


def _day(text: str) -> date | None:
    if text == "none":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        wanted = "expected a day such as 2025-09-03, or none"
        raise ValueError(f"--onset {text!r}: {wanted}") from None


def repairs_of(name: str) -> list[str]:
    """Return the smallest repair of a fault; two pass where harm depends on the world."""
    repair = REPAIR_OF.get(name, REPAIR_OF.get(name.partition(".")[0], "none"))
    if name == "none" or harm(name) == "no":
        return ["none"]
    return [repair] if harm(name) == "yes" else [repair, "none"]


def verdict(incident: Incident, given: Answer) -> list[Part]:
    """Return whether cause, onset and repair are right."""
    cause = incident.plan.cause.name if incident.plan.cause else "none"
    onset = incident.onset
    late = SLOW_DAYS.get(cause, CLOSE_DAYS)
    got = pd.Timestamp(given.onset, tz="UTC") if given.onset else None
    near = got is onset is None
    if got is not None and onset is not None:
        near = abs(got - onset) <= pd.Timedelta(days=late)
    wanted = repairs_of(cause)
    day = "none" if onset is None else f"{onset:%Y-%m-%d} (give or take {late} days)"
    return [
        Part("cause", given.cause, cause, given.cause == cause),
        Part("onset", str(given.onset or "none"), day, near),
        Part("repair", given.repair, " or ".join(wanted), given.repair in wanted),
    ]


def remedied(tables: Tables, repair: str) -> Tables:
    """Return the tables after one of `REPAIRS`."""
    if repair == "one_definition":
        return lesson("skew").repair(tables)
    if repair == "fix_upstream":
        from mlkit.drift.decide import source_breaks

        return source_breaks(tables)[1]
    if repair in ("retrain", "recalibrate"):
        return lesson("drift").repair(tables, how=repair)
    if repair == "none":
        return tables
    honest = lesson("leakage").repair(tables)
    changed = ("training", "served") if repair == "as_of" else ("study", "plan")
    return {**tables, **{name: honest[name] for name in changed}}


def production(tables: Tables) -> float:
    """Return the share of right decisions in the newest four weeks, by the truth."""
    log = tables["decisions"]
    log = log[log["ts"] > log["ts"].max() - pd.Timedelta(days=MONTH)]
    truth = tables["truth_offers"].set_index("offer_id")["accepted"].loc[log["offer_id"]]
    return float((log["decision"].to_numpy() == truth.to_numpy()).mean())


def cost(incident: Incident, given: Answer) -> dict[str, Any]:
    """Return what is measured, and its value as it is, with the given and with the right repair.

    Of a leak: by how much the study promises more than production gives. Of all else: the share of
    right decisions in the newest four weeks. A repair of the other sort does not touch it.
    """
    cause = incident.plan.cause
    leak = bool(cause and cause.word == "leakage")
    studies = given.repair in ("as_of", "new_study")
    right = repairs_of(cause.name if cause else "none")[0]

    def value(repair: str) -> float:
        tables = remedied(incident.tables, repair)
        return -lesson("leakage").score(tables)["kept"] if leak else production(tables)

    left = value("none")
    mine = left if given.repair == "none" or studies != leak else value(given.repair)
    what = "promise less production" if leak else "right decisions, newest four weeks"
    return {
        "what": what,
        "left": left,
        "yours": mine,
        "right": left if right == "none" else value(right),
    }
