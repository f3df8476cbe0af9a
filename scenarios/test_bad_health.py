"""A release that does not prove itself, an operator who goes back, and one who is asked first."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pupd.demo.device import FACTORY_IMAGE, Device
from p2pupd.publisher.authority import refresh
from scenarios.lib.fleet import (
    Json,
    all_reach,
    events,
    fleet,
    knows,
    on,
    phases,
    powered,
    until,
)
from scenarios.lib.office import Office

SIZE = 256 * 1024
QUICK: Json = {"interval": 0.05, "successes": 1, "settle": 0.0, "deadline": 1.0}


@dataclass
class Line:
    """A device, a seed beside it, and the repository that their releases come from."""

    office: Office
    device: Device
    neighbour: Device

    async def takes(self, number: int) -> str:
        """Publish this release, and put in a stick with all up to it."""
        self.office.release(number)
        return await on(self.device, "import", str(self.office.directory))

    async def installs(self, number: int) -> None:
        """The same, until it is confirmed."""
        before = await self.trials()
        await self.takes(number)
        await until(lambda: self.has_tried(before + 1), 20, f"trial of release {number}")
        await all_reach([self.device], "confirmed", within=20)

    async def trials(self) -> int:
        """How many releases were tried, or tried again."""
        found = await events(self.device)
        return sum(each["event"] == "deployment.trial" for each in found)

    async def has_tried(self, times: int) -> bool:
        return await self.trials() == times

    async def takes_nothing(self, reason: str, code: int = 110) -> None:
        """Neither from a stick, nor from a neighbour with a newer manifest, nor on a recheck."""
        boots = self.device.boots
        stick = str(self.office.directory)
        assert reason in await on(self.device, "import", stick, expect=code)
        refresh(self.office.directory, self.office.signing())
        await on(self.neighbour, "import", stick)
        version = self.office.read().timestamp.signed.version

        async def heard() -> bool:
            status = await self.device.status()
            return status is not None and status["manifest"]["timestamp_version"] == version

        await until(heard, 15, "the neighbour's manifest")
        await on(self.device, "check")
        await on(self.device, "approve", expect=4)
        assert self.device.boots == boots

    async def runs(self, slot: str, release: int) -> Json:
        status: Json = json.loads(await on(self.device, "status", "--json"))
        installed = status["installed"]
        assert (installed["slot"], installed["primary"]) == (slot, slot)
        assert installed["release"] == release
        return status


@asynccontextmanager
async def line(directory: Path, probe: str = "true", **device: Any) -> AsyncIterator[Line]:
    """`probe` is a shell command in the device's directory; `device` further settings."""
    office = Office(directory / "office", SIZE)
    async with fleet(None, office.anchor) as floor:
        state = floor.directory / "device"
        probes = [{"name": "line", "command": ["sh", "-c", f"cd {state} && {probe}"]}]
        settings = {
            "health": QUICK | {"exec": probes},
            "device": {"recheck": 1.0} | device,
        }
        made = floor.device("device", settings=settings)
        helper = floor.seed(settings={"device": {"recheck": 1.0}})
        async with powered([made, helper]):
            await knows(made, 1)
            yield Line(office, made, helper)


async def test_a_release_that_failed_is_not_tried_again_until_an_operator_allows_it(
    tmp_path: Path,
) -> None:
    async with line(tmp_path, "cmp -s slot_b good.img") as this:
        device = this.device
        await this.takes(1)
        await all_reach([device], "reverted", within=20)
        status = await this.runs("A", 0)
        assert status["deployment"]["reason"] == "unhealthy"
        assert [(each["release"], each["reason"]) for each in status["bad"]] == [(1, "unhealthy")]
        assert (device.directory / "slot_a").read_bytes() == FACTORY_IMAGE

        await this.takes_nothing("known-bad")
        assert await this.trials() == 1

        assert "--again" in await on(device, "approve", "1", expect=2)
        await on(device, "approve", "1", "--again")
        await until(lambda: this.has_tried(2), 20, "the second trial")
        await all_reach([device], "reverted", within=20)
        await this.runs("A", 0)
        await this.takes_nothing("known-bad")

        (device.directory / "good.img").write_bytes(this.office.image(SIZE, 2).read_bytes())
        await this.installs(2)
        await this.runs("B", 2)


async def test_an_operator_goes_back_to_the_release_before(tmp_path: Path) -> None:
    async with line(tmp_path) as this:
        device = this.device
        await on(device, "rollback", expect=4)
        await this.installs(1)
        await this.runs("B", 1)
        await this.installs(2)
        await this.runs("A", 2)
        await on(device, "rollback", expect=120)
        await all_reach([device], "reverted", within=20)
        status = await this.runs("B", 1)
        assert status["deployment"]["reason"] == "rollback-wanted"
        assert [each["release"] for each in status["bad"]] == [2]
        await this.takes_nothing("up-to-date", code=4)
        assert await this.trials() == 2


async def test_nothing_is_installed_without_consent(tmp_path: Path) -> None:
    async with line(tmp_path, consent=True) as this:
        device = this.device
        await on(device, "approve", expect=4)
        assert "goes for" in await this.takes(1)
        await all_reach([device], "waiting", within=20)
        status = await this.runs("A", 0)
        assert status["deployment"]["reason"] == "consent"
        await on(device, "check")
        await on(device, "rollback", expect=4)
        assert (device.directory / "slot_b").read_bytes() == FACTORY_IMAGE
        assert await phases([device]) == ["waiting"]
        await on(device, "approve")
        await all_reach([device], "confirmed", within=20)
        await this.runs("B", 1)

        await on(device, "approve", "2")
        await this.takes(2)
        await until(lambda: this.has_tried(2), 20, "the release that was allowed ahead")
