"""Keeps the daemon small on devices with little memory. Linux with glibc; elsewhere no effect."""

import ctypes
import gc
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

M_ARENA_MAX: Final = -8
"""mallopt(3): how many heaps threads may spread over; each keeps its own free memory."""
ARENAS: Final = 1
MADV_DONTNEED: Final = 4
_MAPPING: Final = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[-x]p [0-9a-f]+ [0-9a-f:]+ [1-9][0-9]* .*$", re.MULTILINE
)
_ANONYMOUS: Final = re.compile(rb"^Anonymous: +(\d+) kB$", re.MULTILINE)


def stay_small() -> None:
    """Call before threads start: they share one heap, so that freed memory is used again."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Call when start-up is over: let go of garbage, free heap, and code that only start-up ran.

    Pages of program files that this process never wrote to are dropped from its memory; what is
    needed again is mapped again from the page cache at its next use.
    """
    gc.collect()
    gc.freeze()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    for start, length in _unwritten(Path("/proc/self/smaps")):
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), MADV_DONTNEED)


def _unwritten(smaps: Path) -> Iterator[tuple[int, int]]:
    """(address, length) of the read-only file mappings that hold no page of our own."""
    try:
        raw = smaps.read_bytes()
    except OSError as error:
        log.info("memory.maps-unreadable error=%s", error)
        return
    found = list(_MAPPING.finditer(raw))
    ends = [match.start() for match in found[1:]] + [len(raw)]
    for match, end in zip(found, ends, strict=True):
        own = _ANONYMOUS.search(raw, match.end(), end)
        if own is not None and int(own[1]) == 0:
            start, stop = int(match[1], 16), int(match[2], 16)
            yield start, stop - start
