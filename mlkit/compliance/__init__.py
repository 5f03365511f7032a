"""Challenge 10, compliance: a person asks to be forgotten, and a model is asked to be fair.

People ask a lender to be erased. It empties the tables on its list and reports that nothing is
left; copies made of those tables lie elsewhere. `inject` leaves what such an erasure leaves,
`naive_detect` reads the report, `detect` looks for every key of everyone who asked, in every
table, and for what is missing of everybody else. `repair` goes by keys, not by a list of tables.

The map of the package; in each line, the first is where to begin:

- the challenge, on tables: `faults` and `checks`, with keys and digests from `identity`
- a lender on disk, with git and DVC: `lender`
- is somebody still there: `search`, which opens files with `decode`; no code of the eraser
- erasure on disk: `erasure` (plan, erase, sweep) and `command` (`mlkit erase`); `survey` says where
  people are, `stores` takes rows out of files, `versions` knows git and DVC, `renewal` makes old
  versions again, `records` keeps list, log and certificate
- what a model remembers: `influence` (of a refit), `membership` (of a row)
- fairness (10b): `fairness` measures, `criteria` conflict, `repairs` help or do not
- privacy (10c): `privacy` (names, k-anonymity), `pseudonyms` (tokens), `consent` (purpose, columns)
- reasons for a decision (10c): `explain`
"""

from mlkit.compliance.checks import detect, naive_detect, repair, score
from mlkit.compliance.faults import BY_HAND, COPIES, KINDS, inject

WORLD = "loans"
UNIT = "share of stores that are right"
HARMLESS = "even"  # the preset in which a model treats women as it treats men; erasure is the same
CHANGES_TRUTH = "how a store should look afterwards is known only once somebody has asked"

__all__ = [
    "BY_HAND",
    "CHANGES_TRUTH",
    "COPIES",
    "HARMLESS",
    "KINDS",
    "UNIT",
    "WORLD",
    "detect",
    "inject",
    "naive_detect",
    "repair",
    "score",
]
