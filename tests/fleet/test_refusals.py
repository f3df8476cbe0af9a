"""Sticks that a device must not take, each put into a running daemon by `p2pupd import`.

Whatever is refused says why, installs nothing and costs nothing: a good stick is taken afterwards.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from p2pupd.demo.device import FACTORY_IMAGE, HARDWARE, Device
from p2pupd.publisher.edition import Edition
from scenarios.lib.fleet import Json, events, fleet, on, powered, until
from scenarios.lib.office import Office, today
from tests.publishing import DAY

SIZE = 256 * 1024
TIB = 1 << 40
SIDECAR = 4096
QUICK: dict[str, Json] = {
    "health": {"interval": 0.05, "successes": 1, "settle": 0.0},
    "discovery": {"mdns": False},
}


@dataclass
class Bench:
    """A publisher, its device, which runs, and the directory that the device watches."""

    office: Office
    device: Device
    directory: Path

    @property
    def watched(self) -> Path:
        return self.directory / "watched"

    async def refuses(self, stick: Path, code: int, reason: str, says: str) -> None:
        """Typing `p2pupd import` ends with `code`, and tells why; nothing is installed."""
        said = await on(self.device, "import", str(stick), expect=code)
        assert says in said
        status = json.loads(await on(self.device, "status", "--json"))
        noted = {each["reason"] for each in await events(self.device) if "reason" in each}
        assert reason in reasons(status) | noted
        assert status["sources"] == {}
        await self.is_untouched()

    async def is_untouched(self) -> None:
        for slot in ("slot_a", "slot_b"):
            assert (self.device.directory / slot).read_bytes() == FACTORY_IMAGE
        status = await self.device.status()
        assert status is not None
        assert status["installed"]["slot"] == "A"
        assert self.device.boots == 1

    def stores_nothing(self) -> None:
        files = (self.device.directory / "store").rglob("*")
        assert all(each.stat().st_size < SIDECAR for each in files if each.is_file())

    async def takes_a_good_stick(self, number: int = 9) -> None:
        image = self.office.release(number)
        stick = self.office.stick(self.directory / "good")
        await on(self.device, "import", str(stick))
        await self.installs(image)

    async def installs(self, image: bytes) -> None:
        """The device writes it to its other slot."""
        slot = self.device.directory / "slot_b"

        async def written() -> bool:
            return await asyncio.to_thread(slot.read_bytes) == image

        await until(written, 20, "the good release is installed")


def reasons(status: Json) -> set[str]:
    """Every reason that `status --json` gives for what the device does not do."""
    found = {each["reason"] for each in status["transfers"]}
    found |= {said.partition(":")[0] for said in status["sources"].values()}
    return found | {status["refused"]["reason"]} if status["refused"] else found


@asynccontextmanager
async def bench(directory: Path, ago: int = 0, **device: Any) -> AsyncIterator[Bench]:
    """`ago`: seconds since the publisher signed; `device`: further settings of that section."""
    office = Office(directory / "office", SIZE, ago)
    settings = QUICK | {
        "device": device,
        "media": {"directories": [str(directory / "watched")], "poll": 0.05},
    }
    async with fleet(None, office.anchor) as floor:
        made = Bench(office, floor.device("device", settings=settings), directory)
        async with powered([made.device]):
            await until(made.device.status, 15, "daemon answers")
            yield made


# -- who signed, when, and for whom ----------------------------------------------------------------


def foreign(office: Office, directory: Path) -> Path:
    """Another fleet's stick: the same names, other keys."""
    other = Office(directory / "elsewhere", SIZE)
    other.release(1)
    return other.stick(directory / "stick")


def foreign_under_our_root(office: Office, directory: Path) -> Path:
    stick = foreign(office, directory)
    shutil.copy(office.read().anchor, stick / "p2pupd" / "metadata")
    return stick


def one_signature_byte(office: Office, directory: Path) -> Path:
    office.release(1)
    stick = office.stick(directory / "stick")
    path = stick / "p2pupd/metadata/timestamp.json"
    content = json.loads(path.read_bytes())
    signature = content["signatures"][0]["sig"]
    content["signatures"][0]["sig"] = f"{int(signature[0], 16) ^ 1:x}{signature[1:]}"
    path.write_text(json.dumps(content))
    return stick


@pytest.mark.parametrize(
    ("forge", "reason", "says"),
    [
        (foreign, "wrong-realm", "another fleet's"),
        (foreign_under_our_root, "bad-signature", "signed"),
        (one_signature_byte, "bad-signature", "timestamp"),
    ],
)
async def test_a_stick_that_the_fleets_signers_did_not_sign_is_refused(
    tmp_path: Path, forge: Callable[[Office, Path], Path], reason: str, says: str
) -> None:
    async with bench(tmp_path) as this:
        await this.refuses(forge(this.office, tmp_path), 14, reason, says)
        this.stores_nothing()
        await this.takes_a_good_stick()


async def test_a_stick_whose_metadata_has_expired_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, ago=200 * DAY) as this:
        this.office.release(1)
        await this.refuses(this.office.stick(tmp_path / "stick"), 12, "expired", "fresh metadata")
        this.stores_nothing()
        this.office.now = today()
        await this.takes_a_good_stick()


async def test_an_older_stick_is_refused_after_a_newer_one(tmp_path: Path) -> None:
    async with bench(tmp_path, consent=True) as this:
        this.office.release(1)
        old = this.office.stick(tmp_path / "old")
        this.office.release(2)
        await on(this.device, "import", str(this.office.stick(tmp_path / "new")))
        await this.refuses(old, 102, "downgrade", "older")
        status = await this.device.status()
        assert status is not None
        assert [each["release"] for each in status["manifest"]["releases"]] == [1, 2]
        await on(this.device, "approve", "9")
        await this.takes_a_good_stick()


