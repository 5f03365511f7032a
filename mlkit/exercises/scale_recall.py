"""Two quick questions before lesson 03, on lesson 01."""

from mlkit.exercises import quiz

quiz(
    "scale_recall.q1",
    "Training and serving run the same code, out of one feature store. Can a served value differ "
    "from the one that is trained on?",
    right="c",
    a=(
        "no: one definition, one value",
        "One definition computed at two times gives two values: what was materialised last night "
        "is not what is true now.",
    ),
    b=(
        "by rounding only",
        "By far more: a value that was computed yesterday, and rows that have come in since.",
    ),
    c=(
        "yes: the served value may be older, or know other rows",
        "Right: the same program on other data, or at another time, is skew all the same.",
    ),
)
quiz(
    "scale_recall.q2",
    "The histograms of a feature look alike in training and in serving. What follows?",
    right="a",
    a=(
        "little: each customer may still be served a wrong value",
        "Right: pair the values by customer and time, then compare.",
    ),
    b=(
        "there is no skew",
        "Shuffle the values among the customers: the histogram is the same, and each is wrong.",
    ),
    c=(
        "the skew is too small to matter",
        "A histogram says nothing about pairs, and it is the single value that decides.",
    ),
)
