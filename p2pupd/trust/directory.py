"""The device's verifier over a directory and a repository's URL, as plain TUF clients work.

The directory holds what is trusted under unversioned names (`root.json`, `timestamp.json`, ...),
`root_history/`, and without the ending `.json` the `anchor` and the `version-fence`. A refresh
works on a copy; what it verified is promoted file by file, each durably, once it has passed the
fence. Where the bytes come from is the caller's: a function from URL to status and content.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar
from urllib.parse import quote

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Timestamp

from p2pupd.errors import ConfigError, MetadataError
from p2pupd.host.files import host_error, make_directory, read_bounded, write_durably
from p2pupd.trust import fence
from p2pupd.trust.client import Client, Source, our_error, top_keys
from p2pupd.trust.fence import Fence
from p2pupd.trust.settings import TrustSettings

FENCE_LIMIT: Final = 1024 * 1024
HISTORY: Final = "root_history"

S = TypeVar("S", Root, Timestamp, Snapshot)


class MetadataDirectory:
    """A TUF client's trusted metadata. The clock counts as trusted; `now` is Unix seconds."""

    def __init__(self, path: Path, limits: TrustSettings) -> None:
        self._path = path
        self._limits = limits
        self._fence_file = path / "version-fence"

    def start(self, root: Path) -> None:
        """Trust the root metadata in `root` from now on. Raises HostError, SpaceError."""
        raw = read_bounded(root, self._limits.root_limit)
        make_directory(self._path)
        write_durably(self._path / "anchor", raw)
        write_durably(self._path / "root.json", raw)

    def refresh(self, url: str, source: Source, now: float) -> None:
        """Bring the top-level roles up to date from `url`.

        What could be verified before a failure is kept. Raises a TrustError saying which file and
        why, ConfigError without an anchor, HostError, SpaceError.
        """
        with self._staged(url, source, now) as client, self._promoting(client):
            client.refresh()

    def download(
        self, url: str, source: Source, now: float, *, target: str, base: str, to: Path
    ) -> Path:
        """Refresh, then bring `target` from under the URL `base` into the directory `to`.

        A file that is already there with the right digest is not brought again. The file's name is
        the quoted target path. Raises as `refresh` does, MetadataError for an unknown target.
        """
        with self._staged(url, source, now) as client:
            with self._promoting(client):
                info = client.get_targetinfo(target)
            if info is None:
                raise MetadataError(f"there is no target {target}")
            make_directory(to)
            path = str(to / quote(target, ""))
            if client.find_cached_target(info, path) is None:
                client.download_target(info, path, base)
        return Path(path)

    @contextmanager
    def _staged(self, url: str, source: Source, now: float) -> Iterator[Client]:
        """A client on a copy of the directory, its errors turned into ours."""
        anchor = self._read_anchor()
        reference = datetime.fromtimestamp(now, UTC)
        asked = "anchor"
        try:
            with TemporaryDirectory(prefix="p2pupd-trust-") as staged:
                self._copy_to(Path(staged))
                client = Client(
                    Path(staged),
                    url,
                    source,
                    anchor=anchor,
                    reference=reference,
                    limits=self._limits,
                )
                try:
                    yield client
                finally:
                    asked = client.asked
        except (RepositoryError, DownloadError) as error:
            raise our_error(error, asked) from error
        except OSError as error:
            raise host_error(error, f"keep the metadata of {self._path}") from error

    @contextmanager
    def _promoting(self, client: Client) -> Iterator[None]:
        """At the end, also after a failure, keep what was verified.

        python-tuf writes nothing into its directory that it did not verify.
        """
        try:
            yield
        finally:
            self._promote(client.directory)

    def _read_anchor(self) -> bytes:
        path = self._path / "anchor"
        if not path.is_file():
            raise ConfigError(f"{self._path} has no trusted root yet; run `init ROOT` first")
        return read_bounded(path, self._limits.root_limit)

    def _copy_to(self, staged: Path) -> None:
        for file in self._path.glob("*.json"):
            shutil.copyfile(file, staged / file.name)
        if (self._path / HISTORY).is_dir():
            shutil.copytree(self._path / HISTORY, staged / HISTORY)

    def _promote(self, staged: Path) -> None:
        changed: dict[str, bytes] = {}
        for file in sorted([*(staged / HISTORY).iterdir(), *staged.glob("*.json")]):
            name = str(file.relative_to(staged))
            content = file.read_bytes()
            kept = self._path / name
            if not kept.is_file() or kept.read_bytes() != content:
                changed[name] = content
        raised = self._fenced(changed, (staged / "root.json").read_bytes())
        make_directory(self._path / HISTORY)
        for name, content in changed.items():
            write_durably(self._path / name, content)
        if raised is not None:
            write_durably(self._fence_file, raised.encode())

    def _fenced(self, changed: dict[str, bytes], root: bytes) -> Fence | None:
        """The fence raised to `changed`, None if it stays. Raises DowngradeError."""
        before = Fence()
        if self._fence_file.exists():
            raw = read_bounded(self._fence_file, FENCE_LIMIT)
            before = fence.decode(raw, build=0) or before
        trusted = _signed(root, Root)
        keys = top_keys(trusted)
        versions = {"root": trusted.version}
        if "timestamp.json" in changed:
            versions["timestamp"] = _signed(changed["timestamp.json"], Timestamp).version
        if "snapshot.json" in changed:
            snapshot = _signed(changed["snapshot.json"], Snapshot)
            versions["snapshot"] = snapshot.version
            for name, meta in snapshot.meta.items():
                versions[name.removesuffix(".json")] = meta.version
        fenced = before.under(keys)
        fenced.check(versions)
        raised = Fence(versions=fenced.versions | versions, keys=keys)
        return None if raised == before else raised


def _signed(raw: bytes, kind: type[S]) -> S:
    signed = Metadata.from_bytes(raw).signed
    assert isinstance(signed, kind)
    return signed
