"""What is wrong in an incident, if anything: drawn from a seed and a level, then made to happen."""

import importlib
import inspect
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit import CHALLENGES
from mlkit.model import make_world, performance, periods
from mlkit.params import options, stream, unknown
from mlkit.tables import Tables, require_tables

Seed = Annotated[int, Interval(ge=0, lt=2**32)]
Level = Annotated[int, Interval(ge=1, le=3)]
WORLD = "shop"
WORDS = tuple(word for word in ("skew", "leakage", "drift") if word in CHALLENGES)
DATED = ("skew", "drift")  # their faults begin on a day; a study leaks from its first row
ORDER = ("drift", "skew", "leakage")  # upstream first: the world, how it is served, the study
NEVER = {
    "leakage.horizon": "its study asks another question than the offers in production",
    "leakage.two_clocks": "too rare in this shop: the good check is silent",
    "drift.clustered": "what it costs depends on the few customers, the good check is silent",
}
LEADS = {  # harmless faults that may stand beside a harmful one of another challenge
    "skew": ("drift.covariate", "drift.season", "leakage.scaler"),
    "leakage": ("drift.covariate", "drift.season"),
    "drift": ("leakage.scaler",),
}
TWINS = ("dimension", "temporal", "feature_selection")  # studies that may be honest
QUIET_DAYS = 28  # of production, in which nothing is wrong yet
ONSETS = (28, 38)  # days of production at which something begins, both included
NOTHING = 0.2  # how often nothing is wrong
PARTIAL = (0.4, 0.8)  # severity at level 3
WHOLE = (  # in part the good check would be silent, or it would look like another fault
    "leakage.no_test_set",
    "leakage.sampling",
    "drift.covariate",
    "drift.prior",
)


class Fault(NamedTuple):
    """One thing that is made to happen: "skew.unit", how strongly, from which day on."""

    name: str
    severity: float = 1.0
    day: int | None = None  # of production; none: from the first row on

    @property
    def word(self) -> str:
        """Return the challenge that the fault is from."""
        return self.name.partition(".")[0]

    @property
    def kind(self) -> str:
        """Return the name of the fault in its challenge."""
        return self.name.partition(".")[2]


class Plan(NamedTuple):
    """What an incident is made of: the cause or none, false leads, the suspects of its ticket."""

    seed: int
    level: int
    only: tuple[str, ...]
    cause: Fault | None
    lead: Fault | None = None
    twin: str = ""  # a study that looks like a leak and is honest
    suspects: tuple[str, ...] = ()


class Incident(NamedTuple):
    """A plan and the tables it leads to, the truth among them; go-live and onset are days (UTC)."""

    plan: Plan
    tables: Tables
    offline: float  # accuracy of the live model on its validation rows, before anything happened
    live_from: pd.Timestamp
    onset: pd.Timestamp | None


def lesson(word: str) -> Any:
    """Return the module of a challenge.

    Raises
    ------
    ValueError: no such challenge, or none that incidents are made of
    """
    if word not in WORDS:
        raise ValueError(unknown("incident.only", word, list(WORDS)))
    return importlib.import_module(f"mlkit.{word}")


def words(only: list[str] | None) -> tuple[str, ...]:
    """Return the challenges an incident may come from, in their order, each once.

    Parameters
    ----------
    only: words, several in a text with commas between; all that there are where none is given

    Raises
    ------
    ValueError: an unknown word
    """
    asked = [word.strip() for text in only or [] for word in text.split(",")]
    for word in asked:
        lesson(word)
    return tuple(word for word in WORDS if not asked or word in asked)


def causes(only: tuple[str, ...]) -> dict[str, str]:
    """Return every fault of some challenges, "skew.unit", with its cause in words."""
    return {
        f"{word}.{name}": kind.cause for word in only for name, kind in lesson(word).KINDS.items()
    }


def harm(name: str) -> str:
    """Return whether a fault, "skew.unit", does harm: yes, no or depends."""
    word, _, kind = name.partition(".")
    return lesson(word).KINDS[kind].harm


def draw(seed: int, level: int, only: tuple[str, ...]) -> Plan:
    """Return what an incident is made of.

    Level 1: an obvious harmful fault at full severity, one of two suspects. Level 2: any fault of
    the words. Level 3: a part of the rows only, and a false lead beside it. At each level nothing
    is wrong in one incident of five. From level 2 on an honest study may look like a leaking one.
    """
    rng = stream(seed, "incident", "plan", str(level), *only)
    pool = [name for name in causes(only) if name not in NEVER]
    pool = [name for name in pool if level > 1 or harm(name) == "yes"]
    word = rng.choice(sorted({name.partition(".")[0] for name in pool}))  # each alike
    name = str(rng.choice([name for name in pool if name.startswith(f"{word}.")]))
    other = str(rng.choice([other for other in pool if other != name]))
    nothing = rng.random() < NOTHING
    low, high = PARTIAL if level == 3 and name not in WHOLE else (1.0, 1.0)
    fault = Fault(name, round(rng.uniform(low, high), 2))
    if fault.word in DATED:
        fault = fault._replace(day=int(rng.integers(ONSETS[0], ONSETS[1] + 1)))
    beside = _lead(fault, only, rng) if level == 3 and harm(name) == "yes" else None
    cause, lead = (None, None) if nothing else (fault, beside)
    studied = any(fault and fault.word == "leakage" for fault in (cause, lead))
    twin = str(rng.choice(TWINS)) if rng.random() < 0.5 else ""
    allowed = level > 1 and "leakage" in only and not studied
    suspects = tuple(sorted((name, other))) if level == 1 else ()
    return Plan(seed, level, only, cause, lead, twin if allowed else "", suspects)


