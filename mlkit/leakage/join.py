"""The point-in-time join: what was known at a moment, on two clocks."""

import numpy as np
import pandas as pd

from mlkit.tables import as_microseconds, require, require_complete


def point_in_time_join(
    requests: pd.DataFrame,
    history: pd.DataFrame,
    *,
    entity: str,
    time: str,
    event: str,
    known: str | None = None,
    ties: bool = False,
) -> pd.DataFrame:
    """Return each request with the row of its entity's history that was in force and known.

    A row of history says what is so from a moment of `event` on, and could be read from `known`
    on (late rows and corrections are known later than they happened). At the moment of a request
    the row with the latest event counts, of those that had happened and were known; among equal
    events the one known last, then the one further down. Joining today's value instead, or going
    by the event alone, lets the future in.

    Parameters
    ----------
    requests: entity int, time UTC; any order, repeats allowed
    history: entity int, event UTC, known UTC; any order
    entity, time, event, known: names of these columns; without `known` every row counts as known
        when it happened
    ties: whether a row of the very moment of the request counts; by default the request comes first

    Returns
    -------
    The rows of `requests` in their order and with their index, joined with the other columns of
    `history` (missing where nothing was known). Integers become floats where something is missing.

    Raises
    ------
    KeyError, TypeError: a column is missing, or of another type
    ValueError: an empty table, a missing value in a key or a time, or a column in both tables

    Source: challenge 2, solution 1; two clocks: Snodgrass, Developing Time-Oriented Database
    Applications in SQL (1999).
    """
    clocks = {event: "time", **({known: "time"} if known else {})}
    _checked_sides(requests, history, {entity: "int", time: "time"}, {entity: "int", **clocks})
    told = pd.DataFrame({"entity": history[entity].to_numpy(), "row": np.arange(len(history))})
    happened = as_microseconds(history[event])
    told["at"] = happened
    if known:
        knew = as_microseconds(history[known])
        told["at"] = np.maximum(happened, knew)
        if (knew < happened).any():  # announced before: of one moment, the one known last counts
            told = told.iloc[stable_order(knew)]
    told = told.iloc[stable_order(told["at"].to_numpy())]
    if known:
        told["row"] = told["row"].to_numpy()[_in_force(told["entity"], happened[told["row"]])]
    asked = pd.DataFrame({"entity": requests[entity].to_numpy(), "place": np.arange(len(requests))})
    asked["at"] = as_microseconds(requests[time])
    found = pd.merge_asof(
        asked.iloc[stable_order(asked["at"].to_numpy())],
        told,
        on="at",
        by="entity",
        allow_exact_matches=ties,
    )
    rows = np.full(len(requests), -1)
    rows[found["place"]] = found["row"].fillna(-1)
    return requests.join(_taken(history.drop(columns=entity), rows).set_axis(requests.index))


def _in_force(entities: pd.Series, happened: np.ndarray) -> np.ndarray:
    """Return the place of the row in force at each row of a history ordered by when it was known.

    A late row about the past takes no place of a row about a later moment.
    """
    codes, place = pd.factorize(entities.to_numpy())[0], np.arange(len(happened))
    by_entity = pd.DataFrame({"happened": happened, "place": place}).groupby(codes, sort=False)
    newest = happened >= by_entity["happened"].cummax().to_numpy()
    if newest.all():
        return place
    mine = pd.Series(np.where(newest, place, 0)).groupby(codes, sort=False)
    return mine.cummax().to_numpy()


def stable_order(values: np.ndarray) -> np.ndarray:
    """Return the order of integers, equal ones by their place: five times as fast as a stable sort.

    numpy sorts integers with wide instructions but leaves ties in any order; here only these are
    sorted again.
    """
    order = np.argsort(values)
    equal = np.diff(values[order]) == 0
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    again = order[tied]
    order[tied] = again[np.lexsort((again, values[again]))]
    return order


def _taken(history: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return rows of a history by their number; a row of missing values for -1."""
    some = history.reset_index(drop=True)
    if (rows >= 0).all():
        return some.iloc[rows]
    return some.reindex(np.where(rows < 0, len(some), rows))


def _checked_sides(
    requests: pd.DataFrame, history: pd.DataFrame, asked: dict[str, str], told: dict[str, str]
) -> None:
    for frame, name, columns in ((requests, "requests", asked), (history, "history", told)):
        require(frame, name, columns)
        require_complete(frame, name, columns)
    entity = next(iter(asked))
    both = [name for name in history if name in requests and name != entity]
    if both:
        raise ValueError(f"columns {both} are in requests and in history; rename one of each")
