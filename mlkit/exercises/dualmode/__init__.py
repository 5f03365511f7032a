"""Exercises of challenge 5: how long to remember, what to take back, why two tables differ."""

from mlkit.exercises import bet, quiz
from mlkit.exercises.dualmode.causes import dualmode_3
from mlkit.exercises.dualmode.copies import dualmode_1
from mlkit.exercises.dualmode.hours import dualmode_2

__all__ = ["dualmode_1", "dualmode_2", "dualmode_3"]

quiz(
    "dualmode.q1",
    "Batch and stream run the same code over the same log (Kappa). Do their features agree?",
    right="c",
    a=(
        "yes, by construction: that is what one code path is for",
        "One code path does not make one moment: the batch has seen what came late, the stream "
        "answered before it came.",
    ),
    b=(
        "yes, as soon as the broker promises exactly once",
        "That promise ends at the broker. A charge that the sender sends twice is two messages, "
        "each delivered exactly once.",
    ),
    c=(
        "only if both use event time, each id once, and what had arrived at the moment",
        "Right, and until the code changes: a replay runs the new code over the old log.",
    ),
)
quiz(
    "dualmode.q2",
    "A charge is answered in five milliseconds. How fresh are the features behind the answer?",
    right="a",
    a=(
        "that says nothing about it: they may be of last night",
        "Right: latency is the wait for an answer, freshness the age of what it rests on.",
    ),
    b=(
        "five milliseconds",
        "That is how long the answer took. A value of last night is looked up just as fast.",
    ),
    c=(
        "as fresh as the allowed lateness",
        "The lateness says how long a late row is still taken in. Nothing says that the value was "
        "computed since.",
    ),
)
quiz(
    "dualmode.q3",
    "When each event happened (to the right) and when it arrived (upwards). Where does a watermark "
    "that follows the latest event leave out sound rows that come in time?",
    right="d",
    a=("picture A", "In order and at once: arrival and event time are the same but for a moment."),
    b=(
        "picture B",
        "A few rows come late, and each of them alone is concerned: within the lateness it is "
        "taken in.",
    ),
    c=(
        "picture C",
        "An outage, then all at once and in order: they are old by the clock on the wall, and the "
        "watermark has waited for them.",
    ),
    d=(
        "picture D",
        "Right: one phone lives in the future. The watermark jumps to its clock, and everything "
        "after it is late. Ask for a limit on what is believed.",
    ),
)
bet(
    "dualmode.b1",
    "For which share of the charges that the new stream answers are all features right?",
    usual="to take the share of copies for that of wrong answers. A charge counted twice stays "
    "in a window of thirty days for thirty days, and each answer that looks back on it is wrong.",
)
bet(
    "dualmode.b2",
    "What average precision will production get with the features of the new stream?",
    usual="to read the harm off the number of wrong rows. One charge too many among many hardly "
    "moves a model. Which values are wrong, and by how much, decides, and that has to be measured.",
)
