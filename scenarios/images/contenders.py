"""What brings an old image to a new one: each prepares an image once, then is measured on pairs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from scenarios.images.commands import ImagesError, run
from scenarios.images.wire import served


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image, and the directory in which a contender keeps what it made of it."""

    image: Path
    shelf: Path


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes that a device receives, and what they are made of."""

    wire: int
    parts: Mapping[str, int] = field(default_factory=dict)


class Contender(Protocol):
    """One way to update."""

    @property
    def name(self) -> str:
        """In tables."""

    @property
    def programs(self) -> tuple[str, ...]:
        """What must be installed."""

    def prepare(self, at: Prepared) -> None:
        """What a publisher does with an image, once."""

    def first(self, new: Prepared) -> Cost:
        """For a device that has nothing."""

    def update(self, old: Prepared, new: Prepared) -> Cost:
        """For a device that has the old image."""


@dataclass(frozen=True, slots=True)
class Casync:
    """Index and chunk store; counted are the index and the chunks that the old store lacks, without
    any protocol. `sizes` are the least, average and most bytes of a chunk, as casync wants them."""

    name: str
    sizes: str = ""
    programs: tuple[str, ...] = ("casync",)

    def prepare(self, at: Prepared) -> None:
        sizes = [f"--chunk-size={self.sizes}"] if self.sizes else []
        store = f"--store={at.shelf / 'store'}"
        run(["casync", *sizes, store, "make", at.shelf / "image.caibx", at.image])

    def first(self, new: Prepared) -> Cost:
        return self._cost(new, set())

    def update(self, old: Prepared, new: Prepared) -> Cost:
        return self._cost(new, set(self._chunks(old)))

    def _cost(self, new: Prepared, known: set[str]) -> Cost:
        chunks = sum(size for name, size in self._chunks(new).items() if name not in known)
        index = (new.shelf / "image.caibx").stat().st_size
        return Cost(chunks + index, {"chunks": chunks, "index": index})

    @staticmethod
    def _chunks(at: Prepared) -> dict[str, int]:
        return {each.name: each.stat().st_size for each in at.shelf.glob("store/*/*.cacnk")}


@dataclass(frozen=True, slots=True)
class Zchunk:
    """One file of separately compressed chunks; really downloaded with HTTP ranges."""

    name: str = "zchunk"
    programs: tuple[str, ...] = ("zck", "zckdl", "unzck")

    def prepare(self, at: Prepared) -> None:
        run(["zck", "-o", at.shelf / "image.zck", at.image])

    def first(self, new: Prepared) -> Cost:
        return Cost((new.shelf / "image.zck").stat().st_size)

    def update(self, old: Prepared, new: Prepared) -> Cost:
        got = new.shelf / "got"
        got.mkdir()
        with served(new.shelf) as server:
            source = str(old.shelf / "image.zck")
            command = f"cd {got} && exec zckdl -s {source} {server.url}/image.zck"
            run(["sh", "-c", command])
        _same(got / "image.zck", new.shelf / "image.zck")
        run(["rm", "-rf", got])
        return Cost(server.sent)


@dataclass(frozen=True, slots=True)
class Zsync:
    """Rolling checksums over the new file, matched at any offset of the old one; really downloaded.

    `packed`: the publisher keeps a gzip file, and blocks travel as parts of it.
    """

    name: str
    packed: bool
    programs: tuple[str, ...] = ("zsync", "zsyncmake", "gzip")

    def prepare(self, at: Prepared) -> None:
        if self.packed:
            command = f"cd {at.shelf} && ln -s {at.image} image && zsyncmake -z -u image.gz image"
            run(["sh", "-c", f"{command} -o image.zsync && rm image"])
        else:
            run(["ln", "-s", at.image, at.shelf / "image"])
            run(["zsyncmake", "-u", "image", "-o", at.shelf / "image.zsync", at.shelf / "image"])

    def first(self, new: Prepared) -> Cost:
        kept = new.shelf / ("image.gz" if self.packed else "image")
        return Cost(kept.stat().st_size)

    def update(self, old: Prepared, new: Prepared) -> Cost:
        got = new.shelf / "got"
        with served(new.shelf) as server:
            run(["zsync", "-q", "-i", old.image, "-o", got, f"{server.url}/image.zsync"])
        _same(got, new.image)
        run(["rm", "-f", got, f"{got}.zs-old"])
        return Cost(server.sent, {"index": (new.shelf / "image.zsync").stat().st_size})


def _same(got: Path, wanted: Path) -> None:
    if digest(got) != digest(wanted):
        raise ImagesError(f"{got} is not {wanted}: what was measured did not work")


def digest(path: Path) -> str:
    """SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


RIVALS: Final[tuple[Contender, ...]] = (
    Casync("casync"),
    Casync("casync 16K", "4096:16384:65536"),
    Zchunk(),
    Zsync("zsync", packed=False),
    Zsync("zsync -z", packed=True),
)
