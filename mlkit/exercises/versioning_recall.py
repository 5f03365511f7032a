"""Two quick questions before lesson 04, on lessons 01 and 02."""

from mlkit.exercises import quiz

quiz(
    "versioning_recall.q1",
    "The offline score is as good as ever, production is worse. Which comparison finds out whether "
    "the features are to blame?",
    right="c",
    a=(
        "the mean of each feature, in training and in serving",
        "Means can agree while each customer is served a wrong value.",
    ),
    b=(
        "the offline score of this month with that of last month",
        "Both are taken on the training path, which does not know what was served.",
    ),
    c=(
        "for the same customer and moment, what training computes and what was served",
        "Right: pair the values, then compare.",
    ),
)
quiz(
    "versioning_recall.q2",
    "The rows of training are all older than those of the test. What can still come from the "
    "future?",
    right="a",
    a=(
        "the values in their columns",
        "Right: a row of March may hold what was written down in June.",
    ),
    b=(
        "nothing: a split in time keeps the future out",
        "It decides which rows are tested. What stands in their columns it does not look at.",
    ),
    c=(
        "the order of the rows only",
        "The order is no knowledge. A value that was computed later is.",
    ),
)
