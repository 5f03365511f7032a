"""Cards: the shop's people at a denser pace, and cards that are stolen now and then.

The truth behind the rows: an episode of fraud is a burst of charges within minutes or one big
charge; honest sprees look like bursts too. A fraud is known when the holder complains (a
charge-back), some weeks later; a charge without one counts as honest when that time has passed.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Count, Days, NotNegative, Positive, PositiveOrInf, Share, checked
from mlkit.tables import Tables, as_time
from mlkit.worlds.people import DAY, SECOND, START, lag
from mlkit.worlds.shop import CATEGORIES, CHANNELS, TYPICAL, level_at, make_shop

FIRST_EPISODE_DAY = 5
HONEST = {"new_device": 0.07, "km_home": 8.0, "seconds": 400.0, "more_usd": 0.0, "spread": 0.6}
FRAUD = {"new_device": 0.55, "km_home": 40.0, "seconds": 75.0, "more_usd": 0.3, "spread": 0.8}
MIMIC = {**HONEST, "new_device": 0.10, "km_home": 9.0, "seconds": 75.0}
PLAIN = {"rate_sd": 0.5, "base_share": 0.0, "dormant_len_days": 45.0, "category_pull": 1.0}
PLAIN |= {
    "late_share": 0.0,
    "late_hours": 0.0,
    "label_k": 0.0,
    "label_delay_days": 0,
    "market_sd": 0.0,
}
SINGLE_MORE_USD = 1.6  # a single fraudulent charge is big, in logs above the usual basket


@checked
def make_cards(
    *,
    rng: np.random.Generator,
    n_users: Count,
    n_days: Annotated[int, Interval(ge=31, le=100_000)],
    rate_per_day: Positive,
    regime_days: PositiveOrInf,
    level_sd: Positive,
    noise_sd: NotNegative,
    dormant_share: Annotated[float, Interval(ge=0, lt=1)],
    episodes: Days,
    sprees: Days,
    burst_share: Share,
    burst_most: Annotated[int, Interval(ge=3, le=100)],
    mimic_from_day: PositiveOrInf,
    late_share: Share,
    late_seconds: NotNegative,
    label_delay_days: Positive,
    label_mature_days: Days,
) -> Tables:
    """Return users, charges and the truth behind them.

    Parameters
    ----------
    rng: source of all randomness
    n_users, n_days, rate_per_day, regime_days, level_sd, noise_sd, dormant_share: see `make_shop`
    episodes: stolen cards (0: no fraud at all)
    sprees: honest bursts of charges (0: none)
    burst_share: share of episodes that are bursts; the others are one big charge (0: no bursts)
    burst_most: largest number of charges in a burst; 3 is the smallest
    mimic_from_day: day from which thieves behave like the holder (`.inf`: never)
    late_share, late_seconds: share of rows that arrive late; their mean delay (0: none)
    label_delay_days: mean days from a fraud to its charge-back (gamma, shape 2)
    label_mature_days: days after which a charge without a charge-back counts as honest

    Returns
    -------
    `users`; `charges` one row per charge, ordered by event time (amount_usd, category, channel,
    device_id, new_device, km_home; fraud_known_ts the charge-back, empty without one so far;
    `is_fraud` whether it had come by label_known_ts, when the label is mature, empty until then);
    `truth_charges` (is_fraud and the episode of every charge), `truth_episodes`, `truth_levels`.

    Raises
    ------
    ValueError: a knob out of range
    """
    pace = {"rate_per_day": rate_per_day, "regime_days": regime_days, "level_sd": level_sd}
    pace |= {"noise_sd": noise_sd, "dormant_share": dormant_share}
    shop = make_shop(rng=rng, n_users=n_users, n_days=n_days, **pace, **PLAIN)
    bursts = _episodes(rng, (episodes, sprees), (n_users, n_days), (burst_share, burst_most))
    bursts["mimic"] = bursts["is_fraud"] & (bursts["day"] >= mimic_from_day)
    charges = _all_charges(rng, shop, bursts)
    end, at = START + n_days * DAY, charges["at"].to_numpy()
    charges["ingest_ts"] = as_time(at + lag(rng, len(at), late_share, late_seconds / 3600))
    known = at + (rng.gamma(2, label_delay_days / 2, len(at)) * DAY).astype("int64")
    return {
        "users": shop["users"],
        "charges": _charges(charges, known, label_mature_days, end),
        "truth_charges": charges[["charge_id", "is_fraud", "episode"]],
        "truth_episodes": bursts.drop(columns="day"),
        "truth_levels": shop["truth_levels"],
    }


def _episodes(
    rng: np.random.Generator,
    counts: tuple[int, int],
    size: tuple[int, int],
    burst: tuple[float, int],
) -> pd.DataFrame:
    """Return one row per episode of fraud and honest spree: user, start, number of charges."""
    (episodes, sprees), (n_users, n_days), (burst_share, burst_most) = counts, size, burst
    n = episodes + sprees
    table = pd.DataFrame({"episode": np.arange(n), "is_fraud": np.arange(n) < episodes})
    table["user_id"] = rng.integers(0, n_users, n).astype("int32")
    table["day"] = rng.uniform(FIRST_EPISODE_DAY, n_days - 1, n)
    many = rng.integers(3, burst_most + 1, n)
    single = table["is_fraud"] & (rng.random(n) >= burst_share)
    table["charges"] = np.where(single, 1, many)
    return table.assign(from_ts=as_time(START + (table["day"] * 86_400).astype("int64") * SECOND))


def _all_charges(rng: np.random.Generator, shop: Tables, bursts: pd.DataFrame) -> pd.DataFrame:
    """Return everyday charges and those of episodes together, ordered by time."""
    usual = shop["transactions"][["user_id", "event_ts", "amount_usd", "category", "channel"]]
    usual = usual.assign(is_fraud=False, episode=-1)
    usual["new_device"] = rng.random(len(usual)) < HONEST["new_device"]
    usual["km_home"] = np.round(rng.exponential(HONEST["km_home"], len(usual)), 1)
    extra = _burst_charges(rng, bursts, shop["truth_levels"])
    both = pd.concat([usual, extra], ignore_index=True)
    both["at"] = both["event_ts"].astype("int64")
    both = both.sort_values(["at", "user_id"], kind="stable", ignore_index=True)
    devices = np.where(both["new_device"], 1_000_000 + np.arange(len(both)), both["user_id"])
    return both.assign(charge_id=np.arange(len(both)), device_id=devices.astype("int64"))


def _burst_charges(
    rng: np.random.Generator, bursts: pd.DataFrame, levels: pd.DataFrame
) -> pd.DataFrame:
    rows = bursts.loc[bursts.index.repeat(bursts["charges"])].reset_index(drop=True)
    n = len(rows)
    behaviour = pd.DataFrame([HONEST, FRAUD, MIMIC])
    kind = np.where(rows["mimic"], 2, rows["is_fraud"].astype(int))
    mine = behaviour.loc[kind].reset_index(drop=True)
    gap = (rng.exponential(1.0, n) * mine["seconds"]).groupby(rows["episode"]).cumsum()
    at = rows["from_ts"].astype("int64") + gap.astype("int64") * SECOND
    since = levels.assign(from_ts=levels["from_ts"].astype("int64"))
    level = level_at(since, rows["user_id"].to_numpy(), at.to_numpy())
    big = rows["is_fraud"] & ~rows["mimic"] & (rows["charges"] == 1)
    more = np.where(big, SINGLE_MORE_USD, mine["more_usd"])
    amount = np.exp(TYPICAL + level + more + mine["spread"] * rng.normal(size=n))
    table = rows[["user_id", "is_fraud", "episode"]].assign(event_ts=as_time(at.to_numpy()))
    table["amount_usd"] = np.maximum(np.round(amount, 2), 0.01)
    table["category"] = pd.Categorical.from_codes(rng.integers(0, 8, n), CATEGORIES)
    table["channel"] = pd.Categorical.from_codes(rng.integers(0, 2, n), CHANNELS)
    table["new_device"] = rng.random(n) < mine["new_device"].to_numpy()
    table["km_home"] = np.round(rng.exponential(1.0, n) * mine["km_home"].to_numpy(), 1)
    return table


def _charges(charges: pd.DataFrame, known: np.ndarray, mature_days: int, end: int) -> pd.DataFrame:
    """Return the charges as the bank sees them at the end: no label before its time."""
    fraud = charges["is_fraud"].to_numpy()
    mature = charges["at"].to_numpy() + mature_days * DAY
    told = fraud & (known <= end)
    label = pd.Series(fraud & (known <= mature), dtype="boolean").mask(mature > end)
    columns = ["charge_id", "user_id", "event_ts", "ingest_ts", "amount_usd", "category"]
    columns += ["channel", "device_id", "new_device", "km_home"]
    table = charges[columns].assign(is_fraud=label)
    table["fraud_known_ts"] = pd.Series(as_time(known)).where(told)
    table["label_known_ts"] = as_time(mature)
    return table
