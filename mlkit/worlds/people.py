"""What all worlds share: one calendar, people who do not exist, rows that arrive late."""

import numpy as np
import pandas as pd

from mlkit.tables import as_time

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
START = 1_735_689_600 * SECOND  # 2025-01-01 00:00 UTC, microseconds since 1970
FIRST_NAMES = ["ana", "ben", "cho", "dia", "eli", "fay", "gus", "hana", "ivo", "jo"]
LAST_NAMES = ["berg", "cruz", "ito", "khan", "lee", "moreau", "novak", "okoye", "silva", "smith"]


def make_users(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return one row per user: names, gender, age, region and income, all drawn at random."""
    first, last = rng.integers(0, 10, n), rng.integers(0, 10, n)
    return pd.DataFrame(
        {
            "user_id": np.arange(n, dtype="int32"),
            "email": [
                f"{FIRST_NAMES[a]}.{LAST_NAMES[b]}{i}@mail.example"
                for i, (a, b) in enumerate(zip(first, last, strict=True))
            ],
            "gender": pd.Categorical.from_codes(rng.integers(0, 2, n), ["F", "M"]),
            "birth_year": rng.integers(1950, 2007, n).astype("int16"),
            "signup_ts": as_time(START - rng.integers(0, 365, n) * DAY),
            "region": rng.integers(0, 12, n).astype("int8"),
            "income_usd": np.round(np.exp(rng.normal(10.6, 0.5, n)), 0).astype("float32"),
            "consent": rng.random(n) < 0.8,
            "deleted_ts": pd.Series(pd.NaT, index=range(n), dtype="datetime64[us, UTC]"),
        }
    )


def lag(rng: np.random.Generator, n: int, late_share: float, late_hours: float) -> np.ndarray:
    """Return microseconds until each row arrives: seconds for most, hours for the late ones."""
    usual = rng.exponential(30, n)
    late = (rng.random(n) < late_share) * rng.exponential(late_hours * 3600, n)
    return ((usual + late) * SECOND).astype("int64")
