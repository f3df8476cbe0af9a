"""What a device remembers: through restarts, power cuts, damage and full disks."""

import json
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pupd.errors import DowngradeError, HostError, SignatureError
from p2pupd.trust.settings import TrustSettings
from p2pupd.trust.verifier import Verifier
from tests.tuf_repository import DAY, LINE, NOW, TufRepository
from tests.unit.trust.conftest import SOON, Device


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def writes(state: Path) -> dict[str, tuple[int, int]]:
    """Changes whenever a file in `state` is written, even with what it held."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in state.iterdir()}


def accepted(device: Device, fleet: TufRepository) -> Verifier:
    verifier = device()
    verifier.accept(fleet.bundle(), SOON)
    return verifier


def test_a_new_device_believes_nothing_yet(device: Device) -> None:
    verifier = device()
    assert verifier.current() is None
    assert verifier.current_bundle() is None


def test_a_restart_believes_the_same_without_writing(
    device: Device, fleet: TufRepository, state: Path
) -> None:
    verifier = accepted(device, fleet)
    before = writes(state)
    again = device()
    assert again.current() == verifier.current()
    assert again.current_bundle() == verifier.current_bundle()
    assert again.realm == verifier.realm
    assert writes(state) == before


def test_a_bundle_that_says_nothing_new_writes_nothing(
    device: Device, fleet: TufRepository, state: Path
) -> None:
    verifier = accepted(device, fleet)
    before = writes(state)
    kept = verifier.current_bundle()
    assert kept is not None
    for raw in (kept, fleet.bundle(), fleet.bundle(**{"9_other": b""})):
        assert verifier.accept(raw, SOON) == verifier.current()
    assert writes(state) == before


def test_a_refused_bundle_writes_nothing(device: Device, fleet: TufRepository, state: Path) -> None:
    verifier = accepted(device, fleet)
    before = writes(state)
    with pytest.raises(SignatureError):
        verifier.accept(TufRepository(seed="stranger").bundle(), SOON)
    assert writes(state) == before


@pytest.mark.parametrize("rotated", [False, True], ids=["same keys", "new keys, lower versions"])
def test_a_power_cut_between_the_two_files_leaves_the_new_state(
    device: Device, fleet: TufRepository, state: Path, rotated: bool
) -> None:
    verifier = accepted(device, fleet)
    old_fence = (state / "fence.json").read_bytes()
    if rotated:
        fleet.rotate("timestamp")
        fleet.publish_root()
        fleet.timestamp.version = 0
    fleet.publish(LINE)
    now = verifier.accept(fleet.bundle(), SOON)
    new_fence = (state / "fence.json").read_bytes()
    (state / "fence.json").write_bytes(old_fence)
    (state / ".fence.json.new").write_bytes(new_fence[:20])
    assert device().current() == now
    assert (state / "fence.json").read_bytes() == new_fence


def cut_before_call(number: int, verifier: Verifier, raw: bytes, state: str) -> bool:
    """Accept `raw` in a child that is killed before the nth call that changes `state`.

    False when it got through with fewer calls.
    """
    child = os.fork()
    if child == 0:
        left = number

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                ours = isinstance(args[0], int) or str(args[0]).startswith(state)
                left -= ours
                if ours and left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return wrapper

        for name in ("open", "fsync", "replace", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        verifier.accept(raw, SOON)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_between_any_two_writes_it_starts_with_the_old_state_or_the_new(
    device: Device, fleet: TufRepository, state: Path, tmp_path: Path
) -> None:
    oldest = fleet.bundle()
    fleet.publish(LINE)
    old = accepted(device, fleet).current()
    fleet.rotate("timestamp")
    fleet.publish_root()
    fleet.timestamp.version = 0
    fleet.publish(LINE)
    shutil.copytree(state, tmp_path / "before")
    seen: list[bool] = []
    while cut_before_call(len(seen) + 1, device(), fleet.bundle(), str(state)):
        restarted = device()
        now = restarted.current()
        assert now is not None
        seen.append(now != old)
        with pytest.raises(DowngradeError):
            restarted.accept(oldest, SOON)
        assert restarted.accept(fleet.bundle(), SOON).releases == now.releases
        shutil.rmtree(state)
        shutil.copytree(tmp_path / "before", state)
    assert seen == sorted(seen)
    assert {False, True} == set(seen)


def test_a_power_cut_while_the_bundle_is_written_leaves_the_old_state(
    device: Device, fleet: TufRepository, state: Path
) -> None:
    verifier = accepted(device, fleet)
    (state / ".bundle.msgpack.new").write_bytes(b"half a bun")
    restarted = device()
    assert restarted.current() == verifier.current()
    fleet.publish(LINE)
    assert restarted.accept(fleet.bundle(), SOON).timestamp_version == 3


@pytest.mark.parametrize(
    "damage", [b"", b"rubbish", bytes(5 << 20)], ids=["empty", "rubbish", "big"]
)
def test_a_damaged_bundle_is_got_again_and_nothing_older(
    device: Device, fleet: TufRepository, state: Path, damage: bytes
) -> None:
    old = fleet.bundle()
    fleet.publish(LINE)
    verifier = accepted(device, fleet)
    (state / "bundle.msgpack").write_bytes(damage)
    restarted = device()
    assert restarted.current() is None
    with pytest.raises(DowngradeError):
        restarted.accept(old, SOON)
    assert restarted.accept(fleet.bundle(), SOON) == verifier.current()
    assert device().current() == verifier.current()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"rubbish",
        b"{}",
        b"[]",
        b'{"floor": [], "keys": {}}',
        b'{"floor": {"root": "x"}}',
        b"\xff" * 10,
        b"[" * 100_000,
        bytes(2 << 20),
    ],
)
def test_a_damaged_fence_is_put_up_again_from_the_bundle(
    device: Device,
    fleet: TufRepository,
    state: Path,
    damage: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = fleet.bundle()
    fleet.publish(LINE)
    verifier = accepted(device, fleet)
    before = (state / "fence.json").read_bytes()
    (state / "fence.json").write_bytes(damage)
    restarted = device()
    assert "trust.fence_" in caplog.text
    assert restarted.current() == verifier.current()
    assert (state / "fence.json").read_bytes() == before
    with pytest.raises(DowngradeError):
        restarted.accept(old, SOON)


def test_a_lost_fence_is_put_up_again_from_the_bundle(
    device: Device, fleet: TufRepository, state: Path
) -> None:
    accepted(device, fleet)
    before = (state / "fence.json").read_bytes()
    (state / "fence.json").unlink()
    device()
    assert (state / "fence.json").read_bytes() == before


def test_the_fence_remembers_the_root_when_the_bundle_is_lost(
    device: Device, fleet: TufRepository, state: Path
) -> None:
    stolen = TufRepository()
    stolen.rotate("timestamp")
    stolen.publish_root()
    stolen.publish(LINE)
    fleet.publish_root()
    accepted(device, fleet)
    (state / "bundle.msgpack").unlink()
    with pytest.raises(SignatureError, match=r"2.root.json is another one"):
        device().accept(stolen.bundle(), SOON)


def test_another_anchor_is_another_fleet_and_starts_afresh(
    device: Device,
    fleet: TufRepository,
    tmp_path: Path,
    state: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(5):
        fleet.publish(LINE)
    accepted(device, fleet)
    other = TufRepository(seed="other")
    anchor = tmp_path / "other.json"
    anchor.write_bytes(other.files["1.root.json"])
    moved = Verifier(state, TrustSettings(root=anchor), 0)
    assert "trust.anchor_replaced" in caplog.text
    assert moved.current() is None
    assert moved.accept(other.bundle(), SOON).timestamp_version == 1
    assert Verifier(state, TrustSettings(root=anchor), 0).current() == moved.current()


def test_what_expired_before_newer_software_was_built_is_not_offered_any_more(
    device: Device, fleet: TufRepository, caplog: pytest.LogCaptureFixture
) -> None:
    accepted(device, fleet)
    caplog.set_level(logging.WARNING)
    assert device(build_time=NOW + 200 * DAY).current() is None
    assert "trust.bundle_lost reason=expired" in caplog.text
    assert device().current() is not None


def test_the_floor_outlives_a_restart(device: Device, fleet: TufRepository, state: Path) -> None:
    accepted(device, fleet)
    floor = json.loads((state / "fence.json").read_text())["floor"]
    assert floor == {"root": NOW, "targets": NOW, "timestamp": NOW}


def test_when_the_disk_fails_what_was_accepted_stays(
    device: Device, fleet: TufRepository, state: Path
) -> None:
    verifier = accepted(device, fleet)
    before = verifier.current()
    shutil.rmtree(state)
    fleet.publish(LINE)
    with pytest.raises(HostError):
        verifier.accept(fleet.bundle(), SOON)
    assert verifier.current() == before
    state.mkdir()
    assert verifier.accept(fleet.bundle(), SOON).timestamp_version == 3
    assert device().current() == verifier.current()


def test_without_room_for_temporary_files_it_says_so(
    device: Device, fleet: TufRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    with pytest.raises(HostError, match="temporary files"):
        device().accept(fleet.bundle(), SOON)


def test_the_state_directory_is_the_daemons_alone(device: Device, state: Path) -> None:
    device()
    assert state.stat().st_mode & 0o777 == 0o700
