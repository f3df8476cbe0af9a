"""Every bootloader adaptor, with the real tool and the boot script that the documentation gives."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import BootControlError
from p2pupd.install.interface import BootControl
from p2pupd.install.settings import BootloaderKind
from p2pupd.model.device import BootFacts
from tests.contract.boot_rigs import BootRig, documented_script, make_rig
from tests.support import needs_tool

WITH_TOOLS = [
    pytest.param(BootloaderKind.GRUB, marks=needs_tool("grub-editenv"), id="grub"),
    pytest.param(BootloaderKind.UBOOT, marks=needs_tool("fw_setenv"), id="uboot"),
]
KINDS = [pytest.param(BootloaderKind.STATEFILE, id="statefile"), *WITH_TOOLS]


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> BootRig:
    return make_rig(request.param, tmp_path)


@pytest.fixture(params=WITH_TOOLS)
def tool_rig(request: pytest.FixtureRequest, tmp_path: Path) -> BootRig:
    return make_rig(request.param, tmp_path)


async def test_factory_fresh_device_boots_a_and_has_nothing_armed(rig: BootRig) -> None:
    assert await rig.control.read() == BootFacts("A", "A", None, 0)
    assert rig.power_on() == "A"
    assert await rig.control.read() == BootFacts("A", "A", None, 0)


async def test_armed_slot_is_tried_and_stays_once_committed(rig: BootRig) -> None:
    await rig.control.arm("B")
    assert await rig.control.read() == BootFacts("A", "A", "B", 1)
    assert rig.power_on() == "B"
    assert await rig.control.read() == BootFacts("B", "A", "B", 0)
    await rig.control.commit("B")
    assert await rig.control.read() == BootFacts("B", "B", None, 0)
    assert [rig.power_on() for _ in range(3)] == ["B", "B", "B"]


async def test_uncommitted_trial_returns_and_stays_visible_until_disarmed(rig: BootRig) -> None:
    await rig.control.arm("B")
    assert [rig.power_on() for _ in range(3)] == ["B", "A", "A"]
    assert await rig.control.read() == BootFacts("A", "A", "B", 0)
    await rig.control.disarm(keep="A")
    assert await rig.control.read() == BootFacts("A", "A", None, 0)
    assert rig.power_on() == "A"


async def test_a_slot_may_be_tried_more_than_once(rig: BootRig) -> None:
    await rig.control.arm("B", tries=3)
    assert rig.power_on() == "B"
    assert await rig.control.read() == BootFacts("B", "A", "B", 2)
    assert [rig.power_on() for _ in range(3)] == ["B", "B", "A"]


async def test_power_cut_after_arming_loses_nothing(rig: BootRig) -> None:
    await rig.control.arm("B")
    assert await rig.control.read() == BootFacts("A", "A", "B", 1)
    assert rig.power_on() == "B"


async def test_disarmed_slot_is_not_tried(rig: BootRig) -> None:
    await rig.control.arm("B")
    await rig.control.disarm(keep="A")
    assert await rig.control.read() == BootFacts("A", "A", None, 0)
    assert rig.power_on() == "A"


async def test_committed_release_can_be_left_for_the_one_before(rig: BootRig) -> None:
    await rig.control.arm("B")
    rig.power_on()
    await rig.control.commit("B")
    await rig.control.disarm(keep="A")
    assert await rig.control.read() == BootFacts("B", "A", None, 0)
    assert rig.power_on() == "A"


async def test_slots_take_turns_over_many_updates(rig: BootRig) -> None:
    for spare, running in (("B", "A"), ("A", "B"), ("B", "A")):
        await rig.control.disarm(keep=running)
        await rig.control.arm(spare)
        assert rig.power_on() == spare
        await rig.control.commit(spare)
        assert rig.power_on() == spare
        assert await rig.control.read() == BootFacts(spare, spare, None, 0)


async def test_trial_can_be_armed_again_after_it_was_used_up(rig: BootRig) -> None:
    await rig.control.arm("B")
    assert [rig.power_on() for _ in range(2)] == ["B", "A"]
    await rig.control.arm("B")
    assert rig.power_on() == "B"


async def test_doing_a_thing_twice_equals_once_and_writes_nothing(rig: BootRig) -> None:
    operations: list[Callable[[BootControl], Awaitable[None]]] = [
        lambda control: control.disarm(keep="A"),
        lambda control: control.arm("B", 2),
        lambda control: control.commit("B"),
    ]
    for operation in operations:
        await operation(rig.control)
        facts, written = await rig.control.read(), rig.environment.stat().st_mtime_ns
        await operation(rig.control)
        assert await rig.control.read() == facts
        assert rig.environment.stat().st_mtime_ns == written


async def test_the_primary_cannot_be_put_on_trial(rig: BootRig) -> None:
    with pytest.raises(BootControlError, match="only the other slot"):
        await rig.control.arm("A")
    assert rig.power_on() == "A"


async def test_damaged_environment_is_an_error_that_says_what_to_do(rig: BootRig) -> None:
    await rig.control.arm("B")
    rig.environment.write_bytes(b"\xff" * rig.environment.stat().st_size)
    for operation in (rig.control.read(), rig.control.arm("B"), rig.control.disarm(keep="A")):
        with pytest.raises(BootControlError, match=r"write |make it anew|env default") as caught:
            await operation
        assert str(rig.directory) in caught.value.message


@needs_tool("fw_setenv")
async def test_one_damaged_copy_of_a_redundant_environment_is_survived(tmp_path: Path) -> None:
    rig = make_rig(BootloaderKind.UBOOT, tmp_path)
    await rig.control.arm("B")
    before = rig.environment.read_bytes()
    for copy in (slice(0, 64), slice(0x4000, 0x4040)):
        torn = bytearray(before)
        torn[copy] = b"\xff" * 64
        rig.environment.write_bytes(torn)
        facts = await rig.control.read()
        assert facts in (BootFacts("A", "A", "B", 1), BootFacts("A", "A", None, 0))
        assert rig.power_on() in ("A", "B")


async def test_missing_tool_is_an_error_that_says_what_to_set(tool_rig: BootRig) -> None:
    nowhere = "/nowhere/tool"
    tool_rig.settings = replace(tool_rig.settings, grub_editenv=nowhere, fw_printenv=nowhere)
    with pytest.raises(BootControlError, match=r"install\.(grub_editenv|fw_printenv)"):
        await tool_rig.control.read()


async def test_environment_that_does_not_keep_changes_is_noticed(tool_rig: BootRig) -> None:
    quiet = tool_rig.directory / "quiet"
    quiet.write_text('#!/bin/sh\ntest "$2" = set || exec grub-editenv "$@"\n')
    quiet.chmod(0o755)
    tool_rig.settings = replace(tool_rig.settings, grub_editenv=str(quiet), fw_setenv="true")
    with pytest.raises(BootControlError, match=r"did not keep .*p2pupd_armed"):
        await tool_rig.control.arm("B")


async def test_slot_whose_tries_cannot_be_counted_is_not_tried(tool_rig: BootRig) -> None:
    await tool_rig.control.arm("B")
    assert tool_rig.power_on(environment_is_read_only=True) == "A"
    assert await tool_rig.control.read() == BootFacts("A", "A", "B", 1)


async def test_power_cut_before_any_tool_call_leaves_a_slot_that_boots(
    tool_rig: BootRig,
) -> None:
    """One whole update, cut at every point. The image in B is complete from `arm` on."""
    finished = False
    calls = 0
    while not finished:
        tool_rig.environment.unlink()
        rig = make_rig(tool_rig.settings.bootloader, tool_rig.directory)
        await rig.control.commit("A")
        finished, complete = await _update(rig.budget(calls))
        booted = [rig.power_on() for _ in range(3)]
        assert set(booted) <= ({"A", "B"} if complete else {"A"}), f"cut after {calls} calls"
        assert booted[1] == booted[2], f"cut after {calls} calls"
        facts = await rig.control.read()
        assert facts.primary == facts.booted == booted[2]
        assert not finished or booted[2] == "B"
        calls += 1
    assert calls > 8


async def _update(rig: BootRig) -> tuple[bool, bool]:
    """(whether it came to its end, whether B was complete when the power failed)."""
    complete = False
    try:
        await rig.control.disarm(keep="A")
        complete = True
        await rig.control.arm("B")
        rig.power_on()
        await rig.control.commit("B")
    except BootControlError:
        return False, complete
    return True, complete


ENDLESS_ARMING = """
import asyncio, sys
from pathlib import Path
from p2pupd.install.bootloaders.statefile import StateFileBootControl

async def arm_and_disarm():
    control = StateFileBootControl(Path(sys.argv[1]))
    while True:
        await control.arm("B")
        print("armed", flush=True)
        await control.disarm(keep="A")

asyncio.run(arm_and_disarm())
"""


@pytest.mark.parametrize("rounds", [1, 20, 50])
async def test_killed_while_writing_the_state_file_is_whole(tmp_path: Path, rounds: int) -> None:
    rig = make_rig(BootloaderKind.STATEFILE, tmp_path)
    command = [sys.executable, "-c", ENDLESS_ARMING, str(rig.environment)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(rounds):
            assert process.stdout.readline() == "armed\n"
        process.kill()
    facts = await rig.control.read()
    assert facts in (BootFacts("A", "A", "B", 1), BootFacts("A", "A", None, 0))
    assert [rig.power_on() for _ in range(2)][1] == "A"


@needs_tool("grub-script-check")
def test_documented_grub_script_is_valid_for_grub() -> None:
    script = documented_script("grub")
    subprocess.run(["grub-script-check"], input=script, text=True, check=True)
