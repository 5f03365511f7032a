"""Two quick questions before lesson 09, on lessons 06 and 07."""

from mlkit.exercises import quiz

quiz(
    "governance_recall.q1",
    "A drift check compares forty features with last month's, each at the level of one in twenty, "
    "every night. Nothing has changed. What does it report?",
    right="c",
    a=(
        "nothing, as nothing has changed",
        "Each test is wrong once in twenty nights by design, and there are forty of them.",
    ),
    b=(
        "about one feature a month",
        "That is one feature's share of false alarms. Forty of them are asked every night.",
    ),
    c=(
        "about two features a night",
        "Right: forty times one in twenty. Alarms need a budget before they need a method.",
    ),
)
quiz(
    "governance_recall.q2",
    "A nightly load appends its rows, dies in the middle, and is started again from the beginning. "
    "What is in the table?",
    right="a",
    a=(
        "the first half twice",
        "Right: what was appended before it died is still there. A load that may be repeated "
        "replaces its day, or publishes it in one step.",
    ),
    b=(
        "each row once, as the second attempt ran to its end",
        "The second attempt knew nothing of the first: it appended all rows to those already "
        "there.",
    ),
    c=(
        "the second half only",
        "It started from the beginning, so everything came, and the first half had come before.",
    ),
)
