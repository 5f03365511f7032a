"""What the model of each world decides: over which requests, from which features, judged how."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import pandas as pd

from mlkit.features import (
    CARD_FEATURES,
    FEATURES,
    LOAN_FEATURES,
    asof_features,
    card_features,
    film_features,
    loan_features,
)
from mlkit.tables import Tables
from mlkit.worlds.xrays import LIVE_FROM, PIXELS


class Task(NamedTuple):
    """Names of a world's request table and its columns, its features, and how it is judged.

    `cuts` are shares of the time between first and last request at which validation and
    production begin. `review` is the share of requests that can be acted upon; without one the
    decision is a score of at least one half. `C` is the inverse of the model's regularisation, and
    what is fitted is rounded to so many `decimals`.
    """

    requests: str
    key: str
    time: str
    label: str
    truth: str
    features: tuple[str, ...]
    compute: Callable[[Tables], pd.DataFrame]
    needs: tuple[str, ...]
    judge: Literal["accuracy", "auc", "average_precision"]
    cuts: tuple[float, float] = (0.50, 0.70)
    review: float | None = None
    C: float = 1.0
    decimals: int = 10

    @property
    def columns(self) -> dict[str, str]:
        """Return the columns of the request table and their kinds."""
        kinds = {self.key: "int", "user_id": "int", self.time: "time", self.label: "bool"}
        return {**kinds, "label_known_ts": "time"}


TASKS = {
    "shop": Task(
        requests="offers",
        key="offer_id",
        time="prediction_ts",
        label="accepted",
        truth="truth_offers",
        features=tuple(FEATURES),
        compute=lambda tables: asof_features(tables["transactions"], tables["offers"]),
        needs=("transactions", "offers"),
        judge="accuracy",
    ),
    "loans": Task(
        requests="applications",
        key="application_id",
        time="applied_ts",
        label="defaulted",
        truth="truth_applications",
        features=LOAN_FEATURES,
        compute=lambda tables: loan_features(tables["applications"], tables["payments"]),
        needs=("applications", "payments"),
        judge="auc",
        cuts=(0.40, 0.75),
    ),
    "cards": Task(
        requests="charges",
        key="charge_id",
        time="event_ts",
        label="is_fraud",
        truth="truth_charges",
        features=tuple(CARD_FEATURES),
        compute=lambda tables: card_features(tables["charges"]),
        needs=("charges",),
        judge="average_precision",
        cuts=(0.40, 0.75),
        review=0.01,
    ),
    "xrays": Task(
        requests="films",
        key="film_id",
        time="taken_ts",
        label="pneumonia",
        truth="truth_films",
        features=PIXELS,
        compute=lambda tables: film_features(tables["films"], tables["pixels"]),
        needs=("films", "pixels"),
        judge="accuracy",
        cuts=(0.50, LIVE_FROM),
        C=0.01,
        decimals=6,  # of a thousand numbers, one would be on an edge between two at ten
    ),
}


def task_of(tables: Tables) -> Task:
    """Return the task of the world that the tables belong to, told by its table of requests.

    Raises
    ------
    KeyError: the tables hold no requests of a known world
    """
    for task in TASKS.values():
        if task.requests in tables:
            return task
    wanted = " or ".join(repr(task.requests) for task in TASKS.values())
    raise KeyError(f"tables lacks {wanted}, the requests of a world; has {sorted(tables)}")
