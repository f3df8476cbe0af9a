"""Settings of the health probes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from p2pupd.model.setting import Seconds, at_least, not_empty, required, setting, within


def _web_address(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        known = None
    return None if known else "is not an http:// or https:// URL"


@dataclass(frozen=True, slots=True)
class ExecProbeSettings:
    """`[[health.exec]]`: healthy when a program ends with the expected exit code."""

    name: str = required("Names the probe in events", check=not_empty)
    command: tuple[str, ...] = required("Program and arguments; no shell", check=not_empty)
    exit_code: int = setting(0, "Exit code that means healthy", check=within(0, 255))


@dataclass(frozen=True, slots=True)
class HttpProbeSettings:
    """`[[health.http]]`: healthy when a GET answers as expected. Redirects are not followed."""

    name: str = required("Names the probe in events", check=not_empty)
    url: str = required("http:// or https:// URL", check=_web_address)
    status_from: int = setting(200, "Lowest status that means healthy", check=within(100, 599))
    status_to: int = setting(299, "Highest status that means healthy", check=within(100, 599))
    contains: str = setting("", "Text that the first 64 KiB of the body must contain")


@dataclass(frozen=True, slots=True)
class UnitProbeSettings:
    """`[[health.unit]]`: healthy when a systemd unit stays active."""

    unit: str = required("Unit, such as `nginx.service`; also the probe's name", check=not_empty)
    active_for: Seconds = setting(
        Seconds(10.0), "How long it must have been active without a restart", check=at_least(0)
    )


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """`[health]`: what a new release must prove before it is kept.

    Without any probe, the daemon being up for `settle` counts as healthy.
    """

    exec: tuple[ExecProbeSettings, ...] = setting((), "Programs to run")
    http: tuple[HttpProbeSettings, ...] = setting((), "URLs to get")
    unit: tuple[UnitProbeSettings, ...] = setting((), "systemd units to watch")
    deadline: Seconds = setting(
        Seconds(300.0), "The release must have proved itself by then", check=at_least(1)
    )
    interval: Seconds = setting(
        Seconds(5.0), "Pause between two rounds of probes", check=at_least(0.01)
    )
    timeout: Seconds = setting(
        Seconds(10.0), "An answer that takes longer is a failure", check=at_least(0.01)
    )
    successes: int = setting(
        3, "How often in a row every probe must succeed", check=within(1, 1000)
    )
    settle: Seconds = setting(
        Seconds(5.0),
        "Nothing counts as healthy before that; less than `deadline`",
        check=at_least(0),
    )

    def together(self) -> Iterator[tuple[str, str]]:
        """What is wrong between settings: (key, clause)."""
        exec_names, http_names = ([each.name for each in part] for part in (self.exec, self.http))
        names = Counter([*exec_names, *http_names, *(each.unit for each in self.unit)])
        for name, number in names.items():
            if number > 1:
                yield "", f"has two probes that are named {name!r}"
        for index, each in enumerate(self.http):
            if each.status_to < each.status_from:
                yield f"http[{index}].status_to", f"is below status_from ({each.status_from})"
        if self.settle >= self.deadline:
            yield (
                "settle",
                f"({self.settle:g} s) is not below deadline ({self.deadline:g} s)",
            )
