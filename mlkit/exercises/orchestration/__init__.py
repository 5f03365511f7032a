"""Exercises of challenge 7: what a table should hold, a load that may die, days that are wrong."""

from mlkit.exercises import bet, quiz
from mlkit.exercises.orchestration.kept import orchestration_1
from mlkit.exercises.orchestration.loads import orchestration_2
from mlkit.exercises.orchestration.week import orchestration_3

__all__ = ["orchestration_1", "orchestration_2", "orchestration_3"]

quiz(
    "orchestration.q1",
    "After each load that adds rows, a task calls `drop_duplicates`. May the load be tried again "
    "as often as it likes?",
    right="c",
    a=(
        "yes: what was written twice is removed",
        "That, and every honest repeat with it: two coffees of one customer at one price are two.",
    ),
    b=(
        "yes, once the table has a time stamp of the load as a further column",
        "Then the rows of two attempts differ in it, and nothing is removed at all.",
    ),
    c=(
        "only with a key that the sender gave to each row, and nobody reading in between",
        "Right: equal values do not make a duplicate, an equal key does. Or replace the partition.",
    ),
)
quiz(
    "orchestration.q2",
    "A load replaces the partition of its logical date. When does a retry end as if nothing had "
    "happened?",
    right="b",
    a=(
        "always: to overwrite is idempotent",
        "Not if the retry asks `now()`, reads a source that has moved on, or if a second run "
        "writes the same date meanwhile.",
    ),
    b=(
        "when what is written depends on the date and on an input that does not change, and one "
        "run writes it",
        "Right, and swapped in at once: otherwise it ends well, and readers saw half of it before.",
    ),
    c=(
        "when the orchestrator promises to run each task exactly once",
        "None can: a task that has written and died before it said so has to be run again.",
    ),
)
quiz(
    "orchestration.q3",
    "Runs that write their partition in place: a line for each logical date, a bar for each run "
    "from its start to its end. Where can the rows of two runs end up in one partition?",
    right="b",
    a=(
        "picture A",
        "They run beside each other, each on a line of its own: many runs, no two on one date.",
    ),
    b=(
        "picture B",
        "Right: two runs of one date at the same time, such as a backfill and the daily run. One "
        "writer for each partition, or a swap at the end.",
    ),
    c=(
        "picture C",
        "One date, tried three times, one after the other: each replaces what the last one left.",
    ),
    d=(
        "picture D",
        "A backfill: old dates, late, one after the other. Late is not wrong.",
    ),
)
bet(
    "orchestration.b1",
    "One attempt in ten dies, and every run is green in the end. For which share of the offers was "
    "a feature wrong?",
    usual="to take the share of rows for that of offers. A few dates are doubled, but each "
    "touches other users, and a purchase too many stays in what is counted afterwards.",
)
bet(
    "orchestration.b2",
    "Instead, rows that are alike in user, day and price are dropped. For which share of the "
    "offers is a feature wrong?",
    usual="to bet on the share of rows that go. Each of them was an honest purchase, and is "
    "missing from every feature that looks back on it: few rows, and many more answers.",
)
