"""What an examination of the device found, one line each."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """FAIL: the device cannot do its work. WARN: it can, but something is not as it should be."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`says` is what was found, `advice` what to do about it (empty when nothing)."""

    check: str
    verdict: Verdict
    says: str
    advice: str = ""


def ok(check: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Verdict.OK, says)


def warn(check: str, says: str, advice: str) -> Finding:
    """It works, but look at it."""
    return Finding(check, Verdict.WARN, says, advice)


def fail(check: str, says: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAIL, says, advice)
