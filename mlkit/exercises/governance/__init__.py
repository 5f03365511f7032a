"""Exercises of challenge 9: whom a promise breaks, how long a notice takes, a contract to write."""

from mlkit.exercises import bet, quiz
from mlkit.exercises.governance.notice import governance_2
from mlkit.exercises.governance.payouts import governance_3
from mlkit.exercises.governance.reliance import governance_1

__all__ = ["governance_1", "governance_2", "governance_3"]

quiz(
    "governance.q1",
    "Each night the delivery is checked: all columns there, types right, nothing missing. What may "
    "upstream change without anybody noticing?",
    right="b",
    a=(
        "nothing that a model would mind: what it reads is there",
        "It is there, and may mean something else. A model minds meanings, and gets numbers.",
    ),
    b=(
        "unit, time zone, what counts as a purchase, and how many rows there are",
        "Right: a schema says what the rows look like, not what they say. The rest of the contract "
        "needs figures, totals and a clock.",
    ),
    c=(
        "only the names of columns",
        "A renamed column is the loud case: whatever reads it stops on the first night.",
    ),
)
quiz(
    "governance.q2",
    "The owner of a table wants to change its contract. Which change needs no new major version?",
    right="c",
    a=(
        "a column that was never empty may be empty from now on",
        "Less is promised than before. Whoever adds it up without asking for gaps gets a gap.",
    ),
    b=(
        "a fourth value for a column that had three, as nobody has used it yet",
        "It will come, and find readers that know three: a join that drops it, an encoding that "
        "has no place for it.",
    ),
    c=(
        "amounts of at most a thousand, where a hundred thousand was allowed",
        "Right: whatever comes from now on could have come before. A promise that gets tighter "
        "breaks no reader, only the producer's habits.",
    ),
)
quiz(
    "governance.q3",
    "What was paid each day, on a scale where the same distance is the same factor: the middle "
    "line is the median, the band holds eight in ten amounts. In which picture has the unit "
    "changed?",
    right="b",
    a=("picture A", "Prices rise a little every week. It is slow, and it is true."),
    b=(
        "picture B",
        "Right: from one day to the next everything is another by the same factor, and the band is "
        "as wide as before. People change by degrees and not all at once.",
    ),
    c=(
        "picture C",
        "The median jumps and the upper end stays: one kind of customer left, the small ones. The "
        "unit is the same for those who stayed.",
    ),
    d=(
        "picture D",
        "For some days there is nothing, and then all is as before. Somebody has to be woken, and "
        "nothing has to be converted.",
    ),
)
bet(
    "governance.b1",
    "Upstream makes ten changes. How many of them does a check of names and types notice?",
    low=0,
    high=10,
    usual="to think of changes as of renamed columns. Those are noticed first and so remembered "
    "best; most changes keep every column and its type, and move what the rows say.",
)
bet(
    "governance.b2",
    "Amounts come in cents from one day on. What share of offers does production decide rightly?",
    usual="to expect a crash, or nothing at all. The model answers every request, with features "
    "a hundred times as large; how wrong it gets depends on how hard it leans on them.",
)
