"""Loans: people borrow for a year and pay back month by month; three late payments are a default.

The truth behind the rows: everybody has a standing (credit score, years in the job, burden of
debt), and each month's payment is late with a probability that falls with it. So the count of
late payments follows the default mechanically: known at the extract, unknown at the application.
With `mechanism` women are treated otherwise, in one of three ways that look alike in a table of
gaps and need different repairs.
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Count, NotNegative, Positive, Share, checked
from mlkit.tables import Tables, as_time
from mlkit.worlds.people import DAY, SECOND, START, make_users

TERM_MONTHS, MONTH_DAYS, LATE_IN_A_ROW = 12, 30, 3
WEIGHTS = np.array([1.6, 1.0, -0.8])  # of credit score, years in the job, burden of debt
WEIGHTS_OF_BREAKS = np.array([1.6, 0.1, -0.8])  # years in the job say little after career breaks


@checked
def make_loans(
    *,
    rng: np.random.Generator,
    n: Count,
    n_days: Annotated[int, Interval(ge=720, le=100_000)],
    share_women: Share,
    mechanism: Literal["none", "mapping", "noise", "label_bias"],
    label_flip: Share,
    measure_sd: NotNegative,
    steepness: NotNegative,
    late_level: float,
    late_spiral: Annotated[float, Interval(ge=1, le=100)],
    applications_per_user: Positive,
) -> Tables:
    """Return users, applications, payments and the truth behind them.

    Parameters
    ----------
    rng: source of all randomness
    n, n_days: applications, and days over which they are spread (720 at least: two terms)
    share_women: share of users who are women
    mechanism: none; mapping (for women years in the job say little); noise (women are measured
        with an error of `measure_sd`); label_bias (a share `label_flip` of women who paid back is
        recorded as defaulted)
    label_flip: see mechanism (0: no effect)
    measure_sd: see mechanism, in standard deviations of the measured thing (0: no effect)
    steepness: how strongly standing decides about late payments (0: not at all)
    late_level: log-odds of a late payment for the average applicant
    late_spiral: factor on that probability after a late payment (1: months are independent)
    applications_per_user: mean number of loans for one user

    Returns
    -------
    `users`; `applications` one row per application, ordered by time (late_payment_count as of the
    extract at the end of the world, its moment in late_payment_asof; `defaulted` empty until
    label_known_ts, when the term is over; outcome_ts when it was decided); `payments` one row per
    due payment up to the end; `truth_applications` (standing, what is true of the default, and
    the three measurements without error).

    Raises
    ------
    ValueError: a knob out of range
    """
    users = make_users(rng, max(1, round(n / applications_per_user)))
    women = rng.random(len(users)) < share_women
    users["gender"] = pd.Categorical.from_codes(women.astype(int), ["M", "F"])
    user, at = _applications(rng, n, n_days, len(users))
    exact = 0.8 * rng.normal(size=(len(users), 3))[user] + 0.6 * rng.normal(size=(n, 3))
    weights = np.where(
        (women[user] & (mechanism == "mapping"))[:, None], WEIGHTS_OF_BREAKS, WEIGHTS
    )
    standing = (exact * weights).sum(axis=1) / np.sqrt((weights**2).sum(axis=1))
    late, last = _months(rng, late_level - steepness * standing, late_spiral)
    truth = last < TERM_MONTHS
    flipped = women[user] & ~truth & (rng.random(n) < label_flip) & (mechanism == "label_bias")
    noisy = women[user] & (mechanism == "noise")
    seen = exact + measure_sd * rng.normal(size=(n, 3)) * noisy[:, None]
    end = START + n_days * DAY
    payments = _payments(user, at, late, last, end=end)
    applications = _table(user, at, seen, truth | flipped, end=end)
    applications["outcome_ts"] = as_time(at + np.minimum(last + 1, TERM_MONTHS) * MONTH_DAYS * DAY)
    counts = payments[payments["late"]].groupby("application_id").size()
    count = counts.reindex(applications["application_id"], fill_value=0)
    applications["late_payment_count"] = count.to_numpy("int16")
    applications["late_payment_asof"] = as_time(np.full(n, end))
    return {
        "users": users,
        "applications": applications,
        "payments": payments,
        "truth_applications": _truth(standing, truth, exact),
    }


def _applications(
    rng: np.random.Generator, n: int, n_days: int, n_users: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return user and time (microseconds) of every application, ordered by time."""
    at = START + rng.integers(0, n_days * 86_400, n) * SECOND
    return rng.integers(0, n_users, n), np.sort(at)


