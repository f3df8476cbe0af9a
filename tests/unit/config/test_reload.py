"""A configuration that is read again: applied, named as waiting for a restart, or refused."""

from pathlib import Path

import pytest

from p2pupd.config.load import load_config
from p2pupd.config.reload import Reloader
from p2pupd.engine.limit_settings import LimitSettings
from p2pupd.errors import ConfigError
from p2pupd.feeds.uplink_settings import UplinkSettings
from p2pupd.model.setting import Bytes
from tests.support import eventually, running


class Rig:
    def __init__(self, directory: Path) -> None:
        self.file = directory / "config.toml"
        self.write("")
        self.taken: list[LimitSettings] = []
        self.reloader = Reloader(load_config(self.file, overrides=["limits.download=5"]))
        self.reloader.live.append(("limits", (), self.taken.append))

    def write(self, text: str) -> None:
        self.file.write_text(text)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_what_can_change_live_is_applied_once(rig: Rig) -> None:
    rig.write('[limits]\nupload = "1M"\nwindows = ["22:00-05:00"]')
    assert await rig.reloader.reload() == "applied: limits.upload, limits.windows"
    assert rig.taken == [LimitSettings(Bytes(1 << 20), Bytes(5), windows=("22:00-05:00",))]
    assert await rig.reloader.reload() == "nothing has changed"
    assert len(rig.taken) == 1


async def test_what_cannot_is_named_until_the_restart(rig: Rig) -> None:
    rig.write("[peer]\nport = 1\n[limits]\nupload = 1")
    expected = "needs a restart: peer.port"
    assert await rig.reloader.reload() == f"applied: limits.upload\n{expected}"
    assert await rig.reloader.reload() == expected
    rig.write("[limits]\nupload = 1")
    assert await rig.reloader.reload() == "nothing has changed"


async def test_with_a_mistake_nothing_changes_and_every_mistake_is_told(rig: Rig) -> None:
    rig.write('[limits]\nupload = 1\ndscp = 64\nwindows = ["22-5"]\n[peer]\nprot = 1')
    with pytest.raises(ConfigError) as caught:
        await rig.reloader.reload()
    for each in ("limits.dscp is not within 0 to 63", "limits.windows", "peer.prot"):
        assert each in str(caught.value)
    assert rig.taken == []


async def test_a_control_socket_that_cannot_be_is_a_mistake_too(rig: Rig) -> None:
    rig.write(f'[limits]\nupload = 1\n[control]\nsocket = "/{"x" * 200}"')
    with pytest.raises(ConfigError, match="than 107 bytes"):
        await rig.reloader.reload()
    assert rig.taken == []


async def test_whoever_asks_by_signal_finds_mistakes_in_the_log(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(rig.reloader.run()):
        rig.write("[limits]\nuplaod = 1")
        rig.reloader.wanted.set()
        await eventually(lambda: "did you mean `upload`" in caplog.text)
        rig.write("[limits]\nupload = 1")
        rig.reloader.wanted.set()
        await eventually(lambda: rig.taken)


async def test_a_reload_that_fails_half_way_goes_back(rig: Rig) -> None:
    uplink: list[int] = []

    def apply(settings: UplinkSettings) -> None:
        uplink.append(settings.rate)
        if settings.rate == 3:
            raise OverflowError("too much")

    rig.reloader.live.append(("uplink", ("rate",), apply))
    rig.write("[limits]\nupload = 1\n[uplink]\nrate = 3")
    with pytest.raises(OverflowError):
        await rig.reloader.reload()
    assert [each.upload for each in rig.taken] == [1, 0]
    assert uplink == [3, 0]
    rig.write("[limits]\nupload = 1\n[uplink]\nrate = 2")
    assert await rig.reloader.reload() == "applied: limits.upload, uplink.rate"
