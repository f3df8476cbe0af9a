"""Settings of the operating system's side."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from p2pupd.model.setting import setting


class ClockTrust(StrEnum):
    """What makes the wall clock a witness against expired metadata."""

    NEVER = "never"
    SYNCHRONISED = "synchronised"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """`[clock]`: when expiry of metadata is judged by the wall clock."""

    trust: ClockTrust = setting(
        ClockTrust.NEVER,
        "`never`: the clock only warns, so that a wrong one locks nobody out; `synchronised`: it "
        "counts while the kernel says that a time service keeps it right (choose it where that "
        "service is authenticated, such as NTS); `always`: the device has a clock chip that is "
        "kept right",
    )
    word_file: Path = setting(
        Path("/run/p2pupd/clock-trusted"),
        "While this file exists the clock is trusted: an operator's word until the next boot",
    )
