"""Bytes become a believed manifest here, or one TrustError. The device's memory of trust.

On disk, in the state directory: `bundle.msgpack`, the accepted bundle, and `fence.json`, what may
never be undercut again. The bundle is written first: after a power cut between the two it is
verified again and the fence follows. Every method blocks; call them in a thread.
"""

import hashlib
import logging
from pathlib import Path
from threading import Lock
from typing import Final

from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from p2pupd.errors import (
    ConfigError,
    ExpiredError,
    HostError,
    MetadataError,
    ProtocolError,
    TrustError,
    UpdateError,
)
from p2pupd.host.files import make_directory, read_bounded, write_durably
from p2pupd.model.clock import WallClock
from p2pupd.model.ids import Realm
from p2pupd.model.release import Manifest, Release
from p2pupd.trust import client, fence, freshness
from p2pupd.trust.fence import Fence
from p2pupd.trust.freshness import Floor
from p2pupd.trust.manifest import parse_custom
from p2pupd.trust.settings import TrustSettings
from p2pupd.wire import bundle as wire_bundle
from p2pupd.wire.bundle import Bundle

log = logging.getLogger(__name__)

FENCE_LIMIT: Final = 64 * 1024
REALM_CHARS: Final = 16


class Verifier:
    """Believes bundles, one at a time, each no older than the one before.

    Raises ConfigError at construction when the anchor is missing or not TUF root metadata.
    """

    def __init__(self, state_dir: Path, settings: TrustSettings, build_time: int) -> None:
        self._settings = settings
        self._lock = Lock()
        self._bundle_file = make_directory(state_dir, 0o700) / "bundle.msgpack"
        self._fence_file = state_dir / "fence.json"
        self._anchor = self._read_anchor()
        self._fence = self._read_fence(build_time)
        self._manifest: Manifest | None = None
        self._bundle: bytes | None = None
        self._restore()

    @property
    def realm(self) -> Realm:
        """Which fleet this is: from the pinned root, so that fleets on one LAN do not mix."""
        return Realm(hashlib.sha256(self._anchor).hexdigest()[:REALM_CHARS])

    def current(self) -> Manifest | None:
        """The manifest accepted last."""
        return self._manifest

    def current_bundle(self) -> bytes | None:
        """Its bundle as neighbours get it; the manifest's digest is that of these bytes."""
        return self._bundle

    def accept(self, raw_bundle: bytes, now: WallClock) -> Manifest:
        """Believe `raw_bundle`, durably, or raise.

        A bundle that says nothing new gives the current manifest and writes nothing. Raises
        SignatureError, MetadataError, ExpiredError, DowngradeError, or HostError and SpaceError
        when the disk fails; then what was accepted before stays.
        """
        with self._lock:
            if raw_bundle == self._bundle and self._manifest is not None:
                return self._manifest
            manifest, kept, raised = self._verify(raw_bundle, now)
            if self._manifest is not None and raised.versions == self._fence.versions:
                return self._manifest
            write_durably(self._bundle_file, kept)
            self._keep(manifest, kept, raised)
            return manifest

    def _verify(self, raw: bytes, now: WallClock) -> tuple[Manifest, bytes, Fence]:
        try:
            files = wire_bundle.decode(raw).files
        except ProtocolError as error:
            raise MetadataError(f"not a manifest bundle: {error}") from error
        before = freshness.reference_time(self._fence.floor, now)
        believed = client.run(self._anchor, files, before, self._settings)
        fenced = self._fence.under(believed.root)
        fenced.check(believed.versions)
        floor = _raise(fenced.floor, believed)
        _check_expiry(believed, freshness.reference_time(floor, now))
        issued = max(believed.issued.values())
        warnings = freshness.findings(believed.expires, issued, now, self._settings)
        kept = wire_bundle.encode(Bundle(believed.files))
        manifest = Manifest(
            digest=wire_bundle.digest(kept),
            timestamp_version=believed.versions["timestamp"],
            releases=_releases(believed),
            issued=issued,
            expires=min(believed.expires.values()),
            warnings=warnings,
        )
        prints = {role: fence.fingerprint(believed.root, role) for role in fence.TOP_ROLES}
        return manifest, kept, Fence(fenced.versions | believed.versions, prints, floor)

    def _keep(self, manifest: Manifest, kept: bytes, raised: Fence) -> None:
        if raised != self._fence:
            write_durably(self._fence_file, raised.encode())
        self._fence = raised
        self._manifest = manifest
        self._bundle = kept

    def _restore(self) -> None:
        """Believe again what was accepted before the restart, at the floor it was accepted at."""
        if not self._bundle_file.exists():
            return
        floor = WallClock(float(self._fence.floor.at_least), trusted=False)
        try:
            raw = read_bounded(self._bundle_file, wire_bundle.MAX_BYTES)
            self._keep(*self._verify(raw, floor))
        except (TrustError, HostError) as error:
            log.warning("trust.bundle_lost reason=%s error=%s", error.reason, error)

    def _read_anchor(self) -> bytes:
        path = self._settings.root
        try:
            raw = read_bounded(path, self._settings.root_limit)
            signed = Metadata.from_bytes(raw).signed
        except UpdateError as error:
            raise ConfigError(f"trust.root: {error}; install the fleet's root.json") from error
        except DeserializationError as error:
            raise ConfigError(f"trust.root: {path} is not TUF metadata: {error}") from error
        if not isinstance(signed, Root):
            raise ConfigError(f"trust.root: {path} is {signed.type} metadata, not root metadata")
        return raw

    def _read_fence(self, build_time: int) -> Fence:
        fresh = Fence(floor=Floor(build=build_time))
        if not self._fence_file.exists():
            return fresh
        found = fence.decode(read_bounded(self._fence_file, FENCE_LIMIT), build_time)
        if found is None:
            log.error("trust.fence_damaged file=%s", self._fence_file)
        return found or fresh


def _raise(floor: Floor, believed: client.Believed) -> Floor:
    issued, expires = believed.issued, believed.expires
    return floor.raised(
        issued["root"],
        issued["targets"],
        issued["timestamp"],
        expires["root"],
        expires["targets"],
    )


def _check_expiry(believed: client.Believed, reference: int) -> None:
    for role, end in believed.expires.items():
        if end <= reference:
            raise ExpiredError(
                f"{role}.json expired before other metadata in the same bundle was issued; get a "
                "stick with fresh metadata"
            )


def _releases(believed: client.Believed) -> tuple[Release, ...]:
    return tuple(
        parse_custom(each.custom or {}, each.path, each.length, each.hashes.get("sha256", ""))
        for each in believed.targets
    )
