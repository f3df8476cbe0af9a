"""Settings of the health probes."""

from dataclasses import dataclass

from p2pupd.model.setting import Seconds, at_least, required, setting, within


def _not_empty(value: object) -> str | None:
    return None if value else "is empty"


def _web_address(value: str) -> str | None:
    return (
        None if value.startswith(("http://", "https://")) else "is not an http:// or https:// URL"
    )


@dataclass(frozen=True, slots=True)
class ExecProbeSettings:
    """`[[health.exec]]`: healthy when a program ends with the expected exit code."""

    name: str = required("Names the probe in events", check=_not_empty)
    command: tuple[str, ...] = required("Program and arguments; no shell", check=_not_empty)
    exit_code: int = setting(0, "Exit code that means healthy", check=within(0, 255))


@dataclass(frozen=True, slots=True)
class HttpProbeSettings:
    """`[[health.http]]`: healthy when a GET answers as expected. Redirects are not followed."""

    name: str = required("Names the probe in events", check=_not_empty)
    url: str = required("http:// or https:// URL", check=_web_address)
    status_from: int = setting(200, "Lowest status that means healthy", check=within(100, 599))
    status_to: int = setting(299, "Highest status that means healthy", check=within(100, 599))
    contains: str = setting("", "Text that the first 64 KiB of the body must contain")


@dataclass(frozen=True, slots=True)
class UnitProbeSettings:
    """`[[health.unit]]`: healthy when a systemd unit stays active."""

    unit: str = required("Unit, such as `nginx.service`; also the probe's name", check=_not_empty)
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
