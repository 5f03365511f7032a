"""The registry of features: when the value of each is known, in days after the decision.

credit_score: {known_after_days: 0, note: pulled at the application}
late_payments: {known_after_days: 30}
balance: {known_at: balance_booked_ts}
"""

import math
from collections.abc import Mapping
from typing import Any

from mlkit.params import nearest

KEYS = ["known_after_days", "known_at", "note"]


def entries(registry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of a registry by feature, after looking at each of them.

    Raises
    ------
    TypeError: the registry is no mapping
    ValueError: an empty registry, an unknown key, or an entry that says neither or both
    """
    if not isinstance(registry, Mapping):
        raise TypeError(
            f"registry: expected a mapping of features such as "
            f"{{credit_score: {{known_after_days: 0}}}}, came {type(registry).__name__}"
        )
    if not registry:
        raise ValueError("registry: expected at least one feature, came none")
    return {str(name): _entry(str(name), entry) for name, entry in registry.items()}


def _entry(name: str, entry: Any) -> dict[str, Any]:
    where = f"registry.{name}"
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} = {entry!r}: expected a mapping such as {{known_after_days: 0}}")
    for key in entry:
        if key not in KEYS:
            raise ValueError(
                f"{where}: unknown key {key!r}{nearest(key, KEYS)}; allowed: {', '.join(KEYS)}"
            )
    if ("known_after_days" in entry) == ("known_at" in entry):
        raise ValueError(f"{where}: expected one of known_after_days, known_at; came {dict(entry)}")
    days, column = entry.get("known_after_days", 0), entry.get("known_at", "")
    number = isinstance(days, int | float) and not isinstance(days, bool) and not math.isnan(days)
    if not number:
        raise ValueError(f"{where}.known_after_days = {days!r}: expected a number of days")
    if not isinstance(column, str):
        raise ValueError(f"{where}.known_at = {column!r}: expected the name of a column")
    return dict(entry)


def days(entry: Mapping[str, Any] | None) -> float:
    """Return after how many days a value is known; infinity where nobody says."""
    return math.inf if entry is None else float(entry.get("known_after_days", 0))


def in_words(entry: Mapping[str, Any] | None, decision: str) -> str:
    """Return when a value is known, relative to the decision.

    Examples
    --------
    >>> in_words({"known_after_days": 30}, "the application"), in_words(None, "it")
    ('known 30 days after the application', 'not in the registry')
    """
    if entry is None:
        return "not in the registry"
    if "known_at" in entry:
        return f"known as {entry['known_at']} says"
    after = days(entry)
    if not after:
        return f"known at {decision}"
    if math.isinf(after):
        return "never known" if after > 0 else "always known"
    unit = "day" if abs(after) == 1 else "days"
    return f"known {abs(after):g} {unit} {'after' if after > 0 else 'before'} {decision}"
