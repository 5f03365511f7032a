"""Challenge 8, cost optimisation: the same features for less, measured.

A `jobs` table says how the jobs of a daily pipeline are done. They are run on real files, what they
read, write and keep is counted, and a price file turns it into a bill. `inject` writes a plan that
wastes, or one that is cheap because the features are wrong; the score asks for both, a lean bill
and right features.
"""

from mlkit.cost.checks import detect, naive_detect, repair, score
from mlkit.cost.faults import CHEATS, KINDS, STEPS, inject
from mlkit.cost.jobs import plan, run

WORLD = "shop"
UNIT = "lean bill over this bill, times right features"
HARMLESS = "corner_shops"  # the preset in which shops are so small that there is nothing to save

__all__ = [
    "CHEATS",
    "HARMLESS",
    "KINDS",
    "STEPS",
    "UNIT",
    "WORLD",
    "detect",
    "inject",
    "naive_detect",
    "plan",
    "repair",
    "run",
    "score",
]