def _lead(cause: Fault, only: tuple[str, ...], rng: np.random.Generator) -> Fault | None:
    names = [name for name in LEADS[cause.word] if name.partition(".")[0] in only]
    if not names:
        return None
    fault = Fault(str(rng.choice(names)))
    days = [day for day in range(ONSETS[0], 50) if abs(day - (cause.day or 0)) >= 7]
    return fault._replace(day=int(rng.choice(days))) if fault.word in DATED else fault


def happen(plan: Plan, knobs: dict[str, Any]) -> Incident:
    """Return the incident of a plan, in a world of its own.

    Parameters
    ----------
    knobs: of `make_shop`

    Raises
    ------
    ValueError: a knob out of range, or a world whose production is too short
    """
    return befall(plan, make_world(WORLD, rng=stream(plan.seed, "incident", "make"), **knobs))


def befall(plan: Plan, world: Tables) -> Incident:
    """Return the incident of a plan in a healthy world.

    Raises
    ------
    ValueError: a world whose production is too short
    """
    offers = world["offers"]
    live_from = offers.loc[periods(offers) == "production", "prediction_ts"].min()
    days = (offers["prediction_ts"].max() - live_from).days
    if not days >= 70:  # NaN too
        raise ValueError(f"worlds.shop: production lasts {days} days, an incident needs 70")
    offline, tables = performance(world)["offline"], world
    faults = [fault for fault in (plan.cause, plan.lead) if fault]
    for fault in sorted(faults, key=lambda fault: ORDER.index(fault.word)):
        tables = strike(tables, fault, rng=stream(plan.seed, "incident", fault.name))
    if plan.twin:
        tables = honest_twin(tables, plan.twin, rng=stream(plan.seed, "incident", plan.twin))
    day = plan.cause.day if plan.cause else None
    onset = None if day is None else (live_from + pd.Timedelta(days=day)).floor("D")
    return Incident(plan, tidy(tables), offline, live_from.floor("D"), onset)


def strike(tables: Tables, fault: Fault, *, rng: np.random.Generator) -> Tables:
    """Return the tables after a fault; its day is counted from the first day of production."""
    module = lesson(fault.word)
    dated = {}
    if fault.day is not None:
        dated = {"start_day": fault.day + (_days_before(tables) if fault.word == "skew" else 0)}
    return module.inject(tables, rng=rng, kind=fault.kind, severity=fault.severity, **dated)


def _days_before(tables: Tables) -> int:
    """Return the days from the first offer to the first in production."""
    offers = tables["offers"]
    first = offers["prediction_ts"].min()
    live = offers.loc[periods(offers) == "production", "prediction_ts"].min()
    return int((live.floor("D") - first.floor("D")).days)


def honest_twin(tables: Tables, kind: str, *, rng: np.random.Generator) -> Tables:
    """Return the tables with a study of the same make as a leaking one, and no leak in it."""
    module = lesson("leakage")
    fault, nobody = module.KINDS[kind].path, tables["offers"]["offer_id"].iloc[:0]
    defaults = inspect.signature(module.inject).parameters
    sizes: dict[str, Any] = {name: defaults[name].default for name in options(fault)}
    if "rng" in inspect.signature(fault).parameters:
        sizes["rng"] = rng
    return fault(tables, nobody, **sizes)


def tidy(tables: Tables) -> Tables:
    """Return the tables as one who knows nothing would keep them: in order of time, ids in order.

    Numbers that are skipped or come late would tell which rows a fault took away or brought. The
    study and its plan are always there, the healthy ones too.
    """
    require_tables(tables, "offers", "transactions", "truth_offers")
    from mlkit.leakage.study import planned, study_of

    tables = planned(tables, study_of(tables))
    bought = tables["transactions"].sort_values(["event_ts", "user_id", "txn_id"])
    bought = bought.assign(txn_id=np.arange(len(bought)))
    offers = tables["offers"].sort_values(["prediction_ts", "user_id", "offer_id"])
    new = pd.Series(np.arange(len(offers)), index=offers["offer_id"].to_numpy())
    changed = {"transactions": bought, "offers": offers}
    for name in ("offers", "training", "served", "decisions", "truth_offers", "study", "columns"):
        if name in tables:
            table = changed.get(name, tables[name])
            table = table.assign(offer_id=new.loc[table["offer_id"]].to_numpy())
            inside = name not in ("study", "columns")
            changed[name] = table.sort_values("offer_id") if inside else table
    return {name: changed.get(name, table).reset_index(drop=True) for name, table in tables.items()}
