"""What goes wrong between batch and stream: one function per fault, from the tables of a world.

Each returns the tables that the fault changes: the features as served, or as trained on, and the
log where it delivers twice.
"""

import inspect
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import Kind
from mlkit.dualmode.consumers import (
    WINDOWED,
    counted,
    delivered,
    event_log,
    in_order,
    naive_stream,
    stream,
    with_itself,
)
from mlkit.features import CARD_FEATURES, DAY_US, card_features
from mlkit.model import log_decisions
from mlkit.params import Days, NotNegative, Share, checked, options
from mlkit.tables import Tables, as_microseconds, require_tables

HOUR_US = DAY_US // 24
FAST = ["charges_5m", "amount_5m", "charges_1h"]  # what only a speed layer can know


def inject_naive_stream(
    world: Tables, *, rng: np.random.Generator, copies: float, copy_hours: float
) -> Tables:
    """Return windows by the time of arrival, over a log that delivers some charges twice."""
    log = delivered_twice(world["charges"], rng=rng, copies=copies, copy_hours=copy_hours)
    windows = naive_stream(world["charges"], log)
    return {"served": instead(world["served"], windows), "arrivals": log}


def inject_arrival_time(world: Tables) -> Tables:
    """Return windows by the time of arrival; nothing is delivered twice."""
    windows = naive_stream(world["charges"], event_log(world["charges"]))
    return {"served": instead(world["served"], windows)}


def inject_duplicates(
    world: Tables, *, rng: np.random.Generator, copies: float, copy_hours: float
) -> Tables:
    """Return what a stream that keeps no ids counts where some charges are delivered twice."""
    log = delivered_twice(world["charges"], rng=rng, copies=copies, copy_hours=copy_hours)
    return {"served": stream(world["charges"], log, retention_us=0), "arrivals": log}


def inject_short_retention(
    world: Tables,
    *,
    rng: np.random.Generator,
    copies: float,
    copy_hours: float,
    retention_hours: float,
) -> Tables:
    """Return what a stream counts that forgets an id before its second delivery comes."""
    log = delivered_twice(world["charges"], rng=rng, copies=copies, copy_hours=copy_hours)
    remembered = int(retention_hours * HOUR_US)
    return {"served": stream(world["charges"], log, retention_us=remembered), "arrivals": log}


def inject_late_dropped(world: Tables, *, lateness_seconds: float) -> Tables:
    """Return what a stream counts that drops what comes behind a newer charge of its card."""
    allowed = int(lateness_seconds * 1_000_000)
    return {"served": stream(world["charges"], lateness_us=allowed)}


def inject_speed_layer_lost(world: Tables) -> Tables:
    """Return features whose fast windows are zero: the speed layer is down, the default answers."""
    return {"served": world["served"].assign(**dict.fromkeys(FAST, 0.0))}


def inject_state_lost(world: Tables, *, restart_day: int) -> Tables:
    """Return what a stream counts that came back without its state: what arrives from then on."""
    charges = world["charges"]
    restart = as_microseconds(charges["event_ts"]).min() + restart_day * DAY_US
    history = delivered(charges, event_log(charges))
    after = counted(charges, history[history["known_us"] >= restart])
    down = as_microseconds(charges["event_ts"]) >= restart
    return {"served": mixed(world["served"], instead(world["served"], after), down)}


def inject_batch_only(world: Tables) -> Tables:
    """Return every window as of last midnight, as a nightly job leaves it."""
    charges = world["charges"]
    midnight = as_microseconds(charges["event_ts"]) // DAY_US * DAY_US
    windows = counted(charges, delivered(charges, event_log(charges)), at_us=midnight)
    return {"served": instead(world["served"], windows)}


