"""Transfer: what reading costs beside storage, by the request and by the GB that leaves."""

from typing import Annotated

import numpy as np
from annotated_types import Interval

from mlkit.params import NotNegative, Positive, Share, checked


@checked
def reading(
    *,
    gb: Positive = 100.0,
    object_mb: Positive = 128.0,
    reads: Annotated[int, Interval(ge=0, le=100_000_000)] = 30,
    leaves: Share = 0.0,
    per_1000_requests: NotNegative = 0.0004,
    egress_per_gb: NotNegative = 0.09,
) -> dict[str, float]:
    """Return what reading a data set some times costs: objects, requests and egress.

    Parameters
    ----------
    gb, object_mb: size of the data set and of each of its objects
    reads: how often all of it is read
    leaves: share of what is read that leaves the region or the cloud; inside it is often free
    per_1000_requests, egress_per_gb: prices

    Returns
    -------
    objects: a count; requests, egress: money
    """
    objects = float(np.ceil(gb * 1000 / object_mb - 1e-9))
    return {
        "objects": objects,
        "requests": objects * reads / 1000 * per_1000_requests,
        "egress": gb * reads * leaves * egress_per_gb,
    }


@checked
def read_seconds(
    *,
    gb: Positive = 1.0,
    object_mb: Positive = 128.0,
    seconds_per_object: NotNegative = 0.05,
    mb_per_second: Positive = 100.0,
    at_once: Annotated[int, Interval(ge=1, le=10_000)] = 8,
) -> float:
    """Return the seconds to read a data set: each object costs a wait before its first byte.

    Parameters
    ----------
    seconds_per_object: until its first byte
    mb_per_second: bandwidth of all readings together
    at_once: objects asked for at the same time
    """
    objects = np.ceil(gb * 1000 / object_mb - 1e-9)
    return float(objects * seconds_per_object / at_once + gb * 1000 / mb_per_second)
