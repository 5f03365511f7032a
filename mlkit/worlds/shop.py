"""The shop: users buy, their spending changes, and each month the shop makes each an offer.

The truth behind the rows: every user has a spending level that stays the same for a while and
then changes (a regime), and naps of no purchases at all. Whether an offer is accepted depends on
the spending level at that moment, never on a feature. With `regime_days: .inf` nobody ever
changes: a world in which old behaviour is as good as new.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Count, Days, NotNegative, Positive, PositiveOrInf, Share, checked
from mlkit.tables import Tables, as_time
from mlkit.worlds.people import DAY, SECOND, START, lag, make_users

CENTURIES = 1 << 34  # seconds; keeps users apart in one sorted key
TYPICAL = 3.7  # log of the typical basket in USD
OFFER_EVERY_DAYS = 30
FIRST_OFFER_DAY = 30
CATEGORIES = ["grocery", "books", "home", "toys", "fashion", "gifts", "electronics", "travel"]
CHANNELS = ["web", "app", "pos"]


@checked
def make_shop(
    *,
    rng: np.random.Generator,
    n_users: Count,
    n_days: Annotated[int, Interval(ge=31, le=100_000)],
    rate_per_day: Positive,
    rate_sd: NotNegative,
    level_sd: Positive,
    base_share: Share,
    regime_days: PositiveOrInf,
    noise_sd: NotNegative,
    dormant_share: Annotated[float, Interval(ge=0, lt=1)],
    dormant_len_days: Positive,
    category_pull: NotNegative,
    late_share: Share,
    late_hours: NotNegative,
    label_k: NotNegative,
    label_delay_days: Days,
    market_sd: NotNegative,
) -> Tables:
    """Return users, transactions, offers and the truth behind them.

    Parameters
    ----------
    rng: source of all randomness
    n_users, n_days: size; offers start on day 30, so n_days is at least 31
    rate_per_day, rate_sd: purchases per awake user and day; spread of its log over users
    level_sd, base_share: sd of the log spending level; share of its variance that never changes
    regime_days: mean days until a user's level changes (`.inf`: never)
    noise_sd: sd of the log of a basket around the level
    dormant_share, dormant_len_days: share of time asleep; mean length of a nap in days
    category_pull: how strongly the level decides what is bought (0: not at all)
    late_share, late_hours: share of rows that arrive late; their mean delay in hours
    label_k: steepness of the acceptance curve (0: a coin flip)
    label_delay_days: days from an offer until its answer is known
    market_sd: sd of the mood that all customers share for a week, in log-odds (0: none)

    Returns
    -------
    `users` one row per user; `transactions` one row per purchase, ordered by event time
    (amount_usd in USD, two decimals); `offers` one row per offer, its `accepted` empty while
    the answer is not known at the end of the world; `truth_levels`, `truth_naps`,
    `truth_offers` (probability and answer of every offer).

    Raises
    ------
    ValueError: a knob out of range
    """
    naps = _naps(rng, n_users, n_days, share=dormant_share, mean_days=dormant_len_days)
    levels = _levels(rng, n_users, n_days, regime_days, spread=(level_sd, base_share))
    rates = rate_per_day * np.exp(rng.normal(-(rate_sd**2) / 2, rate_sd, n_users))
    user, at = _purchases(rng, rates, n_days, naps)
    level = level_at(levels, user, at)
    transactions = pd.DataFrame({"txn_id": np.arange(len(user)), "user_id": user.astype("int32")})
    transactions["event_ts"] = as_time(at)
    transactions["ingest_ts"] = as_time(at + lag(rng, len(at), late_share, late_hours))
    transactions["amount_usd"] = _baskets(rng, level, noise_sd)
    transactions["category"] = _categories(rng, level / level_sd, category_pull)
    transactions["channel"] = _channels(rng, user, n_users)
    user, at = _offer_times(rng, n_users, n_days)
    log_odds = label_k * level_at(levels, user, at) / level_sd
    truth = _answers(rng, log_odds + _mood(rng, at, market_sd))
    known = at + label_delay_days * DAY
    return {
        "users": make_users(rng, n_users),
        "transactions": transactions,
        "offers": _offers(user, at, known, truth, end=START + n_days * DAY),
        "truth_levels": levels.assign(from_ts=as_time(levels["from_ts"])),
        "truth_naps": naps.assign(from_ts=as_time(naps["from_ts"]), to_ts=as_time(naps["to_ts"])),
        "truth_offers": truth,
    }


def _naps(
    rng: np.random.Generator, n_users: int, n_days: int, *, share: float, mean_days: float
) -> pd.DataFrame:
    """Naps begin at random and may overlap; a user sleeps `share` of the time."""
    before = 5 * mean_days
    onsets = -np.log1p(-share) / mean_days * (n_days + before)
    user = np.repeat(np.arange(n_users), rng.poisson(onsets, n_users))
    start = rng.uniform(-before, n_days, len(user))
    end = start + rng.exponential(mean_days, len(user))
    naps = pd.DataFrame({"user_id": user.astype("int32"), "from_ts": _moment(start)})
    naps["to_ts"] = _moment(end)
    return naps.sort_values(["user_id", "from_ts"], ignore_index=True)


def _levels(
    rng: np.random.Generator,
    n_users: int,
    n_days: int,
    regime_days: float,
    *,
    spread: tuple[float, float],
) -> pd.DataFrame:
    """One row per user and regime: the log spending level from a moment on, 0 is typical.

    `spread` is the sd of the level and the share of its variance that never changes.
    """
    sd, base_share = spread
    base = rng.normal(0, sd * np.sqrt(base_share), n_users)
    changes = rng.poisson(n_days / regime_days, n_users)
    user = np.repeat(np.arange(n_users), changes + 1)
    day = rng.uniform(0, n_days, len(user))
    day[np.concatenate([[0], np.cumsum(changes + 1)[:-1]])] = 0  # everybody starts somewhere
    regimes = pd.DataFrame({"user_id": user.astype("int32"), "from_ts": _moment(day)})
    regimes = regimes.sort_values(["user_id", "from_ts"], ignore_index=True)
    own = rng.normal(0, sd * np.sqrt(1 - base_share), len(regimes))
    return regimes.assign(level=np.round(base[regimes["user_id"]] + own, 6))


def _moment(days: np.ndarray) -> np.ndarray:
    """Return microseconds since 1970, in whole seconds, for days since the world began."""
    return START + np.floor(days * 86_400).astype("int64") * SECOND


def _row_before(table: pd.DataFrame, user: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the position of each user's last row with from_ts <= at (-1 or another's: none)."""
    keys = table["user_id"].to_numpy("int64") * CENTURIES + table["from_ts"].to_numpy() // SECOND
    return np.searchsorted(keys, user.astype("int64") * CENTURIES + at // SECOND, "right") - 1


def level_at(levels: pd.DataFrame, user: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the log spending level of each user at a moment (microseconds since 1970)."""
    return levels["level"].to_numpy()[_row_before(levels, user, at)]


def _asleep(naps: pd.DataFrame, user: np.ndarray, at: np.ndarray) -> np.ndarray:
    if naps.empty:
        return np.zeros(len(user), dtype=bool)
    longest = naps.groupby("user_id")["to_ts"].cummax().to_numpy()  # naps may overlap
    row = _row_before(naps, user, at)
    return (row >= 0) & (naps["user_id"].to_numpy()[row] == user) & (longest[row] > at)


def _purchases(
    rng: np.random.Generator, rates: np.ndarray, n_days: int, naps: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Return user and time (microseconds) of every purchase, ordered by time."""
    user = np.repeat(np.arange(len(rates)), rng.poisson(rates * n_days))
    day = rng.integers(0, n_days, len(user))
    second = (rng.beta(3, 2.2, len(user)) * 86_400).astype("int64")  # most in the afternoon
    at = START + day * DAY + second * SECOND
    awake = ~_asleep(naps, user, at)
    user, at = user[awake], at[awake]
    order = np.lexsort((user, at))
    return user[order], at[order]


def _baskets(rng: np.random.Generator, level: np.ndarray, noise_sd: float) -> np.ndarray:
    amount = np.exp(TYPICAL + level + rng.normal(0, noise_sd, len(level)))
    return np.maximum(np.round(amount, 2), 0.01)


def _categories(rng: np.random.Generator, z: np.ndarray, pull: float) -> pd.Categorical:
    """Return what is bought: cheap things at low levels, dear ones at high, as `pull` says."""
    wish = (len(CATEGORIES) - 1) * (0.5 + 0.2 * pull * z) + rng.uniform(-4, 4, len(z))
    codes = np.clip(np.round(wish), 0, len(CATEGORIES) - 1).astype("int8")
    return pd.Categorical.from_codes(codes, CATEGORIES)


def _channels(rng: np.random.Generator, user: np.ndarray, n_users: int) -> pd.Categorical:
    """Return where it is bought: everybody has a favourite channel and strays now and then."""
    favourite = rng.integers(0, len(CHANNELS), n_users)[user]
    stray = rng.random(len(user)) < 0.3
    codes = np.where(stray, rng.integers(0, len(CHANNELS), len(user)), favourite)
    return pd.Categorical.from_codes(codes, CHANNELS)


def _offer_times(
    rng: np.random.Generator, n_users: int, n_days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return user and time (microseconds) of every offer, ordered by time."""
    rounds = np.arange(FIRST_OFFER_DAY, n_days, OFFER_EVERY_DAYS)
    day = (rounds[None, :] + rng.integers(0, OFFER_EVERY_DAYS, n_users)[:, None]).ravel()
    user = np.repeat(np.arange(n_users), len(rounds))
    at = START + day * DAY + rng.integers(0, 86_400, len(day)) * SECOND
    user, at = user[day < n_days], at[day < n_days]
    order = np.lexsort((user, at))
    return user[order], at[order]


def _mood(rng: np.random.Generator, at: np.ndarray, sd: float) -> np.ndarray | float:
    """Return the mood of the week of each offer; without any, no random number is drawn."""
    if sd == 0:
        return 0.0
    week = (at - START) // (7 * DAY)
    return rng.normal(0, sd, int(week.max()) + 1)[week]


def _answers(rng: np.random.Generator, log_odds: np.ndarray) -> pd.DataFrame:
    """Return the truth about each offer: how likely it was accepted, and whether it was."""
    probability = 1 / (1 + np.exp(-log_odds))
    accepted = rng.random(len(log_odds)) < probability
    truth = pd.DataFrame({"offer_id": np.arange(len(log_odds)), "accepted": accepted})
    return truth.assign(probability=np.round(probability, 6))


def _offers(
    user: np.ndarray, at: np.ndarray, known: np.ndarray, truth: pd.DataFrame, *, end: int
) -> pd.DataFrame:
    """Return the offers as the team sees them: answers that come after the end are not there."""
    offers = truth[["offer_id"]].assign(user_id=user.astype("int32"))
    offers["prediction_ts"] = as_time(at)
    offers["accepted"] = truth["accepted"].astype("boolean").mask(known > end)
    offers["label_known_ts"] = as_time(known)
    return offers
