"""The one form of a bundle's container: names, bounds, and the only header a member can have.

Writer and reader share this module, so what one writes is what the other accepts.

Sources: POSIX.1-1988 ustar, OCI image-spec v1.1 (image layout).
"""

from collections.abc import Callable

from candidate.errors import InputError

LAYOUT_NAME = "oci-layout"
INDEX_NAME = "index.json"
BLOB_PREFIX = "blobs/sha256/"
BLOCK = 512
RECORD = 10_240
MAX_BLOB_BYTES = 8 * 1024**3 - 1
"""What eleven octal digits can say; larger weights are split."""
MAX_MEMBERS = 100_000
MAX_LAYOUT_BYTES = 4096
MAX_INDEX_BYTES = 4 * 1024 * 1024

Progress = Callable[[int], None]
"""Told how many bytes were done since it was told last."""


def header_of(name: str, size: int) -> bytes:
    """Return the one ustar header (512 bytes) of a regular file in a bundle.

    Args:
        name: ASCII, at most 100 bytes.
        size: of the data, below 8 GiB.

    Raises:
        InputError: the size does not fit the header.
    """
    if not 0 <= size <= MAX_BLOB_BYTES:
        raise InputError(f"blob of {size} bytes, more than {MAX_BLOB_BYTES}", where=name, hint="split the weights")
    head = bytearray(BLOCK)
    head[0 : len(name)] = name.encode("ascii")
    head[100:124] = b"0000644\0" + b"0000000\0" * 2
    head[124:136] = b"%011o\0" % size
    head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[156:157] = b"0"
    head[257:265] = b"ustar\x0000"
    head[148:155] = b"%06o\0" % sum(head)
    return bytes(head)


def padding(size: int) -> int:
    """Return how many zero bytes follow this many bytes of data."""
    return -size % BLOCK
