"""The faults of challenge 9: ten changes by the team upstream, and three that it may make.

Each path takes the rows as they should be delivered and returns them as they are. The shop's
loader (`naive_load`) makes of them what its features need and never complains. A small table,
`changes`, says what upstream changed, from when on, and whether anybody was told.
"""

import inspect
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import Kind
from mlkit.features import asof_features
from mlkit.model import log_decisions, periods
from mlkit.params import Positive, Share, checked, options
from mlkit.tables import Tables, require_tables

DAY = pd.Timedelta(days=1)
KEPT = ["txn_id", "user_id", "event_ts", "ingest_ts", "amount_usd", "category", "channel"]
ADAPTERS = {"cents": "divide", "rename": "rename", "time_zone": "shift"}  # what can be undone


def inject_cents(delivery: pd.DataFrame, *, factor: float) -> pd.DataFrame:
    """Return purchases whose amounts are in another unit, `factor` to the dollar."""
    return delivery.assign(amount_usd=(delivery["amount_usd"] * factor).round(2))


def inject_rename(delivery: pd.DataFrame) -> pd.DataFrame:
    """Return purchases whose amount is in a column of another name."""
    return delivery.rename(columns={"amount_usd": "amount"})


def inject_currency(delivery: pd.DataFrame, *, rate: float) -> pd.DataFrame:
    """Return purchases of which one channel reports in local currency, `rate` to the dollar."""
    amount, pos = delivery["amount_usd"], delivery["channel"] == "pos"
    return delivery.assign(amount_usd=amount.mask(pos, (amount * rate).round(2)))


def inject_nulls(delivery: pd.DataFrame, *, rng: np.random.Generator, share: float) -> pd.DataFrame:
    """Return purchases of which a share has no amount any more."""
    hit = rng.random(len(delivery)) < share
    return delivery.assign(amount_usd=delivery["amount_usd"].mask(hit))


def inject_zeros(delivery: pd.DataFrame, *, rng: np.random.Generator, share: float) -> pd.DataFrame:
    """Return purchases of which a share has the amount 0, for "unknown"."""
    hit = rng.random(len(delivery)) < share
    return delivery.assign(amount_usd=delivery["amount_usd"].mask(hit, 0.0))


def inject_half_lost(delivery: pd.DataFrame, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return the purchases of half of the users: one of two servers was left out."""
    users = np.sort(delivery["user_id"].unique())
    lost = users[rng.random(len(users)) < 0.5]
    return delivery[~delivery["user_id"].isin(lost)]


def inject_refunds(
    delivery: pd.DataFrame, *, rng: np.random.Generator, share: float
) -> pd.DataFrame:
    """Return purchases and, as new rows, what came back of them: its sign is lost."""
    back = delivery[rng.random(len(delivery)) < share]
    later = pd.to_timedelta(rng.integers(1, 73, len(back)), unit="h").to_numpy("timedelta64[us]")
    first = 0 if delivery.empty else int(delivery["txn_id"].max()) + 1
    back = back.assign(
        txn_id=first + np.arange(len(back)),
        event_ts=back["event_ts"] + later,
        ingest_ts=back["ingest_ts"] + later,
    )
    return pd.concat([delivery, back]).sort_values(["event_ts", "txn_id"])


def inject_outage(delivery: pd.DataFrame, *, days_lost: int) -> pd.DataFrame:
    """Return the purchases without those of the first days: a job failed and nobody saw it."""
    return delivery[delivery["event_ts"] >= delivery["event_ts"].min() + days_lost * DAY]


def inject_shuffled(delivery: pd.DataFrame, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return purchases whose amounts belong to other users of the same day and channel."""
    places = [delivery["event_ts"].dt.floor("D"), delivery["channel"]]
    group = delivery.groupby(places, observed=True).ngroup().to_numpy()
    amount = delivery["amount_usd"].to_numpy().copy()
    amount[np.argsort(group, kind="stable")] = amount[np.lexsort((rng.random(len(group)), group))]
    return delivery.assign(amount_usd=amount)


def inject_time_zone(delivery: pd.DataFrame, *, hours: float) -> pd.DataFrame:
    """Return purchases with local time, `hours` behind, in the column that says UTC."""
    return delivery.assign(event_ts=delivery["event_ts"] - pd.Timedelta(hours=hours))


def inject_added_column(delivery: pd.DataFrame) -> pd.DataFrame:
    """Return purchases with one column more, which nobody has to read."""
    return delivery.assign(currency="USD")


def inject_reordered(delivery: pd.DataFrame) -> pd.DataFrame:
    """Return purchases with the columns in another order."""
    return delivery[KEPT[::-1]]


def inject_wider_type(delivery: pd.DataFrame) -> pd.DataFrame:
    """Return purchases whose user ids take 64 bits for 32."""
    return delivery.assign(user_id=delivery["user_id"].astype("int64"))


KINDS = {
    "cents": Kind(inject_cents, "yes", False, "unit: cents for dollars, in the same column"),
    "rename": Kind(inject_rename, "yes", True, "name: amount_usd is called amount"),
    "currency": Kind(inject_currency, "yes", False, "unit: one channel in another currency"),
    "nulls": Kind(inject_nulls, "no", False, "values: some amounts are missing"),
    "zeros": Kind(inject_zeros, "yes", False, "values: 0 where the amount is not known"),
    "half_lost": Kind(inject_half_lost, "yes", False, "rows: half of the users do not come"),
    "refunds": Kind(inject_refunds, "no", False, "meaning: refunds come as purchases"),
    "outage": Kind(inject_outage, "no", False, "rows: nothing came for a week"),
    "shuffled": Kind(inject_shuffled, "yes", False, "meaning: amounts of other users"),
    "time_zone": Kind(inject_time_zone, "no", False, "meaning: local time for UTC"),
    "added_column": Kind(inject_added_column, "no", False, "legal: one column more"),
    "reordered": Kind(inject_reordered, "no", False, "legal: columns in another order"),
    "wider_type": Kind(inject_wider_type, "no", False, "legal: 64 bits for 32"),
}
LEGAL = ["added_column", "reordered", "wider_type"]
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]


