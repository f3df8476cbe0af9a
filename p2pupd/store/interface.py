"""The contract of the store: where payload bytes wait, and how they become verified."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact

CopyProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """Bytes: `used` on disk by this store, `free` that another artifact may still take.

    `free` is the smaller of quota minus used and disk minus reserve, plus what may be evicted.
    """

    used: int
    free: int
    quota: int


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One artifact on disk. `verified` is durable: its whole SHA-256 was once computed here, or
    each of its pieces was proved by the signed pieces root, which is as strong.
    """

    artifact: Artifact
    path: Path
    verified: bool
    last_used: float


class Store(Protocol):
    """All methods block (disk); the engine calls them in a thread."""

    def place(self, artifact: Artifact) -> Path:
        """Make room and return the directory in which `artifact.pieces_root` may be written.

        Evicts unprotected objects, oldest use first. Raises SpaceError before a byte is written.
        """

    def import_from(
        self,
        artifact: Artifact,
        open_source: Callable[[], BinaryIO],
        progress: CopyProgress,
        proved: Sequence[bool] = (),
    ) -> Path:
        """Copy, hashing on the way, continuing after what an earlier attempt left.

        Pieces of it that are `proved` outlive a source with wrong bytes, and then the file stays.

        Reads at most `artifact.length` bytes. Returns the directory. Raises SourceGone (the stick
        was pulled; the copied part stays), ContentError (wrong bytes; nothing stays), SpaceError.
        """

    def verify(self, artifact: Artifact) -> Path:
        """Check the whole SHA-256 of a file that the swarm completed, durably mark it verified.

        Raises ContentError and deletes the file where the digest is wrong or the length is.
        """

    def layer(self, sha256: Sha256) -> bytes | None:
        """The encoded piece layer of a verified object, proved; None where there is no such object.

        Reads the whole file where it is asked for the first time. Raises HostError or SpaceError.
        """

    def proved(self, artifact: Artifact) -> Path:
        """Durably mark a file verified each piece of which the swarm has proved and made durable.

        Does not read it: whoever installs it calls `verify`. Raises FetchError where the file is
        not as long as signed.
        """

    def find(self, sha256: Sha256) -> StoredObject | None:
        """The object with that digest, complete or not."""

    def objects(self) -> tuple[StoredObject, ...]:
        """Everything here, verified or incoming."""

    def protect(self, never: frozenset[Sha256], last: frozenset[Sha256] = frozenset()) -> None:
        """`never` are never evicted, such as what is in flight; `last` only when nothing else is
        left to be."""

    def remove(self, sha256: Sha256) -> None:
        """Delete it; unknown digests are fine."""

    def trim(self, most: int) -> tuple[StoredObject, ...]:
        """Delete what is not protected, oldest use first, until at most `most` bytes are used.

        Returns what was deleted.
        """

    def usage(self) -> StoreUsage:
        """What is used and what is still allowed, now."""
