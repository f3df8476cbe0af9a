"""How an image travels: in a chunk pack, unless that cannot pay."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from p2pupd.core.merkle import piece_length_of_pack
from p2pupd.delta.files import OpenFile, opened
from p2pupd.delta.header import Header
from p2pupd.delta.interface import Progress
from p2pupd.delta.limits import MAGIC
from p2pupd.delta.matching import ImageSource, PackSource, Source
from p2pupd.delta.reading import Reader
from p2pupd.delta.solid import Solid, solid
from p2pupd.delta.unpacking import header_of
from p2pupd.delta.writing import pack
from p2pupd.errors import HostError, PackError
from p2pupd.model.release import Image
from p2pupd.publisher.forecast import Forecast, against

PAYING: Final = 0.98
"""What is compressed as a whole travels in a pack only where that has this share of it at the most,
or brings an update from the release before to that share."""

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Older:
    """What devices have: a release before, or a file. `name` is for people."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Packing:
    """What to do with an image: `raw` carries it as it is, `before` is the latest release.

    `tell` hears what an engineer should know, in a line.
    """

    raw: bool = False
    before: Older | None = None
    tell: Tell = lambda _: None


@dataclass(frozen=True, slots=True)
class Held:
    """The bytes of a release as a device holds them; `pack` where they are one."""

    source: Source
    pack: Reader | None


@contextmanager
def held(older: Older) -> Iterator[Held]:
    """An image or a pack, in a file or on a block device. Raises HostError, PackError."""
    with opened(older.path) as file:
        if file.read_at(0, len(MAGIC)) == MAGIC:
            source = PackSource(file, header_of(file))
            yield Held(source, source.reader)
        else:
            yield Held(ImageSource(file), None)


def pack_into(
    image: OpenFile,
    target: BinaryIO,
    spool: BinaryIO,
    packing: Packing,
    progress: Progress,
) -> Image | None:
    """Write the pack of `image` to `target`; what it unpacks to, or None if it should not travel.

    It should not where the image is compressed as a whole and its pack would neither be smaller nor
    save anything. The same image, the same pack of the release before and the same version of
    p2pupd make the same pack. `spool` is an empty file for reading and writing. Raises PackError,
    HostError, and OSError where a file cannot be written.
    """
    if packing.raw:
        return None
    kind = solid(image)
    with ExitStack() as stack:
        before = _before(packing, stack)
        earlier = before.pack if before else None
        header = pack(image, target, spool, progress, earlier=earlier)
        update = _update(header, before)
    if kind is not None:
        packing.tell(_warning(image, kind))
    length, share = header.pack_length, header.pack_length / image.size
    costs = f"the pack has {length} bytes, {share:.1%} of the image's {image.size}"
    if update is not None and packing.before is not None:
        costs += f"; with {packing.before.name} a device fetches {update.wire} ({update.share:.1%})"
    travels = min(share, update.share if update else 1.0)
    if kind is not None and travels >= PAYING:
        packing.tell(f"carried as it is, because a pack would not pay: {costs}")
        return None
    packing.tell(costs)
    return Image(header.image_length, header.image_sha256)


def _before(packing: Packing, stack: ExitStack) -> Held | None:
    """Open as long as `stack` is; None where there is none that can be used."""
    if packing.before is None:
        return None
    try:
        return stack.enter_context(held(packing.before))
    except (HostError, PackError) as error:
        packing.tell(f"warning: {packing.before.name} is not taken into account: {error}")
        return None


def _update(header: Header, before: Held | None) -> Forecast | None:
    if before is None:
        return None
    piece_length = piece_length_of_pack(header.pack_length)
    return against(header, piece_length, [before.source], lambda _: None)


def _warning(image: OpenFile, kind: Solid) -> str:
    return (
        f"warning: {image.path.name} is {kind.kind}; a small change in it changes most of what "
        f"follows, so updates travel nearly whole: {kind.instead}"
    )
