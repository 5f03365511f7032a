"""Names that stand for people: a plain hash, which anybody can undo, and one under a key."""

import hashlib
import hmac


def naive_token(value: str) -> str:
    """Return 64 hex digits, the plain SHA-256 of a value: a dictionary of values undoes it."""
    return hashlib.sha256(value.encode()).hexdigest()


def keyed_token(value: str, *, key: bytes) -> str:
    """Return 64 hex digits, the HMAC-SHA256 of a value under a secret key.

    Personal data still, for whoever holds the key or can get it; without the key nobody can try
    values. Two purposes take two keys, so that their tables cannot be joined.

    Parameters
    ----------
    value: such as an e-mail address, in the form in which it is compared
    key: 32 random bytes or more, kept apart from the tables

    Raises
    ------
    ValueError: a key of less than 16 bytes

    Source: challenge 10, tokens; RFC 2104.
    """
    if len(key) < 16:
        raise ValueError(
            f"key: expected 16 bytes or more, came {len(key)}; use secrets.token_bytes"
        )
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()
