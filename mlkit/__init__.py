"""mlkit: break a healthy ML data pipeline on purpose, find the fault, repair it, prove it.

One module per challenge (see `CHALLENGES`), the same verbs in each: inject, naive_detect,
detect, repair, score. Importing mlkit loads nothing heavy and turns telemetry off.
"""

import os

CHALLENGES = (
    "skew",
    "leakage",
    "scale",
    "versioning",
    "dualmode",
    "drift",
    "orchestration",
    "cost",
    "governance",
    "compliance",
)

for _name, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DATAHUB_TELEMETRY_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "SPARK_LOCAL_IP": "127.0.0.1",
}.items():
    os.environ.setdefault(_name, _value)
