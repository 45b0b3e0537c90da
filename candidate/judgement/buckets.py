"""Which bucket a unit falls into: a hash of it that nobody can choose."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def derive_salt(policy: str, data: str) -> int:
    """Return the 64-bit salt of the buckets: BLAKE2b-64 of policy digest and data digest.

    Nobody chooses it, so nobody can try several until the buckets please.
    """
    return int.from_bytes(hashlib.blake2b((policy + data).encode(), digest_size=8).digest(), "big")


def splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits so that each depends on all (Steele, Lea and Flood 2014, SplitMix64's finaliser)."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))


def _hash_of_text(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def unit_bits(units: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 64 bits for each unit, equal for equal units."""
    if units.dtype.kind in "iub":
        return units.astype(np.int64).view(np.uint64)
    if units.dtype.kind in "mM":
        return units.view(np.int64).view(np.uint64)
    if units.dtype.kind == "f":
        return (units.astype(np.float64) + 0.0).view(np.uint64)  # + 0.0 makes one zero of two
    texts = [str(unit) for unit in units.tolist()]
    hashes = {text: _hash_of_text(text) for text in set(texts)}
    return np.array([hashes[text] for text in texts], dtype=np.uint64)


def buckets_of(units: NDArray[Any], *, salt: int, buckets: int) -> NDArray[np.int64]:
    """Return the bucket of each row: SplitMix64 of the unit and the salt, modulo K.

    Args:
        units: shape (rows,); whole numbers and dates by value, text and all else by BLAKE2b-64 of
            its UTF-8.
        salt: 64 bits, from ``derive_salt``.
        buckets: K.
    """
    salted = unit_bits(np.ascontiguousarray(units)) ^ np.uint64(salt)
    return (splitmix64(salted) % np.uint64(buckets)).astype(np.int64)