@checked
def inject(
    world: Tables,
    *,
    rng: np.random.Generator,
    kind: KindName = "cents",
    severity: Share = 1.0,
    announced: bool = False,
    factor: Positive = 100.0,
    rate: Positive = 20.0,
    share: Share = 0.3,
    days_lost: Annotated[int, Interval(ge=1, le=1000)] = 7,
    hours: Annotated[float, Interval(ge=-48, le=48)] = 8.0,
) -> Tables:
    """Return the world after a change upstream, loaded by a pipeline that never complains.

    The model was trained before: `training` stays. From the day of the change on, purchases are
    delivered otherwise; offers in production are served what follows from them.

    Parameters
    ----------
    world: tables with `transactions`, `offers`, `training` and `served`
    rng: draws which rows or users are hit
    kind: one of `KINDS`
    severity: share of the production period in which the change is live; 0 returns an equal world
    announced: whether `changes` says how to undo it (only for what can be undone by a rule)
    factor, rate, share, days_lost, hours: size of `cents` (times), `currency` (to the dollar),
        `nulls`, `zeros` and `refunds` (share of the rows), `outage` (days), `time_zone` (hours)

    Returns
    -------
    New tables: `delivery`, the rows since the change as they came; `changes`, what upstream did;
    `record`, the same rows in the till, from which they can be delivered again; `finance`, what
    was paid a day and channel; and `transactions`, `served`, `decisions` as the pipeline leaves
    them.

    Raises
    ------
    ValueError: unknown kind or an option out of range
    KeyError: a table is missing

    Source: challenge 9, breaking changes, data quality issues.
    """
    require_tables(world, "transactions", "offers", "training", "served")
    if severity == 0:
        return dict(world)
    bought, since = world["transactions"], change_day(world["offers"], severity=severity)
    record = bought[bought["event_ts"] >= since].reset_index(drop=True)
    if record.empty:
        raise ValueError(f"severity = {severity}: no purchase on or after {since:%Y-%m-%d}")
    path, sizes = KINDS[kind].path, {"factor": factor, "rate": rate, "share": share}
    sizes |= {"days_lost": days_lost, "hours": hours}
    given = {name: sizes[name] for name in options(path)}
    random = {"rng": rng} if "rng" in inspect.signature(path).parameters else {}
    delivery = path(record, **random, **given).reset_index(drop=True)
    size = {"cents": factor, "time_zone": hours}.get(kind, 0.0)
    broken = {
        **world,
        "delivery": delivery,
        "changes": change(kind, since, size=size, announced=announced),
        "record": record,
        "finance": books(bought),
    }
    return broken if kind in LEGAL else loaded(broken, naive_load(delivery), since=since)


def change_day(offers: pd.DataFrame, *, severity: float = 1.0) -> pd.Timestamp:
    """Return the midnight from which a change is live for a share of the production period."""
    asked = offers.loc[periods(offers) == "production", "prediction_ts"]
    live, end = asked.min(), asked.max()
    return (end - severity * (end - live)).floor("D")


def change(kind: str, since: pd.Timestamp, *, size: float, announced: bool) -> pd.DataFrame:
    """Return the table of changes with one row: what, since when, told or not, how to undo it."""
    row = {
        "dataset": "transactions",
        "version": "2.0.0" if announced else "1.0.0",  # nobody raised it
        "from_ts": since,
        "announced": announced,
        "undo": ADAPTERS.get(kind, "") if announced else "",
        "size": size if announced else 0.0,
        "note": KINDS[kind].cause if announced else "",
    }
    return pd.DataFrame([row])


def books(transactions: pd.DataFrame) -> pd.DataFrame:
    """Return what finance knows from the bank: USD paid a day (of settlement) and channel."""
    day = transactions["ingest_ts"].dt.floor("D").rename("day")
    paid = transactions.groupby([day, "channel"], observed=True)["amount_usd"].sum()
    return paid.round(2).rename("paid_usd").reset_index()


def naive_load(delivery: pd.DataFrame) -> pd.DataFrame:
    """Return a delivery as the pipeline takes it: 0 for a missing column, rows with gaps gone."""
    return delivery.reindex(columns=KEPT, fill_value=0.0).dropna()


def loaded(tables: Tables, rows: pd.DataFrame, *, since: pd.Timestamp) -> Tables:
    """Return the tables with other purchases since a moment, and what is served from then on."""
    bought = tables["transactions"]
    # rows count by the day of their delivery: a clock that is wrong moves none of the old ones
    old = bought[~bought["txn_id"].isin(tables["record"]["txn_id"])]
    both = pd.concat([old, rows.astype(old.dtypes)])
    both = both.sort_values(["event_ts", "txn_id"], ignore_index=True)
    return serve({**tables, "transactions": both}, since=since)


def serve(tables: Tables, *, since: pd.Timestamp) -> Tables:
    """Return the tables with features and decisions as they follow since a moment."""
    served = tables["served"]
    later = served["prediction_ts"] >= since
    if later.any():
        now = asof_features(tables["transactions"], served[later])
        served = pd.concat([served[~later], now], ignore_index=True)
    return log_decisions({**tables, "served": served})
