"""Exercises of challenge 4: who made a model, what a table is, which change it was."""

from mlkit.exercises import bet, quiz
from mlkit.exercises.versioning.blame import versioning_3
from mlkit.exercises.versioning.commits import versioning_1
from mlkit.exercises.versioning.identity import versioning_2

__all__ = ["versioning_1", "versioning_2", "versioning_3"]

quiz(
    "versioning.q1",
    "Each night the training table is saved to a folder that is named by date and time. Is each "
    "folder a version?",
    right="b",
    a=(
        "yes: no two are saved in the same second",
        "Two names, and the content may be the same, or another one tomorrow when somebody has "
        "repaired a file in place. The name would not tell.",
    ),
    b=(
        "no: the name says when it was saved, not what is in it",
        "Right: an identity is made of the content, and of code, parameters and environment.",
    ),
    c=(
        "yes, as long as the row count is kept beside it",
        "Half of a column can change and the count stays. A hash of the content would notice.",
    ),
)
quiz(
    "versioning.q2",
    "Two runs: the same commit, the same data by their hash, two models with other hashes. What "
    "follows?",
    right="c",
    a=(
        "the data were changed after all",
        "Then their hash would have changed. That is what it is for.",
    ),
    b=(
        "one of the two models is worse",
        "They decide alike, or nearly. Another model is not a worse one: measure, then choose.",
    ),
    c=(
        "something took part that nobody has written down",
        "Right: chance without a seed, the order of rows or of additions, a library, the clock. "
        "Compare the hashes step by step: the first that differs names the step.",
    ),
)
quiz(
    "versioning.q3",
    "One column in two versions of a table, a point per row: the old value to the right, the new "
    "one upwards, rows paired by their position. Where may it be that no row has changed?",
    right="d",
    a=("picture A", "All on the line but some: single values were corrected, here and there."),
    b=(
        "picture B",
        "A second line: many rows were multiplied by one factor, such as a unit or a currency.",
    ),
    c=(
        "picture C",
        "A level row of points: whatever they were before, they have all become one value.",
    ),
    d=(
        "picture D",
        "Right: a cloud is what another order of the same rows looks like, paired by position. "
        "Pair by key, and look again.",
    ),
)
bet(
    "versioning.b1",
    "One load has changed rows of the past. What accuracy does production get with a model that is "
    "trained on them by the same code?",
    usual="to trust the score that the team reports. It is taken on rows of the same load: what "
    "was decided anew in the past was decided anew in the answers that judge the model, too.",
)
bet(
    "versioning.b2",
    "The load holds two changes: holes in half of a column, and some answers decided anew. What "
    "accuracy does a model get, on decisions whose answer is known, that is trained with the holes "
    "alone?",
    usual="to blame the change that touches most rows. A column that others stand in for may lose "
    "half of its values; the answers are what the model learns.",
)
