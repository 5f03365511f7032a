"""Two quick questions before lesson 05, on lessons 02 and 03."""

from mlkit.exercises import quiz

quiz(
    "dualmode_recall.q1",
    "A payment of 3 March was recorded on 5 March. May a feature for a request of 4 March use it?",
    right="b",
    a=(
        "yes: it happened before the request",
        "Happened, and nobody knew. Trained with it, the model leans on what no request will have.",
    ),
    b=(
        "no: on 4 March nobody knew of it",
        "Right: two clocks, and both must lie before the request.",
    ),
    c=(
        "yes, if the split is in time",
        "A split decides which rows are tested, not what stands in their columns.",
    ),
)
quiz(
    "dualmode_recall.q2",
    "A batch of purchases is delivered a second time to a state without batch ids. What is wrong "
    "afterwards?",
    right="b",
    a=(
        "the sum and the maximum",
        "The maximum has seen these amounts before: the larger of two equal numbers is the same.",
    ),
    b=(
        "the sum; the maximum only where a row was corrected or deleted in between",
        "Right: addition counts again, a maximum does not, until it brings back what was taken "
        "away.",
    ),
    c=(
        "neither: each row is the same as before",
        "The rows are the same, and addition does not know that it has seen them.",
    ),
)
