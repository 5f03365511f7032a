"""Challenge 9, governance: upstream changes something, and every column is still there.

Another team owns the purchases that the shop's features are made of. From a day on it delivers
something else: another unit, another name, other rows. `inject` changes what is delivered, the
pipeline loads it without a word, and features and decisions follow. `detect` runs the checks that
a data contract can promise; `repair` blocks what breaks it, or translates what was announced.
"""

from mlkit.governance.checks import CHECKS, audit, detect, naive_detect, repair, score, verdicts
from mlkit.governance.faults import KINDS, LEGAL, inject

WORLD = "shop"
HARMLESS = "coin_flip"  # the preset in which nothing about a user tells what they will accept

__all__ = [
    "CHECKS",
    "HARMLESS",
    "KINDS",
    "LEGAL",
    "WORLD",
    "audit",
    "detect",
    "inject",
    "naive_detect",
    "repair",
    "score",
    "verdicts",
]
