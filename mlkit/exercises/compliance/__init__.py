"""Exercises of challenge 10: a person out of every table, gaps and luck, four memos."""

from mlkit.exercises import bet, quiz
from mlkit.exercises.compliance.memo import compliance_3
from mlkit.exercises.compliance.verdicts import compliance_2
from mlkit.exercises.compliance.without import compliance_1

__all__ = ["compliance_1", "compliance_2", "compliance_3"]

quiz(
    "compliance.q1",
    "The e-mail address is replaced by its SHA-256, which nobody can invert. What is the table "
    "now?",
    right="b",
    a=(
        "anonymous: a hash has no inverse",
        "Nobody inverts it. Whoever has a list of addresses hashes the list and compares, and a "
        "list of addresses is easy to come by.",
    ),
    b=(
        "personal data under a pseudonym, and a request to erase reaches it",
        "Right: the same address always gives the same hash, so that the rows of a person can be "
        "found, and joined, by anybody who knows or guesses the address.",
    ),
    c=(
        "anonymous, once a secret key went into the hash",
        "A key takes the guessing away from outsiders. Whoever holds the key, or can get it, still "
        "finds the person.",
    ),
)
quiz(
    "compliance.q2",
    "DELETE FROM users WHERE user_id = ... has run in the warehouse, and the row is gone. Where is "
    "the person?",
    right="c",
    a=(
        "nowhere: DELETE erases",
        "In the one table, as seen by a query. Files of earlier versions, copies and free pages "
        "were not asked.",
    ),
    b=(
        "in the backups only, and they expire",
        "If they do, say when, and see to it that none is restored with the person in it. And "
        "there is more than backups.",
    ),
    c=(
        "in earlier versions, copies, logs, exports, models, and tables without a user_id",
        "Right: follow what was made from what, and then search in every store, by somebody who "
        "does not trust that list.",
    ),
)
quiz(
    "compliance.q3",
    "Women make up a quarter of the training rows, and the model errs more often on them. Balanced "
    "weights by gender",
    right="a",
    a=(
        "may help or not: it depends on why it errs",
        "Right: they repair neither a bad measurement nor a wrong label. Where a number means "
        "something else for women, they trade men's errors for women's.",
    ),
    b=(
        "fix the bias, since both genders now count the same",
        "The mass is the same. What the file says of women, and what was recorded, is as it was.",
    ),
    c=(
        "equalise the approval rates",
        "They set how much each gender weighs in training, and no rate at all. Reweighing by "
        "gender and label aims at that, in the training labels only.",
    ),
)
quiz(
    "compliance.q4",
    "A rejected applicant gets SHAP values: credit score -2.1, age -0.6. What may the letter say?",
    right="b",
    a=(
        "that a better credit score would have brought the loan",
        "The values split up this prediction. They say neither what a change would do, nor whether "
        "the applicant can make one.",
    ),
    b=(
        "how this model came to its number, against the average of the rows it is compared with",
        "Right: in the model's own unit, such as log-odds, and against a background that somebody "
        "chose. And that age is in there at all is a question for the lender.",
    ),
    c=(
        "that the score cost two points, and age half a point",
        "They are not points: the unit is that of the model's raw output, and with another "
        "background other numbers come out.",
    ),
)
quiz(
    "compliance.q5",
    "By how much women are denied more often than men in each of twelve regions, with intervals; "
    "the line is no difference. In which picture is the claim of a gap well founded?",
    right="d",
    a=(
        "picture A",
        "Some differences are large, to either side, and each interval holds zero: a handful of "
        "rows per region gives any picture. No gap is shown, and none is ruled out.",
    ),
    b=(
        "picture B",
        "One region of twelve sticks out, by a little. With twelve comparisons that is what luck "
        "looks like; correct for the number, or ask again with new rows.",
    ),
    c=(
        "picture C",
        "Narrow intervals around zero: this is what it looks like when there is no gap of any "
        "size that matters.",
    ),
    d=(
        "picture D",
        "Right: the intervals are narrow and lie away from zero, region after region. Now ask for "
        "the cause; the picture does not know it.",
    ),
)
bet(
    "compliance.b1",
    "The report counts rows in the tables on its list: nobody who asked is left in them. In what "
    "share of all stores has the erasure really been carried out?",
    usual="to think of tables. A list by hand holds what somebody thought of; logs, exports, "
    "hashes and models were made from those tables later, by others.",
)
bet(
    "compliance.b2",
    "The lender's model is refitted without her. Scores go from 0 to 1: by how much does that of "
    "anybody else move at most?",
    usual="to think either that a model forgets nothing, or that one person is everywhere in it. "
    "In a linear model on thousands of rows a few rows weigh little. Measure it: models differ.",
)
bet(
    "compliance.b3",
    "Where women are measured with an error, the table shows a gap. How large is it once both "
    "genders weigh the same in training?",
    high=0.3,
    usual="to take the small number of women for the cause. They are few, and what is wrong "
    "stands in their files: more weight on the same wrong numbers leaves the gap in place.",
)
