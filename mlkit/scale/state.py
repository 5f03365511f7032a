"""A state that can be merged: a small cell per user and day, from which features are made.

What is kept of the rows of a cell is what two cells can be merged by: counts, sum, centred second
moment, smallest, largest, and the latest three rows with the key that breaks ties. None of it
gives a median; that takes a sketch, which is merged too, but is not exact. Nothing of it can be
un-merged either: when a row is corrected or withdrawn its cell is made again from its rows. Old
cells need no subtraction: a window is a choice of cells.
"""

import math
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import itemgetter
from typing import NamedTuple

from mlkit.features import DAY_US, WINDOW_DAYS

LATEST = 3  # as many of the latest rows as the features ask for
Place = tuple[int, int]  # user and day of the event: the address of a cell


class Row(NamedTuple):
    """A row as it is delivered: an insert (version 0), or a later version or end of that row."""

    txn_id: int
    version: int
    gone: bool
    user_id: int
    event_us: int
    amount_usd: float
    category: int

    @property
    def place(self) -> Place:
        """Return the address of the cell that the row belongs to."""
        return self.user_id, self.event_us // DAY_US


class Cell(NamedTuple):
    """What is kept of some rows: all rows, those with an amount, their moments and extremes."""

    rows: int = 0
    n: int = 0
    total: float = 0.0
    m2: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    latest: tuple[tuple[int, int, float, int], ...] = ()

    @property
    def mean(self) -> float:
        """Return the mean of the amounts in USD, NaN without any."""
        return self.total / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Return the variance of the amounts (divisor n - 1), NaN below two or where infinite."""
        known = self.n > 1 and math.isfinite(self.m2)
        return self.m2 / (self.n - 1) if known else math.nan


EMPTY = Cell()


def cell_of(row: Row) -> Cell:
    """Return the cell of a single row; one without an amount counts as a row, nothing else."""
    newest = ((row.event_us, row.txn_id, row.amount_usd, row.category),)
    if math.isnan(row.amount_usd):
        return Cell(rows=1, latest=newest)
    x = row.amount_usd
    return Cell(rows=1, n=1, total=x, low=x, high=x, latest=newest)


def merge(a: Cell, b: Cell) -> Cell:
    """Return the cell of the rows of both: in any order and grouping, with EMPTY as identity.

    `total` and `m2` are sums of doubles: another order may round them otherwise.

    Source: Chan, Golub & LeVeque, The American Statistician 37 (1983) 242-247, for m2.
    """
    if not a.rows or not b.rows:
        return a if a.rows else b
    apart = (a.mean - b.mean) ** 2 * a.n * b.n / (a.n + b.n) if a.n and b.n else 0.0
    return Cell(
        rows=a.rows + b.rows,
        n=a.n + b.n,
        total=a.total + b.total,
        m2=a.m2 + b.m2 + apart,
        low=min(a.low, b.low),
        high=max(a.high, b.high),
        latest=tuple(sorted((*a.latest, *b.latest), key=itemgetter(0, 1), reverse=True)[:LATEST]),
    )


def partials(rows: Iterable[Row]) -> dict[Place, Cell]:
    """Return the cell of every user and day that some new rows belong to."""
    cells: dict[Place, Cell] = {}
    for row in rows:
        cells[row.place] = merge(cells.get(row.place, EMPTY), cell_of(row))
    return cells


def window(days: Mapping[int, Cell], until: int, *, window_days: int = WINDOW_DAYS) -> Cell:
    """Return the cell of the last days of one user; what is older is not merged.

    Parameters
    ----------
    days: the user's cells, by day since 1970
    until: the first day that does not count any more
    window_days: how many days count
    """
    return reduce(merge, (days[day] for day in days if until - window_days <= day < until), EMPTY)


class State:
    """The cells of all users, kept up to date batch by batch.

    A job on a store would leave the rows there and keep an index by id and by cell; this one has
    them in memory, so that it takes as much as all rows do. `window_days` is the length of the
    features' window. `rows_read` counts the delivered rows that
    were looked at and the rows of cells made again (`rebuilt`), not the
    look-up of an id nor the cells that a request merges; `day_rows` is what `rebuilt` would be if a
    whole day had to be read for each such cell.
    """

    def __init__(self, *, window_days: int = WINDOW_DAYS) -> None:
        self.window_days = window_days
        self.cells: dict[int, dict[int, Cell]] = {}  # user, then day
        self.rows: dict[int, Row] = {}  # the newest version of each, by txn_id
        self.at: dict[Place, set[int]] = {}  # which rows are in a cell
        self.of_day: dict[int, int] = {}  # how many rows are in a day, over all users
        self.batches: set[int] = set()
        self.rows_read = self.rebuilt = self.day_rows = 0

    def apply(self, batch_id: int, rows: Iterable[Row]) -> None:
        """Take in a batch: a known batch is a no-op, a known row counts once, an end ends it.

        New rows are merged into their cells. Where a row has a newer version, the cell is made
        again from the rows of that user and day. A version that comes again is taken for the same.
        """
        if batch_id in self.batches:
            return
        rows = list(rows)  # before anything is kept: a batch may break off
        self.batches.add(batch_id)
        new, touched = self._file(rows)
        for (user, day), cell in partials(row for row in new if row.place not in touched).items():
            days = self.cells.setdefault(user, {})
            days[day] = merge(days.get(day, EMPTY), cell)
        for place in sorted(touched):
            self._rebuild(place)
        days_touched = {day for _, day in touched}
        self.day_rows += sum(self.of_day.get(day, 0) for day in days_touched)

    def _file(self, rows: Iterable[Row]) -> tuple[list[Row], set[Place]]:
        """Return the rows never seen before, and the cells in which a row has changed."""
        new: list[Row] = []
        touched: set[Place] = set()
        for row in rows:
            self.rows_read += 1
            old = self.rows.get(row.txn_id)
            if old and old.version >= row.version:
                continue
            self.rows[row.txn_id] = row
            if old:
                touched |= {old.place, row.place}
                self._count(old, -1)
            elif not row.gone:
                new.append(row)
            self._count(row, 1)
        return new, touched

    def _count(self, row: Row, sign: int) -> None:
        """Enter a row into the lists of its cell and day, or take it out (sign -1)."""
        if row.gone:
            return
        ids = self.at.setdefault(row.place, set())
        ids.add(row.txn_id) if sign > 0 else ids.discard(row.txn_id)
        day = row.place[1]
        self.of_day[day] = self.of_day.get(day, 0) + sign

    def _rebuild(self, place: Place) -> None:
        """Make a cell again from its rows; without any it is dropped."""
        user, day = place
        ids = self.at.get(place, set())
        self.rows_read += len(ids)
        self.rebuilt += len(ids)
        days = self.cells.setdefault(user, {})
        if ids:
            days[day] = partials(self.rows[i] for i in sorted(ids))[place]
        else:
            days.pop(day, None)

    def features(self, user: int, until_us: int, at_us: int) -> dict[str, float]:
        """Return the features of `mlkit.features` for a user, of all events before a midnight.

        What ages is computed when it is asked for: the state keeps the moment of the last
        purchase, never the days since.

        Parameters
        ----------
        user: user_id
        until_us: the midnight, microseconds since 1970
        at_us: the moment of the request
        """
        days, until = self.cells.get(user, {}), until_us // DAY_US
        recent = window(days, until, window_days=self.window_days)
        known = sorted(day for day in days if day < until)
        newest = reduce(merge, (days[day] for day in known[-LATEST:]), EMPTY).latest
        return {
            "avg_amount": recent.mean if recent.n else _mean([row[2] for row in newest]),
            "amount_variance": recent.variance,
            "purchases_30d": float(recent.rows),
            "total_purchases": float(sum(days[day].rows for day in known)),
            "days_since_last_purchase": (at_us - newest[0][0]) / DAY_US if newest else math.nan,
            "last_category": float(newest[0][3]) if newest else math.nan,
        }


def _mean(amounts: list[float]) -> float:
    known = [amount for amount in amounts if not math.isnan(amount)]
    return sum(known) / len(known) if known else math.nan
