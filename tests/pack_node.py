"""One job on a pack, in a process of its own on one core: what it costs, as a line of JSON.

    python -m tests.pack_node {image|pack|find|slot|store|unpack|install} DIRECTORY

`image` makes old.img and new.img, 512 MiB each: half text, a quarter noise, a quarter zeros; in the
new one a tenth of the 64 KiB blocks differ. The others need the files that those before it made.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from p2pupd.delta.assembling import Assembly
from p2pupd.delta.files import OpenFile, opened
from p2pupd.delta.matching import ImageSource, PackSource, find
from p2pupd.delta.reading import Reader
from p2pupd.delta.unpacking import header_of, unpack
from p2pupd.delta.writing import pack
from p2pupd.install.bootloaders.statefile import StateFileBootControl
from p2pupd.install.slots import SlotsInstaller
from p2pupd.model.release import Image
from tests.builders import a_pack
from tests.packing import PIECE, noise, prose, quietly

MIB = 1 << 20
SIZE = 512 * MIB
BLOCK = 64 << 10


class Job:
    """Works in `directory`; each method returns the bytes of image that it dealt with."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack

    def _open(self, name: str) -> OpenFile:
        return self._stack.enter_context(opened(self._directory / name))

    def image(self) -> int:
        texts, dice = [prose(MIB, seed) for seed in range(8)], random.Random(1)
        with (
            open(self._directory / "old.img", "wb") as old,
            open(self._directory / "new.img", "wb") as new,
        ):
            for number in range(SIZE // MIB):
                part = _part(number, texts)
                old.write(part)
                for at in range(0, MIB, BLOCK):
                    if any(part) and dice.random() < 0.1:
                        part[at : at + BLOCK] = noise(BLOCK, number * MIB + at)
                new.write(part)
        return SIZE

    def pack(self) -> int:
        earlier = None
        for name in ("old", "new"):
            with (
                open(self._directory / f"{name}.pack", "wb") as target,
                tempfile.TemporaryFile(dir=self._directory) as spool,
            ):
                image = self._open(f"{name}.img")
                header = pack(image, target, spool, quietly, earlier=earlier)
            earlier = Reader(self._open(f"{name}.pack"), header)
        return 2 * SIZE

    def find(self) -> int:
        """Chunking and matching of an image; nothing is built."""
        header = header_of(self._open("new.pack"))
        find(header, [ImageSource(self._open("old.img"))], quietly)
        return SIZE

    def slot(self) -> int:
        """The pieces are built from the old image, and compressed again."""
        header = header_of(self._open("new.pack"))
        assembly = Assembly(find(header, [ImageSource(self._open("old.img"))], quietly), PIECE)
        return self._built(assembly)

    def store(self) -> int:
        """The pieces are built from the old pack."""
        source = PackSource(old := self._open("old.pack"), header_of(old))
        header = header_of(self._open("new.pack"))
        return self._built(Assembly(find(header, [source], quietly), PIECE))

    def _built(self, assembly: Assembly) -> int:
        built = sum(len(content) for _, content in assembly.pieces(quietly))
        left = self._open("new.pack").size - built
        sys.stderr.write(f"wire {100 * left / SIZE:.2f} % of the image\n")
        return SIZE

    def unpack(self) -> int:
        source = self._open("new.pack")
        with open(self._directory / "slot", "wb") as slot:
            target = Slot(slot.fileno())
            unpack(source, header_of(source), target, quietly)
            assert target.at == SIZE
        return SIZE

    def install(self) -> int:
        """The whole installer: unpacked, written, synced, read back, and compared."""
        directory = self._directory
        header = header_of(self._open("new.pack"))
        release = replace(a_pack(), image=Image(header.image_length, header.image_sha256))
        (directory / "a").write_bytes(b"runs")
        installer = SlotsInstaller(
            {"A": directory / "a", "B": directory / "b"},
            StateFileBootControl(directory / "boot.json"),
            directory / "slots.json",
        )
        asyncio.run(installer.write(release, directory / "new.pack", quietly))
        return SIZE


class Slot:
    """A file that is written, and left out where it is zero."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.at = 0

    def write(self, data: memoryview) -> None:
        self.at += os.pwrite(self._fd, data, self.at)

    def zeros(self, length: int) -> None:
        self.at += length


def _part(number: int, texts: list[bytes]) -> bytearray:
    """A MiB of the old image."""
    if number % 4 == 3:
        return bytearray(MIB)
    if number % 4 == 2:
        return bytearray(noise(MIB, number))
    part = bytearray(texts[number % len(texts)])
    for at in range(0, MIB, 512):
        part[at : at + 8] = (number * MIB + at).to_bytes(8, "big")
    return part


def _resident(field: str) -> int:
    """KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def main(name: str, directory: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with ExitStack() as stack:
        job: Callable[[], int] = getattr(Job(Path(directory), stack), name)
        before, begun, spent = _resident("VmRSS"), time.monotonic(), time.process_time()
        size = job()
        figures = {
            "mib": size / MIB,
            "seconds": time.monotonic() - begun,
            "processor": time.process_time() - spent,
            "growth": (_resident("VmHWM") - before) / 1024,
        }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
