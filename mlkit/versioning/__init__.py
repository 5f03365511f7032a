"""Challenge 4, versioning: which data made this model?

Two changes of the past arrive in one load and a retrained model is worse in production. `versions`
holds the training data as two runs read it, `runs` what each run wrote down. `inject` brings the
changes, or a run that cannot be told again; the good check goes by content, tells the changes apart
and names the cause.
"""

from mlkit.versioning.checks import detect, naive_detect, repair, score
from mlkit.versioning.faults import KINDS, inject

WORLD = "shop"
HARMLESS = "regulars"  # the preset in which hardly anybody stays away for two weeks

__all__ = ["HARMLESS", "KINDS", "WORLD", "detect", "inject", "naive_detect", "repair", "score"]
