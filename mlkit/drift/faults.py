"""The faults of challenge 6: ways in which the world or its data change while a model is live.

Each path takes the world and a `dose`: how strongly the change acts at a moment, in [0, 1]. What
changes is the world itself, its customers or what arrives from upstream, never the code of the
pipeline: both paths see the same change.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import Kind
from mlkit.model import log_decisions, operate, periods
from mlkit.params import Count, Days, Positive, Share, checked, options
from mlkit.tables import Tables, require_tables

Dose = Callable[[pd.Series], np.ndarray]


def inject_concept(
    world: Tables, dose: Dose, *, rng: np.random.Generator, purchases: int
) -> Tables:
    """Return the world in which a competitor has won the regulars: they accept no offer."""
    truth, asked = world["truth_offers"], world["training"]
    regular = (asked["purchases_30d"] >= purchases).to_numpy()
    won = dose(asked["prediction_ts"]) * regular
    lost = rng.random(len(truth)) < won
    probability = np.round(truth["probability"] * (1 - won), 6)
    truth = truth.assign(accepted=truth["accepted"] & ~lost, probability=probability)
    offers = world["offers"]
    answer = offers["accepted"].mask(lost & offers["accepted"].notna(), False)
    changed = {"truth_offers": truth, "offers": offers.assign(accepted=answer)}
    return log_decisions({**world, **changed})


def inject_covariate(world: Tables, dose: Dose, *, rng: np.random.Generator) -> Tables:
    """Return the world in which most small spenders are asked no more: a campaign for the big."""
    amount = world["training"]["avg_amount"]
    small = (amount < amount.median()).to_numpy()
    gone = rng.random(len(amount)) < 0.8 * small * dose(world["offers"]["prediction_ts"])
    return _without(world, gone)


def inject_prior(world: Tables, dose: Dose, *, rng: np.random.Generator) -> Tables:
    """Return the world with fewer who accept, the same among themselves: P(x | y) stays."""
    yes = world["truth_offers"]["accepted"].to_numpy()
    gone = rng.random(len(yes)) < 0.8 * yes * dose(world["offers"]["prediction_ts"])
    return _without(world, gone)


def inject_unit(world: Tables, dose: Dose, *, rng: np.random.Generator, factor: float) -> Tables:
    """Return the world whose amounts arrive in another unit, `factor` to the dollar."""
    bought = world["transactions"]
    hit = rng.random(len(bought)) < dose(bought["event_ts"])
    amount = np.round(bought["amount_usd"].mask(hit, bought["amount_usd"] * factor), 2)
    return operate({**world, "transactions": bought.assign(amount_usd=amount)})


def inject_nulls(world: Tables, dose: Dose, *, rng: np.random.Generator) -> Tables:
    """Return the world whose feature store loses the average amount of half of the requests."""
    asked = world["training"]
    lost = rng.random(len(asked)) < 0.5 * dose(asked["prediction_ts"])
    asked = asked.assign(avg_amount=asked["avg_amount"].mask(lost))
    return log_decisions({**world, "training": asked, "served": asked})


def inject_season(
    world: Tables, dose: Dose, *, rng: np.random.Generator, period_days: int
) -> Tables:
    """Return the world with a season: purchases double at its height and calm down again."""
    bought = world["transactions"]
    begin = _go_live(world)
    phase = (bought["event_ts"] - begin) / pd.Timedelta(days=period_days)
    height = (1 - np.cos(2 * np.pi * phase.to_numpy())) / 2
    again = bought[rng.random(len(bought)) < dose(bought["event_ts"]) * height]
    later = pd.to_timedelta(rng.integers(3_600, 172_800, len(again)), unit="s")
    again = again.assign(
        txn_id=bought["txn_id"].max() + 1 + np.arange(len(again)),
        event_ts=again["event_ts"] + later.to_numpy("timedelta64[us]"),
        ingest_ts=again["ingest_ts"] + later.to_numpy("timedelta64[us]"),
    )
    more = pd.concat([bought, again]).sort_values(["event_ts", "txn_id"], ignore_index=True)
    return operate({**world, "transactions": more})


def inject_clustered(
    world: Tables, dose: Dose, *, rng: np.random.Generator, repeats: int
) -> Tables:
    """Return the world that asks a few customers again and again: many rows, few of them new."""
    offers, truth = world["offers"], world["truth_offers"]
    users = offers["user_id"].unique()
    few = rng.choice(users, max(len(users) // 40, 1), replace=False)
    asked = offers["user_id"].isin(few) & (rng.random(len(offers)) < dose(offers["prediction_ts"]))
    row = np.repeat(np.flatnonzero(asked), repeats)
    later = pd.to_timedelta(rng.integers(60, 86_400, len(row)), unit="s").to_numpy(
        "timedelta64[us]"
    )
    copies = offers.iloc[row].assign(
        prediction_ts=lambda t: t["prediction_ts"] + later,
        label_known_ts=lambda t: t["label_known_ts"] + later,
    )
    answers = truth.iloc[row]
    inside = (copies["prediction_ts"] < offers["prediction_ts"].max()).to_numpy()
    ids = truth["offer_id"].max() + 1 + np.arange(len(row))
    copies, answers = (t.assign(offer_id=ids)[inside] for t in (copies, answers))
    more = {
        "offers": pd.concat([offers, copies], ignore_index=True),
        "truth_offers": pd.concat([truth, answers], ignore_index=True),
    }
    return operate({**world, **more})


def _without(world: Tables, gone: np.ndarray) -> Tables:
    """Return the world without some offers; the last one stays, so that no period moves."""
    asked = world["offers"]["prediction_ts"]
    kept_rows = ~gone | (asked == asked.max()).to_numpy()
    names = ("offers", "truth_offers", "training", "served")
    kept = {name: world[name][kept_rows].reset_index(drop=True) for name in names}
    return log_decisions({**world, **kept})


def _go_live(world: Tables) -> pd.Timestamp:
    """Return the moment of the first request in production."""
    offers = world["offers"]
    return offers.loc[periods(offers) == "production", "prediction_ts"].min()


KINDS = {
    "concept": Kind(
        inject_concept, "yes", False, "concept drift, P(y | x): a competitor wins the regulars"
    ),
    "covariate": Kind(
        inject_covariate, "no", True, "covariate shift, P(x): a campaign asks the big spenders"
    ),
    "prior": Kind(
        inject_prior, "depends", True, "prior shift, P(y): fewer accept, each class as it was"
    ),
    "unit": Kind(inject_unit, "yes", True, "a bug upstream: cents for dollars"),
    "nulls": Kind(inject_nulls, "yes", False, "a bug upstream: half of a feature is missing"),
    "season": Kind(inject_season, "no", True, "a season: everybody buys more often, for a while"),
    "clustered": Kind(
        inject_clustered,
        "depends",
        False,
        "no change of the world: the average now counts a few customers 31 times",
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
    kind: KindName = "concept",
    severity: Share = 1.0,
    start_day: Days = 14,
    ramp_days: Days = 0,
    purchases: Count = 3,
    factor: Positive = 100.0,
    period_days: Annotated[int, Interval(ge=2, le=100_000)] = 120,
    repeats: Count = 30,
) -> Tables:
    """Return the world with a change in it, from a day of production on.

    Parameters
    ----------
    world: tables of the shop with its model in operation, the truth among them
    rng: draws whom the change reaches
    kind: one of `KINDS`
    severity: how strong the change is at its full height, in [0, 1]; 0 returns an equal world
    start_day: days after the first request in production at which the change begins
    ramp_days: days until it has its full height (0: at once)
    purchases, factor, period_days, repeats: `concept`: purchases in 30 days that make a regular;
        `unit`: times (powers of ten are what the gate can name and mend, see
        `decide.wrong_unit`); `season`: days from calm to calm; `clustered`: requests for one

    Returns
    -------
    New tables, the decisions those of the model that was live before the change.

    Raises
    ------
    ValueError: unknown kind or an option out of range
    KeyError: a table is missing

    Source: challenge 6, types of drift.
    """
    require_tables(world, "transactions", "offers", "truth_offers", "training", "served")
    begin = _go_live(world) + pd.Timedelta(days=start_day)
    if severity == 0 or begin > world["offers"]["prediction_ts"].max():
        return dict(world)

    def dose(at: pd.Series) -> np.ndarray:
        passed = ((at - begin) / pd.Timedelta(days=1)).to_numpy()
        return severity * (passed >= 0) * np.clip((passed + 1e-9) / max(ramp_days, 1e-9), 0, 1)

    fault = KINDS[kind].path
    sizes = {
        "purchases": purchases,
        "factor": factor,
        "period_days": period_days,
        "repeats": repeats,
    }
    sizes = {name: sizes[name] for name in options(fault)}
    return fault(world, dose, rng=rng, **sizes)
