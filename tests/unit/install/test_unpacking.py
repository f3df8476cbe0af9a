"""Packs go straight into the spare slot: right, within the declared length, or not at all."""

import hashlib
import os
from array import array
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pupd.delta.header import encode
from p2pupd.delta.limits import PREAMBLE
from p2pupd.errors import PackError
from p2pupd.install.bootloaders.statefile import StateFileBootControl, power_on
from p2pupd.install.interface import OldImage
from p2pupd.install.slots import SlotsInstaller
from p2pupd.model.device import BootFacts
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Image, Release
from tests.builders import a_pack
from tests.loop_devices import loop_device
from tests.packing import noise, packed, prose
from tests.support import needs_root

MIB = 1 << 20
RUNNING = b"the release that runs"
IMAGE = prose(MIB) + bytes(3 * MIB) + noise(MIB // 2) + bytes(200_000) + b"tail"
PACK = packed(IMAGE)
HEADER = PACK.header
OLD = b"\xff" * (6 * MIB)


class Device:
    """Slot A runs; slot B is full of what was there before."""

    def __init__(self, directory: Path, slot_b: Path) -> None:
        self.slot_a, self.slot_b, self.directory = directory / "a.img", slot_b, directory
        self.slot_a.write_bytes(RUNNING)
        self.heard: list[int] = []
        self.installer = SlotsInstaller(
            {"A": self.slot_a, "B": slot_b},
            StateFileBootControl(directory / "boot.json"),
            directory / "slots.json",
            dirty_limit=1 << 20,
        )

    async def write(self, raw: bytes = PACK.raw, image: bytes = IMAGE) -> str:
        path = self.directory / "pack"
        path.write_bytes(raw)
        return await self.installer.write(release_of(image), path, self.heard.append)

    async def refuses(self, raw: bytes, says: str, image: bytes = IMAGE) -> None:
        """With the reason, and nothing that could boot."""
        with pytest.raises(PackError, match=says) as refused:
            await self.write(raw, image)
        assert refused.value.reason == "bad-pack"
        assert await self.installer.boot_facts() == BootFacts("A", "A", None, 0)
        assert power_on(self.directory / "boot.json").booted == "A"
        assert self.slot_a.read_bytes() == RUNNING


def release_of(image: bytes) -> Release:
    digest = Sha256(hashlib.sha256(image).hexdigest())
    return replace(a_pack(), image=Image(len(image), digest))


@pytest.fixture(params=["file", pytest.param("block device", marks=needs_root)])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    if request.param == "file":
        slot: Any = nullcontext(tmp_path / "b.img")
    else:
        slot = loop_device(tmp_path / "b.disk", len(OLD))
    with slot as path:
        path.write_bytes(OLD)
        yield Device(tmp_path, path)


async def test_a_pack_is_unpacked_over_what_was_there(device: Device) -> None:
    assert await device.write() == "B"
    content = device.slot_b.read_bytes()
    assert content[: len(IMAGE)] == IMAGE
    assert set(content[len(IMAGE) :]) <= {0xFF}
    assert device.heard == sorted(device.heard)
    assert device.heard[-1] == len(IMAGE)
    await device.installer.arm("B")
    assert power_on(device.directory / "boot.json").booted == "B"
    assert await device.installer.running_image() == OldImage(
        device.slot_b, len(IMAGE), release_of(IMAGE).image.sha256
    )


async def test_zeros_of_a_file_take_no_room(tmp_path: Path) -> None:
    device = Device(tmp_path, tmp_path / "b.img")
    device.slot_b.write_bytes(OLD)
    await device.write()
    assert device.slot_b.read_bytes() == IMAGE
    assert os.stat(device.slot_b).st_blocks * 512 < len(IMAGE) - 3 * MIB + 256 * 1024


async def test_an_image_of_zeros_alone_is_unpacked(device: Device) -> None:
    image = bytes(2 * MIB)
    await device.write(packed(image).raw, image)
    assert device.slot_b.read_bytes()[: len(image)] == image


def lying(**changes: Any) -> bytes:
    """The pack with a table that says other things."""
    return encode(replace(HEADER, **changes)) + PACK.raw[HEADER.length :]


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another length of the image": ({"image_length": len(IMAGE) + 1}, "its table tells of"),
    "a chunk that is longer": (
        {"plain": array("I", [HEADER.plain[0] + 1, *HEADER.plain[1:]])},
        "its table tells of",
    ),
    "a chunk of gigabytes": (
        {"plain": array("I", [(1 << 24) - 1, *HEADER.plain[1:]])},
        "a chunk of 16777215 bytes",
    ),
    "a chunk that is stored longer": (
        {"stored": array("I", [HEADER.stored[0] + 1, *HEADER.stored[1:]])},
        "its table tells of",
    ),
    "chunks that the pack has not": (
        {"firsts": array("I", [HEADER.chunks, *HEADER.firsts[1:]])},
        "its table tells of",
    ),
    "zeros without end": (
        {"amounts": array("I", [*HEADER.amounts[:-1], (1 << 32) - 1])},
        "its table tells of",
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_table_that_lies_is_refused_before_the_slot_is_touched(
    device: Device, lie: str
) -> None:
    changes, says = LIES[lie]
    await device.refuses(lying(**changes), says)
    assert device.slot_b.read_bytes() == OLD


async def test_a_bomb_is_refused_before_the_slot_is_touched(device: Device) -> None:
    """The header claims to expand to 64 MiB, or really does, and says less."""
    claims = bytearray(PACK.raw)
    claims[12:16] = (64 << 20).to_bytes(4, "little")
    await device.refuses(bytes(claims), "the header expands to")
    claims[12:16] = ((64 << 20) + 1).to_bytes(4, "little")
    await device.refuses(bytes(claims), "a table of 67108865 bytes")
    assert device.slot_b.read_bytes() == OLD


@pytest.mark.parametrize("kept", [0, PREAMBLE - 1, PREAMBLE, HEADER.length, len(PACK.raw) - 1])
async def test_a_pack_that_was_cut_is_refused_before_the_slot_is_touched(
    device: Device, kept: int
) -> None:
    await device.refuses(PACK.raw[:kept], "the pack|a pack begins|the header")
    assert device.slot_b.read_bytes() == OLD


async def test_a_pack_of_another_image_is_refused_before_the_slot_is_touched(
    device: Device,
) -> None:
    await device.refuses(PACK.raw, "signed are", IMAGE[:-1] + b"?")
    await device.refuses(PACK.raw, "signed are", IMAGE + b"?")
    assert device.slot_b.read_bytes() == OLD


async def test_what_ran_before_can_still_be_returned_to_after_such_a_pack(device: Device) -> None:
    await device.write()
    await device.installer.arm("B")
    power_on(device.directory / "boot.json")
    await device.installer.commit("B")
    with pytest.raises(PackError):
        await device.write(PACK.raw[:-1])
    await device.installer.roll_back("A")
    assert power_on(device.directory / "boot.json").booted == "A"


@pytest.mark.parametrize("compressed", [True, False])
async def test_a_damaged_chunk_leaves_a_slot_that_holds_nothing(
    device: Device, compressed: bool
) -> None:
    """As it is expanded, or only when the slot is read back."""
    at = next(
        HEADER.offsets[frame]
        for frame in range(HEADER.frames)
        if (HEADER.stored[frame] < HEADER.plain_length(frame)) is compressed
    )
    damaged = bytearray(PACK.raw)
    damaged[at + 9] ^= 1
    await device.refuses(bytes(damaged), "the pack is damaged")
    with pytest.raises(Exception, match="no complete image"):
        await device.installer.arm("B")
    assert device.slot_b.read_bytes()[len(IMAGE) :] in (b"", OLD[len(IMAGE) :])
    await device.write()
    await device.installer.arm("B")


async def test_chunks_that_make_another_image_leave_a_slot_that_holds_nothing(
    device: Device,
) -> None:
    """All numbers are in order; only the digest of the whole tells."""
    image = prose(MIB, seed=1) + prose(MIB, seed=2)
    right = packed(image)
    runs = len(right.header.firsts)
    swapped = replace(
        right.header,
        firsts=array("I", [1, 0, 2]),
        amounts=array("I", [1, 1, right.header.chunks - 2]),
    )
    assert runs == 1
    wrong = encode(swapped) + right.raw[right.header.length :]
    await device.refuses(wrong, "make another image", image)
    with pytest.raises(Exception, match="no complete image"):
        await device.installer.arm("B")
