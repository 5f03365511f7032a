"""Exercises of challenge 3: reports that are added up, a moving week, and what is taken away."""

from mlkit.exercises import bet, quiz
from mlkit.exercises.scale.changes import scale_3
from mlkit.exercises.scale.clicks import scale_2
from mlkit.exercises.scale.parts import scale_1

__all__ = ["scale_1", "scale_2", "scale_3"]

quiz(
    "scale.q1",
    "On the day of the release the incremental feature equals the full recomputation. And after "
    "three months?",
    right="b",
    a=(
        "it still does: the merge was tested",
        "On rows that came once and in time. A retry, a late row and a correction are not in that "
        "test, and each of them leaves an error behind.",
    ),
    b=(
        "nobody knows, unless somebody compares the two again and again",
        "Right: each night starts from the state of the night before, errors included. Recompute "
        "a sample of users in full, every night, and compare.",
    ),
    c=(
        "it is a little off, and the error averages out",
        "Errors of a running state do not average out. A batch counted twice stays counted twice.",
    ),
)
quiz(
    "scale.q2",
    "One small summary per user and day is kept. From which can the value of thirty days be "
    "computed exactly?",
    right="c",
    a=(
        "the median of each day",
        "The median of medians is another number. It takes all values, or a sketch that is near.",
    ),
    b=(
        "the number of different shops of each day",
        "A shop visited on two days counts twice in that sum. Keep the shops, or a sketch of them.",
    ),
    c=(
        "the sum and the number of known values of each day",
        "Right: both add up, a day can leave, and the mean is one divided by the other.",
    ),
)
quiz(
    "scale.q3",
    "Four sums over thirty days, each less its full recomputation, for ninety days. Where was one "
    "batch counted twice by a state that keeps one cell per day?",
    right="c",
    a=(
        "picture A",
        "Off by more each day from the thirtieth on: no single batch is to blame. Nothing ever "
        "leaves this sum.",
    ),
    b=(
        "picture B",
        "Counted twice, by a running total from which each old day is taken off once: what came in "
        "a second time never leaves.",
    ),
    c=(
        "picture C",
        "Right: thirty days later the cell leaves, and the error with it. Nothing shows any more "
        "that the sum was ever wrong; the models trained meanwhile have it in them.",
    ),
    d=("picture D", "This one equals the recomputation on each day."),
)
bet(
    "scale.b1",
    "The team's new job keeps the average up to date instead of computing it again. What accuracy "
    "will production get?",
    usual="to take merged averages for a matter of decimals. Nothing leaves a running average: it "
    "is the customer's whole life, and the model learned the last thirty days.",
)
bet(
    "scale.b2",
    "In a shop whose customers never change, what does the same job do to production?",
    options=("worse", "the same", "better"),
    usual="to think that a bug costs accuracy everywhere. Where nobody changes, the longer memory "
    "is the better estimate: no score will ever tell you of this one.",
)
