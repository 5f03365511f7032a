"""Two quick questions before lesson 07, on lessons 03 and 05."""

from mlkit.exercises import quiz

quiz(
    "orchestration_recall.q1",
    "A state holds count and sum for each user, and a batch of rows is added to it once more. What "
    "would have prevented the harm?",
    right="b",
    a=(
        "adding the squares as well, for the variance",
        "Then three numbers are wrong instead of two.",
    ),
    b=(
        "an id for each batch, kept beside the state",
        "Right: addition does not know what it has seen, the ids do.",
    ),
    c=(
        "a smaller batch",
        "Half of the batch twice is as wrong, for half as many users.",
    ),
)
quiz(
    "orchestration_recall.q2",
    "A broker delivers each message at least once. How does a consumer count each purchase once?",
    right="a",
    a=(
        "it remembers ids for as long as a copy may take, and drops what it has met",
        "Right: effectively once is at least once, and a memory.",
    ),
    b=(
        "it drops purchases of the same user at the same price",
        "Two honest coffees become one.",
    ),
    c=(
        "it asks for delivery at most once instead",
        "Then what is lost stays lost: fewer purchases, and nobody knows which.",
    ),
)
