"""Bytes become a believed manifest here, or one TrustError. The device's memory of trust.

On disk, in the state directory: `bundle.msgpack`, the accepted bundle, and `fence.json`, what may
never be undercut again. Each is replaced in one step, the bundle first: after a power cut between
the two it is verified again and the fence follows. Damage to either is recovered from the other.
Every method blocks; call them in a thread.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final

from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from p2pupd.errors import (
    ConfigError,
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
from p2pupd.trust.client import Believed
from p2pupd.trust.fence import Fence
from p2pupd.trust.freshness import Floor
from p2pupd.trust.manifest import parse_custom
from p2pupd.trust.settings import TrustSettings
from p2pupd.wire import bundle as wire_bundle
from p2pupd.wire.bundle import Bundle

log = logging.getLogger(__name__)

FENCE_LIMIT: Final = 1024 * 1024
REALM_CHARS: Final = 16


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A manifest without warnings about time, the bundle that proves it, and what was verified."""

    manifest: Manifest
    bundle: bytes
    believed: Believed


class Verifier:
    """Believes bundles, one at a time, each no older than the one before.

    `build_time` (Unix seconds) is when this software was made: it is not earlier. Raises
    ConfigError when the anchor is missing or not the fleet's first TUF root.
    """

    def __init__(self, state_dir: Path, settings: TrustSettings, build_time: int) -> None:
        self._settings = settings
        self._lock = Lock()
        self._bundle_file = make_directory(state_dir, 0o700) / "bundle.msgpack"
        self._fence_file = state_dir / "fence.json"
        self._anchor = self._read_anchor()
        self._first = client.signed_digest(client.FIRST_ROOT, self._anchor)
        self._fence = self._read_fence(build_time)
        self._accepted: _Accepted | None = None
        self._restore()

    @property
    def realm(self) -> Realm:
        """Which fleet this is: from the pinned root, so that fleets on one LAN do not mix."""
        return Realm(hashlib.sha256(self._anchor).hexdigest()[:REALM_CHARS])

    def current(self) -> Manifest | None:
        """The manifest accepted last."""
        return self._accepted.manifest if self._accepted else None

    def current_bundle(self) -> bytes | None:
        """Its bundle as neighbours get it; the manifest's digest is that of these bytes."""
        return self._accepted.bundle if self._accepted else None

    def accept(self, raw_bundle: bytes, now: WallClock) -> Manifest:
        """Believe `raw_bundle`, durably, or raise.

        A bundle that says nothing new gives the current manifest, its freshness judged again, and
        writes nothing. Raises SignatureError (also for another realm), MetadataError, ExpiredError,
        DowngradeError, or HostError and SpaceError when the disk fails; then what was accepted
        before stays.
        """
        with self._lock:
            if self._accepted and raw_bundle == self._accepted.bundle:
                return self._dated(self._accepted, self._fence.floor, now)
            believed = self._verify(raw_bundle)
            fenced = self._fence.under(believed.keys)
            if self._accepted and _nothing_new(believed, fenced):
                return self._dated(self._accepted, self._fence.floor, now)
            accepted, raised = _weigh(believed, fenced)
            manifest = self._dated(accepted, raised.floor, now)
            write_durably(self._bundle_file, accepted.bundle)
            self._keep(accepted, raised)
            return manifest

    def _verify(self, raw: bytes) -> Believed:
        """Signatures, structure, realm, and the fence; everything but freshness."""
        try:
            files = wire_bundle.decode(raw).files
        except ProtocolError as error:
            raise MetadataError(f"not a manifest bundle: {error}") from error
        believed = client.believe(self._anchor, files, self._settings)
        self._fence.under(believed.keys).check(believed.versions)
        number = self._fence.versions.get("root", 1)
        self._fence.check_root(_root_digest(believed, number))
        return believed

    def _dated(self, accepted: _Accepted, floor: Floor, now: WallClock) -> Manifest:
        """The manifest with the warnings of `now`. Raises ExpiredError."""
        expires, manifest = accepted.believed.expires, accepted.manifest
        freshness.check_expiry(expires, freshness.reference_time(floor, now))
        found = freshness.findings(expires, manifest.issued, now, self._settings)
        return replace(manifest, warnings=found + manifest.warnings)

    def _keep(self, accepted: _Accepted, raised: Fence) -> None:
        if raised != self._fence:
            write_durably(self._fence_file, raised.encode())
        self._fence = raised
        self._accepted = accepted

    def _restore(self) -> None:
        """Believe again what was accepted before the restart, at the floor it was accepted at."""
        if not self._bundle_file.exists():
            return
        try:
            believed = self._verify(read_bounded(self._bundle_file, wire_bundle.MAX_BYTES))
            accepted, raised = _weigh(believed, self._fence.under(believed.keys))
            freshness.check_expiry(believed.expires, raised.floor.at_least)
        except (TrustError, HostError) as error:
            log.warning("trust.bundle_lost reason=%s error=%s", error.reason, error)
        else:
            self._keep(accepted, raised)

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
        if signed.version != 1:
            raise ConfigError(
                f"trust.root: {path} is root version {signed.version}; install the repository's "
                f"metadata/{client.FIRST_ROOT}, which names the fleet; later ones follow from it"
            )
        return raw

    def _read_fence(self, build_time: int) -> Fence:
        fresh = Fence(floor=Floor(build=build_time), anchor=self._first)
        if not self._fence_file.exists():
            return fresh
        try:
            found = fence.decode(read_bounded(self._fence_file, FENCE_LIMIT), build_time)
        except HostError as error:
            log.error("trust.fence_unreadable error=%s", error)
            return fresh
        if found is None:
            log.error("trust.fence_damaged file=%s", self._fence_file)
        elif found.anchor != self._first:
            log.warning("trust.anchor_replaced file=%s", self._settings.root)
        else:
            return found
        return fresh


