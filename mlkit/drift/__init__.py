"""Challenge 6, drift: the world changes while the model stays.

An alarm is not harm: some changes raise every alarm and do nothing, others ruin the decisions
while every feature looks as it did. `inject` changes the world from a day of production on,
`detect` tells alarms from harm, and `repair` decides what to do about it, if anything.
"""

from mlkit.drift.faults import KINDS, inject
from mlkit.drift.monitor import detect, naive_detect
from mlkit.drift.operate import repair, score

WORLD = "shop"
HARMLESS = "rare_buyers"  # the preset in which there are no regulars to be won
CHANGES_TRUTH = "a concept drifts when the answers themselves change, and with them the truth"

__all__ = [
    "CHANGES_TRUTH",
    "HARMLESS",
    "KINDS",
    "WORLD",
    "detect",
    "inject",
    "naive_detect",
    "repair",
    "score",
]
