"""The contract of a feed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from p2pupd.model.release import Release

ContentOpener = Callable[[Release], BinaryIO]
"""Opens a target's carried file at that source. Raises SourceGone, UnsafeMedia or FetchError.
The engine reads at most the signed length from it, in a thread, and closes it."""


LayerOpener = Callable[[Release], bytes | None]
"""A target's piece layer as that source has it, at most as long as is right, not yet believed;
None where it has none. Blocks. Raises SourceGone, UnsafeMedia or FetchError."""


class RemoteContent(Protocol):
    """A source far away: any part of a target can be asked for. Nothing is believed.

    Both calls wait as long as the source's hours, rates and allowances say, and try again by
    themselves after passing failures. They raise SourceGone when the source gave up (no route, its
    monthly allowance used up, outside its hours) and FetchError when it does not have the target.
    """

    async def layer(self, release: Release) -> bytes | None:
        """The target's encoded piece layer (core.piece_layer), or None where there is none."""

    async def read(self, release: Release, start: int, count: int) -> bytes:
        """`count` bytes from `start`."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A manifest bundle as some source gave it, not yet believed.

    `source` is for people and logs: `usb:/media/stick`, `neighbour:abcd...`, `import:/path`.
    `bundle` is the encoded bundle (wire.bundle). `open_content` is None where the bytes come by
    swarm only; `open_layer` comes with it. `remote` is given instead by an uplink.
    """

    source: str
    bundle: bytes
    open_content: ContentOpener | None = None
    open_layer: LayerOpener | None = None
    remote: RemoteContent | None = None

    @property
    def carries(self) -> bool:
        """Whether the source itself has payload bytes to give."""
        return self.open_content is not None or self.remote is not None


class FeedListener(Protocol):
    """Called on the event loop; must not block."""

    def offer(self, offer: Offer) -> None:
        """A source has this to offer."""

    def source_gone(self, source: str) -> None:
        """The source left; its opener will raise SourceGone from now on."""

    def source_refused(self, source: str, error: Exception) -> None:
        """The source was there but could not be read safely; `error` is an UpdateError."""


class Feed(Protocol):
    """One kind of source. `run` returns only when cancelled."""

    async def run(self, listener: FeedListener) -> None:
        """Watch the source and offer what it has."""
