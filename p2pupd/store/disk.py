"""The store on a disk: bounded by a quota, a reserve and a count, safe against kill -9.

A file stays where the swarm wrote it, because the swarm goes on sharing it from there; becoming
verified is only a mark in its sidecar (objects.py).
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from p2pupd.errors import ContentError, FetchError, SpaceError
from p2pupd.host.files import free_bytes, make_directory
from p2pupd.host.layer_files import keep_layer, kept_layer, layer_of_file
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from p2pupd.store import objects
from p2pupd.store.copying import check_length, copy_verified, whole_digest
from p2pupd.store.interface import CopyProgress, StoredObject, StoreUsage
from p2pupd.store.settings import StoreSettings

log = logging.getLogger(__name__)


class DiskStore:
    """A Store in one directory, whose only writer it is. Safe to call from several threads."""

    def __init__(
        self, directory: Path, settings: StoreSettings, now: Callable[[], float] = time.time
    ) -> None:
        """Take over what is there. `now` gives Unix seconds. Raises HostError or SpaceError."""
        self._directory = make_directory(directory, 0o750)
        self._settings = settings
        self._now = now
        self._lock = threading.RLock()
        self._working: defaultdict[Sha256, threading.Lock] = defaultdict(threading.Lock)
        self._protected: frozenset[Sha256] = frozenset()
        self._last: frozenset[Sha256] = frozenset()
        self._layerless: set[Sha256] = set()
        self._objects = {each.artifact.sha256: each for each in objects.load_all(directory)}

    def place(self, artifact: Artifact) -> Path:
        """See Store. A verified object is only marked as used."""
        with self._lock:
            stored = self._matching(artifact)
            if stored is None or not stored.verified:
                self._make_room(artifact)
            stored = stored or StoredObject(
                artifact, self._path(artifact), verified=False, last_used=0
            )
            self._keep(replace(stored, artifact=artifact, last_used=self._now()))
            return stored.path.parent

    def import_from(
        self,
        artifact: Artifact,
        open_source: Callable[[], BinaryIO],
        progress: CopyProgress,
        proved: Sequence[bool] = (),
    ) -> Path:
        """See Store. `progress` gets the bytes that are in place; what it raises ends the copy."""
        with self._work_on(artifact):
            with self._lock:
                stored = self._matching(artifact)
            if stored is None or not stored.verified:
                with open_source() as source:
                    check_length(source, artifact)
                    self._copy(artifact, source, progress, proved)
            progress(artifact.length)
            return self.place(artifact)

    def _copy(
        self,
        artifact: Artifact,
        source: BinaryIO,
        progress: CopyProgress,
        proved: Sequence[bool],
    ) -> None:
        self.place(artifact)
        try:
            copy_verified(self._path(artifact), artifact, source, progress, proved)
        except ContentError:
            if not any(proved):
                self.remove(artifact.sha256)
            raise
        self._mark_verified(artifact)

    def verify(self, artifact: Artifact) -> Path:
        """See Store. An object that is verified already is hashed again: flash forgets."""
        with self._work_on(artifact):
            path = self._path(artifact)
            length = objects.size_of(path)
            if length is None:
                self.remove(artifact.sha256)
                raise ContentError(f"artifact {artifact.sha256} is not in the store")
            length, digest = whole_digest(path)
            if (length, digest) != (artifact.length, artifact.sha256):
                self.remove(artifact.sha256)
                raise ContentError(
                    f"{path} has {length} bytes with SHA-256 {digest}; signed are "
                    f"{artifact.length} bytes with {artifact.sha256}; it was deleted"
                )
            self._mark_verified(artifact)
            return path.parent

    def proved(self, artifact: Artifact) -> Path:
        """See Store."""
        with self._work_on(artifact):
            self._mark_verified(artifact)
            return self._path(artifact).parent

    def layer(self, sha256: Sha256) -> bytes | None:
        """See Store. A file that contradicts its pieces root is read for this once only."""
        stored = self.find(sha256)
        if stored is None or not stored.verified or sha256 in self._layerless:
            return None
        with self._work_on(stored.artifact):
            directory = stored.path.parent
            layer = kept_layer(stored.artifact, directory)
            if layer is None:
                try:
                    layer = layer_of_file(stored.artifact, directory)
                except ContentError as error:
                    log.error("store.no-layer sha256=%s error=%s", sha256, error)
                    self._layerless.add(sha256)
                    return None
                keep_layer(layer, directory)
            return layer.hashes

    def find(self, sha256: Sha256) -> StoredObject | None:
        """See Store."""
        with self._lock:
            return self._objects.get(sha256)

    def objects(self) -> tuple[StoredObject, ...]:
        """See Store."""
        with self._lock:
            return tuple(self._objects.values())

    def protect(self, never: frozenset[Sha256], last: frozenset[Sha256] = frozenset()) -> None:
        """See Store."""
        with self._lock:
            self._protected, self._last = never, last

    def remove(self, sha256: Sha256) -> None:
        """See Store."""
        with self._lock:
            stored = self._objects.pop(sha256, None)
            self._layerless.discard(sha256)
            if stored is not None:
                objects.delete(stored.path.parent)

    def trim(self, most: int) -> tuple[StoredObject, ...]:
        """See Store."""
        with self._lock:
            left = sum(objects.allocated(each) for each in self._objects.values())
            victims = sorted(filter(self._evictable, self._objects.values()), key=self._reluctance)
            removed: list[StoredObject] = []
            for victim in victims:
                if left <= most:
                    break
                left -= objects.allocated(victim)
                self.remove(victim.artifact.sha256)
                removed.append(victim)
                log.info("store.trimmed sha256=%s", victim.artifact.sha256)
            return tuple(removed)

    def usage(self) -> StoreUsage:
        """See Store."""
        with self._lock:
            everything = list(self._objects.values())
            used = sum(objects.allocated(each) for each in everything)
            kept = [each for each in everything if not self._evictable(each)]
            return StoreUsage(used, max(0, self._room(kept)), self._settings.quota)

    # -- one object ------------------------------------------------------------------------------

    def _path(self, artifact: Artifact) -> Path:
        return objects.payload_path(self._directory, artifact)

    def _matching(self, artifact: Artifact) -> StoredObject | None:
        """The object, unless what is there was described differently: then it goes."""
        stored = self._objects.get(artifact.sha256)
        if stored is not None and (
            (stored.artifact.length, stored.artifact.pieces_root)
            != (artifact.length, artifact.pieces_root)
            or (stored.verified and objects.size_of(stored.path) != artifact.length)
        ):
            log.warning("store.contradiction sha256=%s", artifact.sha256)
            self.remove(artifact.sha256)
            return None
        return stored

    def _keep(self, stored: StoredObject) -> None:
        objects.save(stored)
        self._objects[stored.artifact.sha256] = stored

    def _mark_verified(self, artifact: Artifact) -> None:
        with self._lock:
            if objects.size_of(self._path(artifact)) != artifact.length:
                raise FetchError(f"artifact {artifact.sha256} was removed while it was worked on")
            self._keep(StoredObject(artifact, self._path(artifact), True, self._now()))
            log.info("store.verified sha256=%s bytes=%d", artifact.sha256, artifact.length)

    @contextmanager
    def _work_on(self, artifact: Artifact) -> Iterator[None]:
        """One long operation at a time per object; it is not evicted meanwhile."""
        with self._lock:
            working = self._working[artifact.sha256]
        with working:
            yield

    # -- room ------------------------------------------------------------------------------------

    def _make_room(self, artifact: Artifact) -> None:
        """Evict until the whole artifact fits. Raises SpaceError, and then has evicted nothing."""
        others = [
            each for each in self._objects.values() if each.artifact.sha256 != artifact.sha256
        ]
        kept = [each for each in others if not self._evictable(each)]
        victims = sorted(set(others) - set(kept), key=self._reluctance)
        if not self._fits(artifact, kept):
            raise self._no_space(artifact, kept)
        for number, victim in enumerate(victims):
            if self._fits(artifact, [*kept, *victims[number:]]):
                return
            sha256 = victim.artifact.sha256
            log.warning("store.evicted sha256=%s for=%s", sha256, artifact.sha256)
            self.remove(sha256)

    def _fits(self, artifact: Artifact, kept: list[StoredObject]) -> bool:
        return len(kept) < self._settings.max_objects and self._room(kept) >= artifact.length

    def _room(self, kept: list[StoredObject]) -> int:
        """Bytes that one more artifact may have, or an incoming one altogether, if of all others
        only `kept` stay. What an incoming object of `kept` still lacks counts as taken.
        """
        here = sum(objects.allocated(each) for each in self._objects.values())
        taken = 0
        for each in kept:
            size = objects.allocated(each)
            taken += size if each.verified else max(size, each.artifact.length)
        by_quota = self._settings.quota - taken
        on_disk = free_bytes(self._directory) - self._settings.reserve + here - taken
        return min(by_quota, on_disk)

    def _reluctance(self, stored: StoredObject) -> tuple[bool, float]:
        """What has less of it goes first."""
        return (stored.artifact.sha256 in self._last, stored.last_used)

    def _evictable(self, stored: StoredObject) -> bool:
        sha256 = stored.artifact.sha256
        working = self._working.get(sha256)
        return sha256 not in self._protected and not (working and working.locked())

    def _no_space(self, artifact: Artifact, kept: list[StoredObject]) -> SpaceError:
        if len(kept) >= self._settings.max_objects:
            return SpaceError(
                f"the store {self._directory} holds {len(kept)} artifacts that must stay, and "
                f"store.max_objects is {self._settings.max_objects}; raise it"
            )
        room = max(0, self._room(kept))
        return SpaceError(
            f"the artifact needs {_size(artifact.length)} in the store {self._directory}, and at "
            f"most {_size(room)} can be made free (quota {_size(self._settings.quota)}, disk "
            f"{_size(free_bytes(self._directory))} free of which {_size(self._settings.reserve)} "
            "stay reserved); free the disk, or raise store.quota"
        )


def _size(count: int) -> str:
    """`64.0 MiB`, for people; small ones in bytes."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