def _weigh(believed: Believed, fenced: Fence) -> tuple[_Accepted, Fence]:
    """The manifest of what was verified, and the fence raised to it. Raises MetadataError."""
    floor = _raised(fenced.floor, believed)
    releases, unread = _releases(believed)
    bundle = wire_bundle.encode(Bundle(believed.files))
    manifest = Manifest(
        digest=wire_bundle.digest(bundle),
        timestamp_version=believed.versions["timestamp"],
        releases=releases,
        issued=_raised(Floor(), believed).at_least,
        expires=min(believed.expires.values()),
        warnings=unread,
    )
    raised = replace(
        fenced,
        versions=fenced.versions | believed.versions,
        keys=fenced.keys | believed.keys,
        floor=floor,
        root=_root_digest(believed, believed.versions["root"]),
    )
    return _Accepted(manifest, bundle, believed), raised


def _root_digest(believed: Believed, version: int) -> str:
    name = f"{version}.root.json"
    return client.signed_digest(name, believed.files[name])


def _nothing_new(believed: Believed, fenced: Fence) -> bool:
    """TUF specification 5.4.3: an equal timestamp version is no update, whatever it says."""
    return all(
        believed.versions[role] == fenced.versions.get(role) for role in ("root", "timestamp")
    )


def _raised(floor: Floor, believed: Believed) -> Floor:
    issued, expires = believed.issued, believed.expires
    return floor.raised(
        issued["root"],
        issued["targets"],
        issued["timestamp"],
        expires["root"],
        expires["targets"],
    )


def _releases(believed: Believed) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """What this software can read, and a warning for each target that it cannot.

    A target without `custom` is none of ours. Raises MetadataError when none could be read.
    """
    releases: list[Release] = []
    unread: list[MetadataError] = []
    for each in believed.targets:
        if each.custom is None:
            continue
        try:
            digest = each.hashes.get("sha256", "")
            releases.append(parse_custom(each.custom, each.path, each.length, digest))
        except MetadataError as error:
            unread.append(error)
    if unread and not releases:
        raise unread[0]
    strays = [f"target {path}: ignored, its role may not sign there" for path in believed.strays]
    return tuple(releases), (*map(str, unread), *strays)
