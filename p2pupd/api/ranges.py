"""The Range header of RFC 9110, section 14.2, for one range of bytes."""

import re
from typing import Final

ONE_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)


class NotSatisfiable(Exception):
    """Answer 416: no byte of it exists, or several ranges are asked for in one request."""


def parse_range(header: str | None, length: int) -> tuple[int, int] | None:
    """(first byte, number of bytes) asked for of `length`; None: send all of it.

    A header that is malformed or of another unit is ignored, as the section allows. Raises
    NotSatisfiable.
    """
    if header is None or not header.startswith("bytes="):
        return None
    if "," in header:
        raise NotSatisfiable
    match = ONE_RANGE.fullmatch(header)
    if match is None or not any(match.groups()):
        return None
    first, last = (int(text) if text else None for text in match.groups())
    if first is None:
        start, end = max(0, length - (last or 0)), length
    else:
        if last is not None and last < first:
            return None
        start, end = first, length if last is None else min(last + 1, length)
    if start >= end:
        raise NotSatisfiable
    return start, end - start
