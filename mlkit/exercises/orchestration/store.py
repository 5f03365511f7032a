"""A store of small objects that dies at any of its operations, and the readers of it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

LIMIT = 3  # rows that one object can hold
Rows = list[tuple[int, int]]
Load = Callable[[Any, str, Rows], Any]
GONE = "a name without an object"


class Died(BaseException):
    """The process is gone: no operation works any more."""


class Store:
    """Objects by name, as in a dict: an operation happens in full or, when it dies, not at all."""

    def __init__(self, objects: dict[str, list] | None = None, *, dies_at: int = -1) -> None:
        self.objects = {name: list(rows) for name, rows in (objects or {}).items()}
        self.left, self.dead, self.operations = dies_at, False, 0
        self.seen: list[dict[str, Any]] = [self.read()]

    def __deepcopy__(self, memo: dict) -> "Store":
        """Return this store: what is written to it is meant to stay."""
        return self

    def _step(self) -> None:
        if self.dead or self.left == 0:
            self.dead = True
            raise Died
        self.left -= 1
        self.operations += 1

    def __getitem__(self, name: str) -> list:
        """Return a copy of an object."""
        self._step()
        return list(self.objects[name])

    def get(self, name: str, default: Any = None) -> Any:
        """Return a copy of an object, or something else where there is none."""
        if name not in self:
            return default
        return self[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is an object of that name."""
        self._step()
        return name in self.objects

    def __iter__(self) -> Iterator[str]:
        """Return the names there are."""
        self._step()
        return iter(sorted(self.objects))

    def keys(self) -> list[str]:
        """Return the names there are."""
        return list(self)

    def __setitem__(self, name: str, content: list) -> None:
        """Write an object in full; readers see it from now on."""
        if not isinstance(name, str) or not isinstance(content, (list, tuple)):
            raise TypeError("the store takes a text for a name and a list for its content")
        if sum(not isinstance(each, str) for each in content) > LIMIT:
            raise ValueError(f"an object holds at most {LIMIT} rows, got {len(content)}")
        self._step()
        self.objects[name] = list(content)
        self.seen.append(self.read())

    def __delitem__(self, name: str) -> None:
        """Take an object away."""
        self._step()
        del self.objects[name]
        self.seen.append(self.read())

    def pop(self, name: str, default: Any = None) -> Any:
        """Take an object away and return it, or something else where there is none."""
        content = self.get(name, default)
        if name in self:
            del self[name]
        return content

    def read(self) -> dict[str, Any]:
        """Return what the readers see: the rows of each day, sorted, or that a name leads nowhere.

        A day is a list of names, under the name of the day.
        """
        return {
            name: _rows_of(self.objects, content)
            for name, content in sorted(self.objects.items())
            if is_day(name) and all(isinstance(each, str) for each in content)
        }

    def unused(self) -> list[str]:
        """Return the objects that no day names."""
        days = [name for name in self.objects if is_day(name)]
        used = {part for day in days for part in self.objects[day]}
        return sorted(set(self.objects) - used - set(days))


def is_day(name: str) -> bool:
    """Return whether a name is that of a day, and no object's."""
    return re.fullmatch(r"day-\d+", name) is not None


def _rows_of(objects: dict[str, list], names: list[str]) -> Any:
    if any(name not in objects for name in names):
        return GONE
    rows = [row for name in names for row in objects[name]]
    return sorted(tuple(row) if isinstance(row, (list, tuple)) else (row,) for row in rows)


def run(load: Load, store: Store, day: str, rows: Rows) -> bool:
    """Return whether a load came to its end; it did not when the store died meanwhile."""
    try:
        load(store, day, rows)
    except (Died, Exception):
        if not store.dead:
            raise
    return not store.dead


def deaths(load: Load, objects: dict[str, list], day: str, rows: Rows) -> list[Store]:
    """Return the store after a load that died, for each operation at which it can die."""
    found = []
    for at in range(200):
        store = Store(objects, dies_at=at)
        if run(load, store, day, rows):
            break
        found.append(store)
    return found
