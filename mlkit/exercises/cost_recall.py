"""Two quick questions before lesson 08, on lessons 02 and 06."""

from mlkit.exercises import quiz

quiz(
    "cost_recall.q1",
    "A training table of March was made in June, from all that is known by then. Its features of "
    "March",
    right="b",
    a=(
        "are right: June knows more than March did",
        "It does, and the model will be asked in a March of its own, which knows less.",
    ),
    b=(
        "may hold what nobody knew in March",
        "Right: late rows and corrections carry an old date. A leak, however carefully computed.",
    ),
    c=(
        "are right if every row is dated before the request",
        "That is one clock, of when things happened. The other is when they were known.",
    ),
)
quiz(
    "cost_recall.q2",
    "Every feature has drifted, by every test. The model is retrained. That was",
    right="c",
    a=(
        "right: drift is why one retrains",
        "Features can move without a wrong decision more, and a training costs money and a risk.",
    ),
    b=(
        "too late: it should have been retrained every night",
        "On a bug upstream that teaches the bug, every night.",
    ),
    c=(
        "not decided by that: ask first whether the data are broken, then what the answers say",
        "Right: an alarm is not harm, and it has a cause that retraining may not reach.",
    ),
)
