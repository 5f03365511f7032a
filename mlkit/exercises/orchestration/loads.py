"""orchestration.2: a load that may die at any operation, and be run again."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mlkit.exercises import Criterion, exercise, expect, seeded
from mlkit.exercises.orchestration.store import GONE, Rows, Store, deaths, run

DAY, NEXT = "day-1", "day-12"  # one name begins like the other
Objects = dict[str, list]


def anything(value: Any) -> str:
    """Return nothing: what a load returns is not looked at."""
    return ""


class Deliveries:
    """Rows for a day as they are delivered: the first time, corrected, of another day."""

    def __init__(self, rng: np.random.Generator) -> None:
        usd = rng.permutation(np.arange(10, 99)).tolist()
        self.first: Rows = [(7 + i // 2, usd[i]) for i in range(8)]
        self.first += [self.first[2]] * 2  # honest repeats, in two objects
        self.fewer: Rows = [(*self.first[1],), (9, usd[20])]
        self.longer: Rows = [(20 + i, usd[30 + i]) for i in range(12)]
        self.other: Rows = [(30 + i, usd[50 + i]) for i in range(4)]


WHOLE = "Nothing has died here: cut the rows into objects, write them, name them under the day."
HONEST = "Two equal rows are two purchases: made unique, the day lacks what was honestly sold."
APPEND = "Run again, and the rows are there twice: a retry after a success is what orchestrators "
APPEND += "do. What a load leaves must depend on its day and its rows alone."
SKIP = "The day was there, and so nothing was done: a correction never arrives. A mark that says "
SKIP += "'done' knows nothing of what was delivered since."
STALE = "Rows of the delivery before are still there: what was taken back at the source lives on "
STALE += "in the table. A load replaces its partition as a whole."
NOTHING = "No rows is a delivery as well: the day is empty now, and the table still sells what was "
NOTHING += "taken back."
OTHERS = "Another day has changed: names that two days share, or a clean-up by the beginning of a "
OTHERS += "name. One backfill then damages a day that nobody has touched."
PARTIAL = "Readers saw a part of a day, and a training that starts at that moment learns from it. "
PARTIAL += "Write everything under names that nobody reads, then name it in one operation."
DANGLES = "Readers found a name without an object: what they still read was deleted or not yet "
DANGLES += "written. First write, then switch, then clean up."
RETRY = "After a death and a retry the day is not what a clean run makes of it: what the first "
RETRY += "attempt left behind was taken for something that it is not."
LITTER = "Objects that no day names are left: of an attempt that died, or of the delivery before. "
LITTER += "They are paid for, and one day somebody reads the folder instead of the list."


@exercise(
    "orchestration.2",
    title="Die anywhere",
    level=2,
    minutes=25,
    returns=anything,
    hints=[
        "Which single operation makes new rows visible, and what must be true before and after it?",
        "Three steps: write the objects under names that the day does not list now, set the list "
        "of the day, delete what belongs to this day and is not listed. Where would a death leave "
        "you after each, and does the next attempt find its way?",
        "names = [n for n in store if n.startswith(f'part-{day}-')]",
    ],
    praise="Your load can be killed anywhere and run again, and nobody ever sees half a day.",
)
def orchestration_2(load: Any) -> Iterator[Criterion]:
    """Clean loads, then one death at each operation, what readers see, and retries."""
    sent = Deliveries(seeded("orchestration.2"))
    store = Store()
    run(load, store, NEXT, sent.other)
    other = store.objects
    yield from _clean(load, sent, other)
    yield from _killed(load, sent, other)


def _clean(load: Any, sent: Deliveries, other: Objects) -> Iterator[Criterion]:
    once = _loaded(load, other, sent.first[:8])
    yield _same(once, sent.first[:8], "a day, loaded once", WHOLE)
    repeats = _loaded(load, other, sent.first)
    yield _same(repeats, sent.first, "a day with three equal rows", HONEST)
    yield _same(_loaded(load, other, *[sent.first] * 3), sent.first, "three times the same", APPEND)
    for text, rows in (("longer", sent.longer), ("shorter", sent.fewer)):
        after = _loaded(load, other, sent.first, rows)
        kept = after.read().get(DAY) == sorted(sent.first)
        why = SKIP if kept else STALE
        yield _same(after, rows, f"delivered again, corrected and {text}", why)
    empty = _loaded(load, other, sent.first, [])
    yield _same(empty, [], "delivered again, without rows", NOTHING)
    after = _loaded(load, other, sent.first, sent.fewer)
    left = after.unused()
    yield expect(not left, "nothing else is left behind", got=len(left), want=0, why=LITTER)
    stores = [once, repeats, empty, after]
    yield expect(
        all(s.read().get(NEXT) == sorted(sent.other) for s in stores),
        f"{NEXT} is as it was",
        why=OTHERS,
    )


def _loaded(load: Any, objects: Objects, *deliveries: Rows) -> Store:
    store = Store(objects)
    for rows in deliveries:
        run(load, store, DAY, rows)
    return store


def _same(store: Store, rows: Rows, text: str, why: str) -> Criterion:
    got = store.read().get(DAY, [])
    return expect(got == sorted(rows), text, got=_shown(got), want=_shown(sorted(rows)), why=why)


def _killed(load: Any, sent: Deliveries, other: Objects) -> Iterator[Criterion]:
    live = _loaded(load, other, sent.first).objects
    for text, objects, old, new in (
        ("a first load that dies", other, [], sent.first),
        ("a correction that dies", live, sent.first, sent.longer),
    ):
        dead = deaths(load, objects, DAY, new)
        end = _loaded(load, objects, new)
        yield from _readers(text, [*dead, end], [sorted(old), sorted(new)])
        again = [store for each in dead for store in _again(load, each.objects, new)]
        yield from _after(f"{text}, then is run again", again, new, len(dead))
    dead = deaths(load, live, DAY, sent.longer)
    changed = [Store(each.objects) for each in dead]
    for store in changed:
        run(load, store, DAY, sent.fewer)
    text = "a correction that dies, then another one is delivered"
    yield from _after(text, changed, sent.fewer, len(dead))
    stores = [*dead, *changed]
    yield expect(
        all(seen.get(NEXT) == sorted(sent.other) for s in stores for seen in s.seen),
        f"{NEXT} is as it was at every step",
        why=OTHERS,
    )


def _again(load: Any, objects: Objects, rows: Rows) -> list[Store]:
    """Return the store after a retry, and after a retry that died halfway and a second one."""
    whole = Store(objects)
    run(load, whole, DAY, rows)
    half = Store(objects, dies_at=max(whole.operations // 2, 1))
    run(load, half, DAY, rows)
    second = Store(half.objects)
    run(load, second, DAY, rows)
    return [whole, second]


def _readers(text: str, stores: list[Store], allowed: list[Rows]) -> Iterator[Criterion]:
    seen = [each.get(DAY, []) for store in stores for each in store.seen]
    odd = [each for each in seen if each not in allowed]
    gone = any(each == GONE for each in odd)
    yield expect(
        not odd,
        f"{text}: readers see the old day or the new one",
        got=f"something else in {len(odd)} of {len(seen)} states",
        want="never anything else",
        why=DANGLES if gone else PARTIAL,
    )


def _after(text: str, stores: list[Store], rows: Rows, n: int) -> Iterator[Criterion]:
    bad = sum(store.read().get(DAY, []) != sorted(rows) for store in stores)
    left = sum(len(store.unused()) > 0 for store in stores)
    where = f"{text}, at each of {n} operations"
    yield expect(bad == 0, f"{where}: as after a clean run", got=bad, want=0, why=RETRY)
    yield expect(left == 0, f"{where}: nothing is left behind", got=left, want=0, why=LITTER)


def _shown(rows: Any) -> str:
    return rows if isinstance(rows, str) else f"{len(rows)} rows, {sum(r[-1] for r in rows)} USD"