def _months(
    rng: np.random.Generator, log_odds: np.ndarray, spiral: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return which months are late, shape (n, 12), and the month of the default (12: none).

    After a default nothing more is due.
    """
    n = len(log_odds)
    usual = 1 / (1 + np.exp(-log_odds))
    worse = np.clip(usual * spiral, usual, np.maximum(usual, 0.9))
    draws = rng.random((n, TERM_MONTHS))
    late = np.zeros((n, TERM_MONTHS), dtype=bool)
    in_a_row, last = np.zeros(n, dtype=int), np.full(n, TERM_MONTHS)
    for month in range(TERM_MONTHS):
        chance = np.where(in_a_row > 0, worse, usual)
        late[:, month] = (draws[:, month] < chance) & (last == TERM_MONTHS)
        in_a_row = np.where(late[:, month], in_a_row + 1, 0)
        last[(in_a_row == LATE_IN_A_ROW) & (last == TERM_MONTHS)] = month
    return late, last


def _table(
    user: np.ndarray, at: np.ndarray, seen: np.ndarray, defaulted: np.ndarray, *, end: int
) -> pd.DataFrame:
    """Return the applications as the lender sees them at the end of the world."""
    known = at + TERM_MONTHS * MONTH_DAYS * DAY
    table = pd.DataFrame({"application_id": np.arange(len(user)), "user_id": user.astype("int32")})
    table["applied_ts"] = as_time(at)
    table = table.join(_measured(seen)).assign(term_months=np.int16(TERM_MONTHS))
    table["defaulted"] = pd.Series(defaulted, dtype="boolean").mask(known > end)
    table["label_known_ts"] = as_time(known)
    return table


def _measured(values: np.ndarray) -> pd.DataFrame:
    """Return credit score, years in the job, income and amount for standard measurements."""
    score, years, burden = values.T
    income = np.exp(10.6 - 0.25 * burden)
    return pd.DataFrame(
        {
            "credit_score": np.clip(np.round(650 + 75 * score), 300, 850).astype("int16"),
            "years_in_job": np.round(np.exp(1.6 + 0.5 * years), 1),
            "income_usd": np.round(income, 0),
            "amount_usd": np.round(0.2 * income * np.exp(0.5 * burden), 2),
        }
    )


def _payments(
    user: np.ndarray, at: np.ndarray, late: np.ndarray, last: np.ndarray, *, end: int
) -> pd.DataFrame:
    """Return one row per payment that fell due until the end; none after a default."""
    month = np.tile(np.arange(TERM_MONTHS), len(user))
    loan = np.repeat(np.arange(len(user)), TERM_MONTHS)
    due = at[loan] + (month + 1) * MONTH_DAYS * DAY
    asked = (month <= last[loan]) & (due <= end)
    table = pd.DataFrame({"application_id": loan[asked], "user_id": user[loan[asked]]})
    table["user_id"] = table["user_id"].astype("int32")
    table["due_ts"] = as_time(due[asked])
    return table.assign(late=late.ravel()[asked])


def _truth(standing: np.ndarray, defaulted: np.ndarray, exact: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"application_id": np.arange(len(standing)), "defaulted": defaulted})
    return table.assign(standing=np.round(standing, 6)).join(_measured(exact))
