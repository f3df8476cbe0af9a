"""A signed repository for tests: unprotected keys, quick to make, at a time of one's choice."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from p2pupd.model.clock import WallClock
from p2pupd.model.release import Manifest, Release
from p2pupd.model.setting import Bytes
from p2pupd.publisher import releases
from p2pupd.publisher.authority import Signing, initialise
from p2pupd.publisher.keys import KeyRing, Sealer
from p2pupd.publisher.releases import Description
from p2pupd.publisher.repository import Repository, load
from p2pupd.publisher.settings import PublisherSettings
from p2pupd.trust.settings import TrustSettings
from p2pupd.trust.verifier import Verifier
from p2pupd.wire import bundle as wire

NOW = 1_800_000_000
DAY = 86400
SETTINGS = PublisherSettings(kdf_operations=1, kdf_memory=Bytes(8192))
"""As in production, but passphrases are stretched in a millisecond."""


def nobody(_: Path, __: int) -> bytes | None:
    """Answers no question for a passphrase."""
    return None


class Publisher:
    """A release engineer with a repository at `directory` and the keys beside it."""

    def __init__(
        self,
        directory: Path,
        lines: tuple[str, ...] = ("gateway",),
        threshold: int = 2,
        root_keys: int = 2,
        now: int = NOW,
    ) -> None:
        self._settle(directory, threshold, now)
        initialise(self.directory, lines, root_keys, self.signing(), self.sealer)

    @classmethod
    def at(cls, directory: Path, threshold: int = 2, now: int = NOW) -> "Publisher":
        """The publisher whose repository and keys are in `directory` already."""
        publisher = cls.__new__(cls)
        publisher._settle(directory, threshold, now)
        return publisher

    def _settle(self, directory: Path, threshold: int, now: int) -> None:
        self.directory = directory / "repository"
        self.keys = directory / "keys"
        self.settings = replace(SETTINGS, threshold=threshold)
        self.sealer = Sealer(None, self.settings)
        self.now = now

    def signing(self, later: int = 0) -> Signing:
        """With every key, `later` seconds after the repository was made."""
        return Signing(KeyRing((self.keys,), nobody), self.settings, self.now + later)

    def read(self) -> Repository:
        return load(self.directory)

    def image(self, size: int = 100_000, seed: int = 0) -> Path:
        """A file of that size whose content no other one has."""
        path = self.directory.with_name(f"image-{size}-{seed}.img")
        path.write_bytes(hashlib.shake_256(path.name.encode()).digest(size))
        return path

    def add(
        self,
        number: int = 1,
        *,
        size: int = 100_000,
        later: int = 0,
        image: Path | None = None,
        raw: bool = True,
        **said: Any,
    ) -> Release:
        """Release `number` of `gateway-os` for `acme-gw2`, unless `said` otherwise."""
        plain = Description("gateway-os", f"1.{number}", ("acme-gw2",), release=number)
        image = image or self.image(size, seed=number)
        described, signing = replace(plain, **said), self.signing(later)
        return releases.add(self.directory, image, described, signing, lambda _: None, raw=raw)

    def key_file(self, role: str) -> Path:
        """The oldest key file of `role`."""
        return min(self.keys.glob(f"{role}-*.key"), key=lambda each: each.stat().st_mtime_ns)


class Device:
    """What a device with this fleet's anchor believes, at the publisher's time."""

    def __init__(self, state: Path, anchor: Path) -> None:
        self.verifier = Verifier(state, TrustSettings(root=anchor), build_time=0)

    def accept(self, given: Repository | dict[str, bytes], later: int = 0) -> Manifest:
        """Give it a repository's current bundle, or these files, `later` seconds after NOW."""
        files = given.current_files() if isinstance(given, Repository) else given
        bundle = wire.encode(wire.Bundle(files))
        return self.verifier.accept(bundle, WallClock(float(NOW + later), trusted=True))