def inject_double_seam(world: Tables, *, overlap_hours: float) -> Tables:
    """Return batch until midnight plus a speed layer that begins some hours before it.

    What happened in the overlap is in both, and is added twice all day.
    """
    charges = world["charges"]
    history = delivered(charges, event_log(charges))
    midnight = (history["at_us"] // DAY_US + 1) * DAY_US  # the one that follows
    both = history["at_us"] >= midnight - int(overlap_hours * HOUR_US)
    again = history.assign(
        known_us=np.maximum(history["known_us"], midnight), until_us=midnight + DAY_US
    )
    twice = pd.concat([history, again[both]], ignore_index=True)
    return {"served": instead(world["served"], counted(charges, twice))}


def inject_complete_history(world: Tables) -> Tables:
    """Return training features over the finished log, as if each charge had arrived at once."""
    charges = world["charges"]
    return {"training": card_features(charges.assign(ingest_ts=charges["event_ts"]))}


def inject_code_change(world: Tables) -> Tables:
    """Return what the old code served: the charge stood in its own average. The replay is new."""
    return {"served": with_itself(world["served"])}


def delivered_twice(
    charges: pd.DataFrame, *, rng: np.random.Generator, copies: float, copy_hours: float
) -> pd.DataFrame:
    """Return the log in which a share of the charges comes once more, hours later on average."""
    once = event_log(charges)
    again = once[rng.random(len(once)) < copies]
    later = pd.to_timedelta((rng.exponential(copy_hours, len(again)) * HOUR_US).round(), unit="us")
    again = again.assign(arrival_ts=(again["arrival_ts"] + later).astype(once["arrival_ts"].dtype))
    return in_order(pd.concat([once, again], ignore_index=True))


def instead(served: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """Return features as served with other windows in the place of theirs."""
    return served.assign(**{name: windows[name].to_numpy() for name in WINDOWED})


def mixed(old: pd.DataFrame, new: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return features of the same charges: new where `hit` (bool, shape (n,)), old elsewhere."""
    names = list(CARD_FEATURES)
    values = np.where(hit[:, None], new[names].to_numpy(), old[names].to_numpy())
    return old.assign(**dict(zip(names, values.T, strict=True)))


KINDS = {
    "naive_stream": Kind(
        inject_naive_stream, "yes", False, "the clock of arrival, and each delivery counts"
    ),
    "arrival_time": Kind(inject_arrival_time, "yes", False, "the clock of arrival"),
    "duplicates": Kind(inject_duplicates, "yes", False, "at least once, without ids"),
    "short_retention": Kind(
        inject_short_retention, "yes", False, "ids forgotten before the second delivery"
    ),
    "late_dropped": Kind(inject_late_dropped, "yes", False, "no allowed lateness"),
    "speed_layer_lost": Kind(
        inject_speed_layer_lost, "yes", False, "the speed layer is down, zeros answer"
    ),
    "state_lost": Kind(inject_state_lost, "yes", True, "a restart without a checkpoint"),
    "batch_only": Kind(inject_batch_only, "yes", False, "features of last midnight"),
    "double_seam": Kind(inject_double_seam, "yes", False, "Lambda: batch and speed layer overlap"),
    "complete_history": Kind(
        inject_complete_history, "yes", False, "training on a log in which all had arrived"
    ),
    "code_change": Kind(
        inject_code_change, "yes", False, "Kappa: the replay runs newer code than live ran"
    ),
}
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]


@checked
def inject(
    world: Tables,
    *,
    rng: np.random.Generator,
    kind: KindName = "naive_stream",
    severity: Share = 1.0,
    copies: Share = 0.05,
    copy_hours: NotNegative = 1.0,
    retention_hours: NotNegative = 0.5,
    lateness_seconds: NotNegative = 0.0,
    restart_day: Days = 140,
    overlap_hours: Annotated[float, Interval(ge=0, le=24)] = 3.0,
) -> Tables:
    """Return the world with a share of its charges answered by a faulty consumer of the log.

    Parameters
    ----------
    world: tables of cards in operation
    rng: draws the charges that take the faulty path, and what is delivered twice
    kind: one of `KINDS`
    severity: share of charges on the faulty path in [0, 1]; 0 returns an equal world
    copies, copy_hours: share of charges that are delivered twice, and mean hours until then
    retention_hours: `short_retention`: hours for which an id is remembered
    lateness_seconds: `late_dropped`: how far a charge may come behind a newer one of its card
    restart_day: `state_lost`: day on which the stream comes back without its state
    overlap_hours: `double_seam`: hours before midnight that both layers hold

    Returns
    -------
    New tables: `served` and `decisions` (or `training`) as the fault leaves them, and `arrivals`,
    the log, where it delivers twice; everything else is the world's own.

    Raises
    ------
    ValueError: unknown kind, an option out of range, or features of other rows than the charges
    KeyError: a table is missing

    Source: challenge 5.
    """
    require_tables(world, "charges", "training", "served")
    for path in ("training", "served"):
        if not np.array_equal(world[path]["charge_id"], world["charges"]["charge_id"]):
            raise ValueError(f"{path}: expected one row per row of charges, in their order")
    hit = rng.random(len(world["charges"])) < severity
    if not hit.any():
        return dict(world)
    fault = KINDS[kind].path
    sizes = {"copies": copies, "copy_hours": copy_hours, "retention_hours": retention_hours}
    sizes |= {"lateness_seconds": lateness_seconds, "restart_day": restart_day}
    sizes["overlap_hours"] = overlap_hours
    draws = {"rng": rng} if "rng" in inspect.signature(fault).parameters else {}
    changed = fault(world, **draws, **{name: sizes[name] for name in options(fault)})
    for path in [path for path in ("training", "served") if path in changed]:
        changed[path] = mixed(world[path], changed[path], hit)
    return log_decisions({**world, **changed})