async def test_a_new_stick_with_an_older_release_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, factory_release=5) as this:
        this.office.release(1)
        stick = this.office.stick(tmp_path / "stick")
        await this.refuses(stick, 102, "downgrade", "release 5 is installed")
        await this.takes_a_good_stick()


async def test_a_release_for_other_hardware_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as this:
        this.office.release(1, hardware="other-board")
        stick = this.office.stick(tmp_path / "stick")
        await this.refuses(stick, 14, "wrong-hardware", f"this device is {HARDWARE}")
        await this.takes_a_good_stick()


# -- what the stick is made of ---------------------------------------------------------------------


def truncated(repository: Path) -> None:
    path = repository / "metadata" / "timestamp.json"
    path.write_bytes(path.read_bytes()[:-100])


def incomplete(repository: Path) -> None:
    max(repository.glob("metadata/*.demo.json")).unlink()


def linked_metadata(repository: Path) -> None:
    (repository / "metadata").rename(repository.parent / "elsewhere")
    (repository / "metadata").symlink_to("../elsewhere")


def climbing_metadata(repository: Path) -> None:
    path = repository / "metadata" / "timestamp.json"
    path.write_bytes(path.read_bytes().replace(b'"snapshot.json"', b'"../../snapshot.json"'))


def endless_metadata(repository: Path) -> None:
    os.truncate(repository / "metadata" / "timestamp.json", TIB)


def no_repository(repository: Path) -> None:
    shutil.rmtree(repository)


def target_of(repository: Path) -> Path:
    return next(repository.glob("targets/*/*/*.img"))


def linked_target(repository: Path) -> None:
    target = target_of(repository)
    target.rename(repository / "image")
    target.symlink_to(repository / "image")


def endless_target(repository: Path) -> None:
    os.truncate(target_of(repository), TIB)


def fifo_as_target(repository: Path) -> None:
    target = target_of(repository)
    target.unlink()
    os.mkfifo(target)


def flipped_target(repository: Path) -> None:
    target = target_of(repository)
    content = target.read_bytes()
    target.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut_target(repository: Path) -> None:
    os.truncate(target_of(repository), SIZE - 1)


def missing_target(repository: Path) -> None:
    target_of(repository).unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "reason", "says"),
    [
        (truncated, 14, "bad-metadata", "timestamp.json is not JSON"),
        (incomplete, 14, "bad-metadata", "is missing"),
        (climbing_metadata, 14, "bad-metadata", "../../snapshot.json"),
        (linked_metadata, 14, "unsafe-media", "metadata is a symbolic link"),
        (endless_metadata, 14, "unsafe-media", f"timestamp.json has {TIB} bytes"),
        (no_repository, 15, "not-a-repository", "holds no p2pupd repository"),
        (linked_target, 14, "unsafe-media", "is a symbolic link"),
        (fifo_as_target, 14, "unsafe-media", "is a FIFO"),
        (endless_target, 14, "unsafe-media", f"has {TIB} bytes; {SIZE} are signed"),
        (flipped_target, 14, "wrong-content", "is not the signed"),
        (cut_target, 14, "cut-off", f"is cut off: it has {SIZE - 1} bytes; {SIZE} are signed"),
        (missing_target, 14, "not-on-stick", "is not there"),
    ],
)
async def test_a_damaged_or_malicious_stick_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], code: int, reason: str, says: str
) -> None:
    async with bench(tmp_path) as this:
        this.office.release(1)
        stick = this.office.stick(tmp_path / "stick")
        spoil(stick / "p2pupd")
        await this.refuses(stick, code, reason, says)
        this.stores_nothing()
        await this.takes_a_good_stick()


async def test_a_signed_target_name_that_climbs_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as this:
        this.office.release(1)
        good = this.office.read()
        listed = good.lines["demo"].signed.targets
        listed["demo/../climbs.img"] = listed.pop(next(iter(listed)))
        signing = this.office.signing()
        edition = Edition(good, signing.ring, signing.settings, signing.now)
        edition.issue("demo")
        edition.publish()
        stick = this.office.stick(tmp_path / "stick")
        await this.refuses(stick, 14, "bad-metadata", "not a plain relative path")
        this.stores_nothing()


# -- with no command typed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "bad-metadata"),
        (linked_metadata, "unsafe-media"),
        (endless_target, "unsafe-media"),
    ],
)
async def test_a_bad_stick_that_is_just_put_in_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    async with bench(tmp_path) as this:
        this.office.release(1)
        stick = this.office.stick(tmp_path / "stick")
        spoil(stick / "p2pupd")
        await put_in_and_refused(this, stick, reason)


async def test_an_unsigned_stick_that_is_just_put_in_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as this:
        await put_in_and_refused(this, one_signature_byte(this.office, tmp_path), "bad-signature")


async def put_in_and_refused(this: Bench, stick: Path, reason: str) -> None:
    """The history and the status tell; when it is pulled, and a good one put in, that is taken."""
    stick.rename(this.watched)

    async def refused() -> bool:
        status = await this.device.status()
        return status is not None and reason in reasons(status)

    await until(refused, 10, f"refused as {reason}")
    found = [each for each in await events(this.device) if each["event"] == "source.refused"]
    assert [(each["source"], each["reason"]) for each in found] == [
        (f"directory:{this.watched}", reason)
    ]
    await this.is_untouched()
    this.stores_nothing()
    shutil.rmtree(this.watched)

    async def pulled() -> bool:
        status = await this.device.status()
        return status is not None and not status["sources"]

    await until(pulled, 10, "the bad stick is not listed any more")
    image = this.office.release(9)
    this.office.stick(pocket := this.directory / "pocket")
    pocket.rename(this.watched)
    await this.installs(image)
