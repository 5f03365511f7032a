"""The tour: one bet on four checks, and five questions on what the lessons take for granted."""

from mlkit.exercises import bet, quiz

CHECKS = ("offline", "schema", "averages", "parity")

bet(
    "tour.b1",
    "Which of the four checks would have caught it?",
    usual="to trust the check that is on the wall. A score, a schema and an average look at one "
    "path, or at the crowd; the fault was between two paths, one request at a time.",
    options=CHECKS,
)
quiz(
    "tour.q1",
    "`orders.merge(users, how='left', on='user_id')` has more rows than `orders`. Why?",
    right="b",
    a=(
        "some orders have no user",
        "Those keep one row each, with missing values. Read first: pandas user guide, merge.",
    ),
    b=(
        "some user_id comes more than once in users",
        "Right: each order is repeated for every match. `validate='m:1'` would have said so.",
    ),
    c=(
        "a left merge keeps the rows of both tables",
        "That is how='outer'. Read first: pandas user guide, merge, join and concatenate.",
    ),
)
quiz(
    "tour.q2",
    "A score is measured on a hold-out drawn at random from last year. What does it promise?",
    right="c",
    a=(
        "the accuracy in production next month",
        "Only if next month is like last year and is served the same features: that is the kit.",
    ),
    b=(
        "that the model does not overfit",
        "It shows overfitting to the training rows, not to last year. Read first: scikit-learn "
        "user guide, cross-validation.",
    ),
    c=(
        "the accuracy on other rows of last year, computed by the same code",
        "Right: other rows, the same year, the same code path. The rest has to be checked.",
    ),
)
quiz(
    "tour.q3",
    "One transaction in a hundred is fraud, and a model is right 99 times in 100. It",
    right="a",
    a=(
        "may find no fraud at all",
        "Right: whoever always says no is right 99 times in 100. Ask for precision and recall.",
    ),
    b=(
        "finds nearly all frauds",
        "That would be recall. Read first: scikit-learn user guide, metrics for classification.",
    ),
    c=(
        "is nearly always right when it says fraud",
        "That would be precision. Read first: scikit-learn user guide, classification metrics.",
    ),
)
quiz(
    "tour.q4",
    "A customer buys on 1 and 9 March. What was known as of an offer on 5 March?",
    right="b",
    a=(
        "both purchases, they are in the table",
        "They are in today's table. Read first: pandas documentation, merge_asof.",
    ),
    b=(
        "the first, if its row had arrived by then",
        "Right: it must have happened before, and be known by then. Two clocks.",
    ),
    c=(
        "the first, whenever its row arrived",
        "A row that arrived on 7 March was not known on the fifth: see event time in the glossary.",
    ),
)
quiz(
    "tour.q5",
    "You check out last month's commit and train. The model differs. What explains it?",
    right="c",
    a=(
        "nothing: the same code gives the same model",
        "Code is one of three. Read first: DVC documentation, get started: data versioning.",
    ),
    b=(
        "git changed the code",
        "A commit holds its files byte for byte. Read first: Pro Git, recording changes.",
    ),
    c=(
        "the data or the libraries are not last month's",
        "Right: git has the code; the data needs a version too, and the environment a lock.",
    ),
)
