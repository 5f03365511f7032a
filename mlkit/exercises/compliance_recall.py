"""Two quick questions before lesson 10, on lessons 04 and 09."""

from mlkit.exercises import quiz

quiz(
    "compliance_recall.q1",
    "A wrong row was committed with DVC, pushed, and taken out in the next version. Who can still "
    "read it?",
    right="b",
    a=(
        "nobody: the current version is without it",
        "The current one is. Versions are kept so that the one before can be had again.",
    ),
    b=(
        "whoever checks out the version before",
        "Right: the pointer is in git, the data in the cache and in the remote, for all who have "
        "access to either. That is what versions are for.",
    ),
    c=(
        "only who has a copy of the file at home",
        "The store has one too, under the hash of its content, and git knows the hash.",
    ),
)
quiz(
    "compliance_recall.q2",
    "A column is to be changed. How does one find all that is affected?",
    right="c",
    a=(
        "search for its name in the code",
        "Renamed once, or read by `SELECT *`, it has no name to be found by.",
    ),
    b=(
        "ask the owner of the table",
        "The owner knows what goes in. Who reads it, and who reads what those make, is known to "
        "nobody by heart.",
    ),
    c=(
        "follow what is made from it, and what is made from that, to the end",
        "Right: lineage. The second step is where habits end, and where the surprise is.",
    ),
)
