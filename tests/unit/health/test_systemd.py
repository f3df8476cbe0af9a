from pathlib import Path

import pytest

from p2pupd.health.interface import ProbeResult
from p2pupd.health.settings import UnitProbeSettings
from p2pupd.health.systemd import UnitProbe, judge
from p2pupd.model.setting import Seconds

SETTINGS = UnitProbeSettings("nginx.service", active_for=Seconds(10))


def shown(load: str = "loaded", active: str = "active", sub: str = "running", at: str = "5") -> str:
    """What `systemctl show` prints; `at` in seconds since the device booted."""
    since = f"{at}000000" if at else ""
    return (
        f"LoadState={load}\nActiveState={active}\nSubState={sub}\n"
        f"ActiveEnterTimestampMonotonic={since}\n"
    )


@pytest.mark.parametrize(
    ("output", "now", "result"),
    [
        (shown(), 15.0, ProbeResult(True)),
        (shown(), 14.9, ProbeResult(False, "nginx.service has been active for 10 of 10 s")),
        (shown(at="13"), 15.0, ProbeResult(False, "nginx.service has been active for 2 of 10 s")),
        (shown(at=""), 15.0, ProbeResult(False, "nginx.service has been active for 0 of 10 s")),
        (shown(active="failed", sub="failed"), 99.0, "nginx.service is failed (failed)"),
        (
            shown(active="activating", sub="auto-restart"),
            99.0,
            "nginx.service is activating (auto-restart)",
        ),
        (shown(load="not-found"), 99.0, "nginx.service is not-found"),
        ("", 99.0, "nginx.service is unknown"),
    ],
)
def test_unit_must_have_been_active_for_long_enough(
    output: str, now: float, result: ProbeResult | str
) -> None:
    wanted = ProbeResult(False, result) if isinstance(result, str) else result
    assert judge(output, SETTINGS, now) == wanted


async def test_without_systemd_the_probe_fails_and_says_so(tmp_path: Path) -> None:
    result = await UnitProbe(SETTINGS, runtime=tmp_path / "systemd").run(5)
    assert not result.ok
    assert "systemd does not run here" in result.detail


async def test_missing_systemctl_is_a_failure(tmp_path: Path) -> None:
    result = await UnitProbe(SETTINGS, systemctl="/nowhere", runtime=tmp_path).run(5)
    assert not result.ok
    assert "cannot start `/nowhere show" in result.detail


async def test_systemctl_that_fails_is_a_failure(tmp_path: Path) -> None:
    result = await UnitProbe(SETTINGS, systemctl="false", runtime=tmp_path).run(5)
    assert result == ProbeResult(
        False,
        "`false show --property=LoadState,ActiveState,SubState,ActiveEnterTimestampMonotonic "
        "-- nginx.service` ended with 1",
    )
