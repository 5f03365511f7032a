"""Challenge 7, orchestration: tasks die, are tried again, and every run is green in the end.

A retry runs a load a second time. Whether that leaves the table as one clean run would have is a
property of the load, not of the orchestrator. The accuracy hardly tells, so the harm is measured
as `right`: the share of offers whose features are those that the source gives.
"""

from mlkit.orchestration.checks import detect, naive_detect, repair, score
from mlkit.orchestration.crashes import crash_table, keyless, kill_table, run_twice
from mlkit.orchestration.designs import DESIGNS, visible
from mlkit.orchestration.faults import KINDS, inject

WORLD = "shop"
UNIT = "share of right decisions"
HARMLESS = "rare_buyers"  # the preset in which there are few rows to load twice
HARM = ("right", 0.02)

__all__ = [
    "DESIGNS",
    "HARM",
    "HARMLESS",
    "KINDS",
    "UNIT",
    "WORLD",
    "crash_table",
    "detect",
    "inject",
    "keyless",
    "kill_table",
    "naive_detect",
    "repair",
    "run_twice",
    "score",
    "visible",
]
