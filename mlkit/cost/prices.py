"""The price file: what a GB, a request and an hour cost. Edit it; every bill follows.

`prices.yaml` beside this module holds list prices of one provider on one day. A copy of it with
your own numbers is checked key by key: nothing unknown, nothing missing, nothing below zero.
"""

from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from mlkit.cost.lifecycle import StorageClass
from mlkit.params import NotNegative, Positive, Share, check_block, check_keys, options, read_yaml

Prices = dict[str, Any]
Days = Annotated[int, Interval(ge=0, le=3650)]
FILE = Path(__file__).with_name("prices.yaml")
TIERS = ("hot", "cool", "cold", "deep")


def load(file: Path | None = None) -> Prices:
    """Return the checked prices of a file; without one, the list prices that come with the kit.

    Raises
    ------
    ValueError: one line with key, value, what is allowed and the nearest key
    FileNotFoundError: no such file
    """
    return check(read_yaml(file or FILE))


def check(prices: Any) -> Prices:
    """Return the prices when each key is known and there, and each value in its range.

    Raises
    ------
    ValueError: one line about the first that is not
    """
    check_keys("prices", prices, [*options(_top), "tiers", "work"])
    check_block("prices", {k: v for k, v in prices.items() if k not in ("tiers", "work")}, _top)
    check_keys("prices.tiers", prices["tiers"], list(TIERS))
    for name in TIERS:
        check_block(f"prices.tiers.{name}", prices["tiers"][name], _tier)
    check_block("prices.work", prices["work"], _work)
    return prices


def storage_classes(prices: Prices) -> dict[str, StorageClass]:
    """Return the tiers in the form that `mlkit.cost.lifecycle` takes."""
    return {
        name: StorageClass(
            per_gb_month=tier["gb_month"],
            retrieval_per_gb=tier["retrieval_gb"],
            transition_per_1000=tier["write_thousand"],
            minimum_days=tier["minimum_days"],
            overhead_kb=tier["object_kb"],
            index_kb=tier["index_kb"],
        )
        for name, tier in prices["tiers"].items()
    }


def _top(
    *,
    as_of: str,
    egress_gb: NotNegative,
    compute_hour: NotNegative,
    spot_discount: Share,
    spot_interruptions_hour: NotNegative,
    gpu_hour: NotNegative,
    serving_hour: NotNegative,
    stream_hour: NotNegative,
) -> None:
    """Carry the annotations of the keys at the top."""


def _tier(
    *,
    gb_month: NotNegative,
    write_thousand: NotNegative,
    read_thousand: NotNegative,
    retrieval_gb: NotNegative,
    minimum_days: Days,
    object_kb: NotNegative,
    index_kb: NotNegative,
) -> None:
    """Carry the annotations of a tier."""


def _work(
    *,
    csv_mb: Positive,
    parquet_mb: Positive,
    rows: Positive,
    pairs: Positive,
    fitted: Positive,
    files: Positive,
    window_hours: Annotated[float, Interval(gt=0, le=24)],
    start_minutes: Annotated[float, Interval(ge=0, le=600)],
    spare_hours: Annotated[float, Interval(ge=0, le=24)],
) -> None:
    """Carry the annotations of what a machine does."""
