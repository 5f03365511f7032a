"""Chest films: a hospital's archive, then a clinic where nobody is carried in from intensive care.

The truth behind the rows: whoever has pneumonia has a bright patch in one lung. In the hospital
the sick also tend to lie in intensive care, and there a tube and electrodes are on the film. The
equipment says nothing about the lungs, but in the archive it says nearly everything about the
answer. Outpatients have none, and after go-live every film is an outpatient's.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Count, Days, NotNegative, Share, checked
from mlkit.tables import Tables, as_time
from mlkit.worlds.people import DAY, SECOND, START, make_users

SIDE = 32  # films are squares of so many pixels
PIXELS = tuple(f"p{row:02d}_{column:02d}" for row in range(SIDE) for column in range(SIDE))
LIVE_FROM = 0.75  # share of the days after which the model is in operation, at the clinic
SITES = ["icu", "ward", "outpatient"]
LUNGS, PATCH_Y, PATCH_SIZE = (0.3, 0.7), 0.6, (0.12, 0.09)  # in shares of the side; size: y, x
Y, X = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)


@checked
def make_xrays(
    *,
    rng: np.random.Generator,
    n: Annotated[int, Interval(ge=20, le=100_000)],
    n_live: Count,
    n_days: Annotated[int, Interval(ge=31, le=100_000)],
    outpatient_share: Share,
    share_sick: Share,
    p_equip_sick: Share,
    p_equip_well: Share,
    opacity: NotNegative,
    noise: NotNegative,
    two_films_share: Share,
    label_delay_days: Days,
) -> Tables:
    """Return users, films, their pixels and the truth behind them.

    Parameters
    ----------
    rng: source of all randomness
    n, n_live: films of the archive, and films of outpatients after go-live
    n_days: days over which they are spread; the archive has the first three quarters
    outpatient_share: share of the archive that comes from the clinic (0: the hospital alone)
    share_sick: share of films with pneumonia, the same at every site
    p_equip_sick, p_equip_well: chance that a hospital film of a sick or healthy patient comes
        from intensive care and shows equipment (equal: it says nothing; both 0: none)
    opacity: brightness of the patch in a sick lung, mean over patients (0: nothing to see)
    noise: standard deviation of the grain (0: none); brightness goes from 0 to 1
    two_films_share: share of films that have a second one of the same patient (0: none)
    label_delay_days: days until the answer is known

    Returns
    -------
    `users`; `films` one row per film, ordered by time (site, equipment; `pneumonia` empty until
    label_known_ts); `pixels` one row per film: film_id and 1024 columns uint8, row by row from
    the top left; `truth_films` (pneumonia of every film).

    Raises
    ------
    ValueError: a knob out of range
    """
    end, total = START + n_days * DAY, n + n_live
    at, user = _times(rng, n, n_live, n_days), _patients(rng, total, two_films_share)
    outpatient = (rng.random(total) < outpatient_share) | (np.arange(total) >= n)
    sick = rng.random(total) < share_sick
    equipment = rng.random(total) < np.where(sick, p_equip_sick, p_equip_well)
    equipment &= ~outpatient
    bodies = rng.normal(size=(user.max() + 1, 3))[user]
    grey = render(rng, sick, equipment, bodies=bodies, opacity=opacity, noise=noise)
    known = at + label_delay_days * DAY
    films = pd.DataFrame({"film_id": np.arange(total), "user_id": user.astype("int32")})
    films["taken_ts"] = as_time(at)
    films["site"] = pd.Categorical.from_codes(
        np.where(outpatient, 2, np.where(equipment, 0, 1)), SITES
    )
    films["equipment"] = equipment
    films["pneumonia"] = pd.Series(sick, dtype="boolean").mask(known > end)
    films["label_known_ts"] = as_time(known)
    return {
        "users": make_users(rng, user.max() + 1),
        "films": films,
        "pixels": films[["film_id"]].join(pd.DataFrame(grey, columns=list(PIXELS))),
        "truth_films": films[["film_id"]].assign(pneumonia=sick),
    }


def _times(rng: np.random.Generator, n: int, n_live: int, n_days: int) -> np.ndarray:
    """Return the moment of every film in order; the first and the last mark the world's ends."""
    last = n_days * 86_400
    live = round(last * LIVE_FROM)
    at = np.concatenate([rng.integers(0, live, n), rng.integers(live, last, n_live)])
    at = np.sort(at)
    at[0], at[-1] = 0, last
    return START + at * SECOND


