"""From raw bytes to an event, or to the one sentence that says why not.

The limit on the size comes before the parser, and the parser is strict where JSON libraries are
lenient: no NaN, no key twice, no unknown key, no true where a number belongs. Every reason names
the key, the value that came and what is allowed.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mlkit.dualmode.state import Charge
from mlkit.params import nearest

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
SECOND_US, DAY_US = 1_000_000, 86_400_000_000
MOST_ID = 2**63 - 1
SHOWN = 60  # characters of a value that a reason repeats


class Limits(NamedTuple):
    """What an event may be: its size in bytes, how far ahead of the clock, how late in days."""

    bytes: int = 4_096
    ahead_s: float = 60.0
    late_days: float = 7.0


LIMITS = Limits()


class Rejected(ValueError):
    """No event: the message is the reason."""


def shown(value: object) -> str:
    """Return a value as a reason repeats it: printable, and not longer than a line has room."""
    text = ascii(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def wrong(key: str, value: object, allowed: str) -> Rejected:
    """Return the reason for the value of a key."""
    return Rejected(f"{key} = {shown(value)}: expected {allowed}")


def whole(key: str, value: Any) -> int:
    """Return an id."""
    if type(value) is not int or not 0 <= value <= MOST_ID:
        raise wrong(key, value, f"a whole number from 0 to {MOST_ID}")
    return value


def number(key: str, value: Any, *, least: float, most: float, unit: str) -> float:
    """Return a number in a range; true and false are none, nor is the infinity that 1e999 means."""
    allowed = f"a number from {least:g} to {most:,.0f} {unit}"
    if type(value) not in (int, float) or not least <= value <= most or math.isnan(value):
        raise wrong(key, value, allowed)
    return float(value)


def amount(key: str, value: Any) -> float:
    """Return an amount in USD."""
    return number(key, value, least=0.01, most=1_000_000, unit="USD")


def distance(key: str, value: Any) -> float:
    """Return a distance in km: at most half around the earth."""
    return number(key, value, least=0, most=20_040, unit="km")


def flag(key: str, value: Any) -> bool:
    """Return true or false."""
    if type(value) is not bool:
        raise wrong(key, value, "true or false")
    return value


def moment(key: str, value: Any) -> int:
    """Return integer microseconds since 1970 of a time with its offset from UTC."""
    allowed = "a time like '2025-01-31T12:00:00Z', with its offset from UTC"
    if type(value) is not str:
        raise wrong(key, value, allowed)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise wrong(key, value, allowed) from None
    if at.tzinfo is None or not 1970 <= at.year < 9999:
        raise wrong(key, value, allowed)
    return (at - EPOCH) // MICROSECOND


CHARGE: dict[str, Callable[[str, Any], Any]] = {
    "charge_id": whole,
    "user_id": whole,
    "event_ts": moment,
    "amount_usd": amount,
    "new_device": flag,
    "km_home": distance,
}
CHARGEBACK: dict[str, Callable[[str, Any], Any]] = {
    "charge_id": whole,
    "user_id": whole,
    "known_ts": moment,
}
STAMP: dict[str, Callable[[str, Any], Any]] = {"ingest_ts": moment}


def parse_charge(raw: bytes, *, now_us: int, limits: Limits = LIMITS) -> Charge:
    """Return the charge that some bytes are.

    Parameters
    ----------
    raw: a JSON object with charge_id, user_id, event_ts, amount_usd, new_device, km_home and, when
        a gateway in front has stamped it already, ingest_ts
    now_us: the clock of the service, microseconds since 1970: the arrival of what has no stamp

    Raises
    ------
    Rejected: one sentence about the first thing that is wrong
    """
    values = parse_object(raw, CHARGE, optional=STAMP, limits=limits)
    arrived = values.get("ingest_ts", now_us)
    _in_time("ingest_ts", arrived, now_us, limits)
    _in_time("event_ts", values["event_ts"], arrived, limits)
    return Charge(
        charge_id=values["charge_id"],
        user_id=values["user_id"],
        at_us=values["event_ts"],
        arrived_us=arrived,
        amount_usd=values["amount_usd"],
        new_device=float(values["new_device"]),
        km_home=values["km_home"],
    )


def parse_chargeback(raw: bytes, *, now_us: int, limits: Limits = LIMITS) -> dict[str, int]:
    """Return charge_id, user_id and known_us of a complaint about a charge.

    Raises
    ------
    Rejected: one sentence about the first thing that is wrong
    """
    values = parse_object(raw, CHARGEBACK, limits=limits)
    if values["known_ts"] > now_us + limits.ahead_s * SECOND_US:
        raise _future("known_ts", values["known_ts"], now_us, limits)
    known = {"known_us": values.pop("known_ts")}
    return {**values, **known}


def parse_object(
    raw: bytes,
    keys: dict[str, Callable[[str, Any], Any]],
    *,
    optional: dict[str, Callable[[str, Any], Any]] | None = None,
    limits: Limits = LIMITS,
) -> dict[str, Any]:
    """Return the checked values of a JSON object with these keys and no other.

    Raises
    ------
    Rejected: one sentence about the first thing that is wrong
    """
    found, optional = decode(raw, limits=limits), optional or {}
    for key in keys:
        if key not in found:
            raise Rejected(f"key {key!r} is missing: expected {', '.join(keys)}")
    for key in found:
        if key not in keys and key not in optional:
            known = [*keys, *optional]
            allowed = ", ".join(known) + nearest(key[:SHOWN], known)
            raise Rejected(f"key {shown(key)} = {shown(found[key])} is unknown: expected {allowed}")
    readers = {**keys, **optional}
    return {key: readers[key](key, value) for key, value in found.items()}


def decode(raw: bytes, *, limits: Limits = LIMITS) -> dict[str, Any]:
    """Return the object of a JSON text.

    Raises
    ------
    Rejected: too large, not UTF-8, not JSON, nested too deeply, a key twice, NaN, or no object
    """
    if len(raw) > limits.bytes:
        raise too_large(len(raw), limits)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(f"byte {error.start} = {raw[error.start]:#04x}: expected UTF-8") from None
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        came = shown(text[error.pos : error.pos + 10])
        raise Rejected(f"position {error.pos} = {came}: expected JSON, {error.msg}") from None
    except Rejected:
        raise
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        raise wrong("body", text, "one object of plain values, without nesting") from None
    if type(found) is not dict:
        raise wrong("body", found, "a JSON object")
    return found


def too_large(size: int, limits: Limits) -> Rejected:
    """Return the reason for a body that is too large, as far as it was counted."""
    return Rejected(f"body = {size} bytes: expected at most {limits.bytes}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Rejected(f"key {shown(key)} = {shown(value)}: expected each key once, came again")
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    raise Rejected(f"value = {name}: expected a finite number, JSON has no {name}")


def _in_time(key: str, at_us: int, now_us: int, limits: Limits) -> None:
    if at_us > now_us + limits.ahead_s * SECOND_US:
        raise _future(key, at_us, now_us, limits)
    if key == "event_ts" and at_us < now_us - limits.late_days * DAY_US:
        allowed = f"at most {limits.late_days:g} days before its arrival at {written(now_us)}"
        raise wrong(key, written(at_us), allowed)


def _future(key: str, at_us: int, now_us: int, limits: Limits) -> Rejected:
    allowed = f"at most {limits.ahead_s:g} seconds after the clock, which says {written(now_us)}"
    return wrong(key, written(at_us), allowed)


def written(at_us: int) -> str:
    """Return the text of a moment in UTC."""
    return (EPOCH + at_us * MICROSECOND).isoformat().replace("+00:00", "Z")
