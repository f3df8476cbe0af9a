"""What can be set about the uplink: a repository far away, and how much of the line it may use."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from p2pupd.model.setting import NO_PATH, Bytes, Seconds, at_least, setting, within

WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)
DAY: Final = 24 * 60
"""Minutes."""


def window(text: str) -> tuple[int, int]:
    """First minute of the day, and the one after the last, of `22:00-05:00`. Raises ValueError."""
    match = WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not like 22:00-05:00")
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start == end or end > DAY:
        raise ValueError(f"{text!r} is no part of a day")
    return start, end


def _windows(value: tuple[str, ...]) -> str | None:
    try:
        for text in value:
            window(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return None


def _address(value: str, schemes: tuple[str, ...]) -> str | None:
    if not value:
        return None
    try:
        parts = urlsplit(value)
        known = parts.scheme in schemes and parts.hostname and (parts.port or 1)
    except ValueError:
        known = None
    if not known or parts.query or parts.fragment or not value.isascii() or " " in value:
        return f"is no address such as {schemes[-1]}://HOST/PATH"
    return None


def _url(value: str) -> str | None:
    return _address(value, ("http", "https"))


def _proxy(value: str) -> str | None:
    return _address(value, ("http",))


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """`[uplink]`: any TUF repository with consistent snapshots, by HTTP."""

    url: str = setting(
        "",
        "The repository's address: `metadata/` and `targets/` are below it. May hold "
        "`USER:PASSWORD@`. Empty: this device has no uplink",
        check=_url,
    )
    interval: Seconds = setting(
        Seconds(900),
        "How often it is asked for news; up to a quarter earlier, by chance",
        check=at_least(1),
    )
    proxy: str = setting("", "The HTTP proxy to go through, as http://HOST:PORT", check=_proxy)
    proxy_from_environment: bool = setting(
        False, "Where `proxy` is empty, take it from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`"
    )
    ca_file: Path = setting(
        NO_PATH, "Certificates (PEM) that may vouch for the server, instead of the system's"
    )
    connect_timeout: Seconds = setting(
        Seconds(15), "The server must accept a connection within this time", check=at_least(0.1)
    )
    stall_timeout: Seconds = setting(
        Seconds(30),
        "A connection that brings nothing for so long is given up",
        check=at_least(0.1),
    )
    metadata_timeout: Seconds = setting(
        Seconds(60), "A metadata file must arrive within this time", check=at_least(0.1)
    )
    retries: int = setting(
        5,
        "A part that fails so many times more, with growing pauses, counts as a line that is down",
        check=within(0, 100),
    )
    range: Bytes = setting(
        Bytes(1 << 20), "One request asks for so much of an artifact at most", check=at_least(16384)
    )
    rate: Bytes = setting(Bytes(0), "Bytes per second that it may bring; 0: no limit")
    monthly: Bytes = setting(
        Bytes(0), "Bytes that it may bring in a calendar month, metadata included; 0: no limit"
    )
    hours: tuple[str, ...] = setting(
        (),
        'When it may be used, in local time, such as `["22:00-05:00"]`. Empty: always',
        check=_windows,
    )

    def together(self) -> Iterator[tuple[str, str]]:
        """What is wrong between settings, and with the files that they name: (key, clause)."""
        if not self.url or self.ca_file == NO_PATH:
            return
        try:
            with open(self.ca_file, "rb"):
                pass
        except OSError as error:
            yield "ca_file", f"({self.ca_file}) cannot be read: {error.strerror}"