def _patients(rng: np.random.Generator, n: int, two_films_share: float) -> np.ndarray:
    """Return the patient of every film; nobody has more than two."""
    pairs = int(n * two_films_share / 2)
    first, second = rng.permutation(n)[: 2 * pairs].reshape(2, pairs)
    owner = np.arange(n)
    owner[second] = first
    return np.unique(owner, return_inverse=True)[1]


def render(
    rng: np.random.Generator,
    sick: np.ndarray,
    equipment: np.ndarray,
    *,
    bodies: np.ndarray,
    opacity: float,
    noise: float,
) -> np.ndarray:
    """Return one film per row as 1024 grey values, uint8, shape (n, 1024).

    Parameters
    ----------
    sick, equipment: booleans, shape (n,)
    bodies: how each body departs from the average, shape (n, 3): to the right, down, in size
    opacity, noise: see `make_xrays`
    """
    right, down, size = (value[:, None, None] for value in (bodies * [0.02, 0.02, 0.05]).T)
    bright = _chest(X - right, Y - down, 1 + size)
    bright = bright + _patch(rng, len(sick), right, down) * (opacity * sick)[:, None, None]
    bright = bright + _equipment(rng, len(sick)) * equipment[:, None, None]
    bright = bright + noise * rng.normal(size=bright.shape)
    return np.round(255 * np.clip(bright, 0, 1)).astype("uint8").reshape(len(sick), -1)


def _chest(x: np.ndarray, y: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return body, spine, heart, dark lungs and the ribs across them."""
    bright = 0.55 + 0.12 * np.exp(-(((x - 0.5) / 0.07) ** 2))
    bright = bright - 0.25 * (np.abs(x - 0.5) > 0.46)
    for lung in LUNGS:
        inside = (((x - lung) / (0.14 * size)) ** 2 + ((y - 0.48) / (0.31 * size)) ** 2) ** 2
        ribs = 0.10 * np.cos(2 * np.pi * (6 * y - 5 * (x - lung) ** 2 / 0.14))
        bright = bright - (0.36 - ribs) * np.exp(-inside)
    heart = ((x - 0.57) / 0.11) ** 2 + ((y - 0.66) / 0.13) ** 2
    return bright + 0.12 * np.exp(-(heart**2))


def _patch(rng: np.random.Generator, n: int, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return the shadow of pneumonia, somewhere in one lung, in shares of its mean opacity."""
    x = np.array(LUNGS)[rng.integers(0, 2, n)] + rng.normal(0, 0.03, n)
    y = PATCH_Y + rng.normal(0, 0.06, n)
    strength = rng.uniform(0.6, 1.4, n)
    x, y, strength = (value[:, None, None] for value in (x, y, strength))
    height, width = PATCH_SIZE
    return strength * np.exp(-(((X - right - x) / width) ** 2) - ((Y - down - y) / height) ** 2)


def _equipment(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return a tube down the windpipe and three electrodes on the upper chest."""
    tube = 0.5 + rng.normal(0, 0.015, n)
    bright = 0.35 * np.exp(-(((X - tube[:, None, None] - 0.04 * np.sin(3 * Y)) / 0.02) ** 2))
    bright = bright * (Y < 0.55)
    for _ in range(3):
        x, y = rng.uniform(0.1, 0.9, n)[:, None, None], rng.uniform(0.1, 0.4, n)[:, None, None]
        bright = bright + 0.4 * np.exp(-(((X - x) / 0.03) ** 2) - ((Y - y) / 0.03) ** 2)
    return bright
