"""The verifier over a directory, as the TUF conformance suite drives it."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from tuf.api.metadata import MetaFile, TargetFile

from p2pupd.errors import (
    ConfigError,
    DowngradeError,
    ExpiredError,
    FetchError,
    HostError,
    MetadataError,
    SignatureError,
)
from p2pupd.trust.directory import MetadataDirectory
from p2pupd.trust.settings import TrustSettings
from tests.tuf_repository import DAY, LINE, NOW, TufRepository

METADATA = "http://host/metadata"
TARGETS = "http://host/targets/"
PATH = "gateway/gateway-os/readme.txt"
CONTENT = b"for people"


class Web:
    """Serves a repository's metadata and targets, and remembers what was asked for."""

    def __init__(self, fleet: TufRepository) -> None:
        self.fleet = fleet
        self.targets: dict[str, bytes] = {}
        self.asked: list[str] = []

    def __call__(self, url: str) -> tuple[int, Iterable[bytes]]:
        self.asked.append(url.rpartition("/")[2])
        url = unquote(url)
        files = self.fleet.files if url.startswith(METADATA) else self.targets
        content = files.get(url.removeprefix(METADATA + "/").removeprefix(TARGETS))
        return (404, ()) if content is None else (200, (content,))

    def put(self, content: bytes = CONTENT) -> None:
        """A file that line `gateway` lists from the next publication on."""
        entry = TargetFile.from_data(PATH, content, ["sha256"])
        self.fleet.lines[LINE].targets[PATH] = entry
        folder, _, name = PATH.rpartition("/")
        self.targets[f"{folder}/{entry.hashes['sha256']}.{name}"] = content


@pytest.fixture
def fleet() -> TufRepository:
    return TufRepository()


@pytest.fixture
def web(fleet: TufRepository) -> Web:
    return Web(fleet)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "metadata"


@pytest.fixture
def trusted(kept: Path, tmp_path: Path, fleet: TufRepository) -> MetadataDirectory:
    anchor = tmp_path / "anchor.json"
    anchor.write_bytes(fleet.files["1.root.json"])
    directory = MetadataDirectory(kept, TrustSettings())
    directory.start(anchor)
    return directory


def refresh(trusted: MetadataDirectory, web: Web, now: float = NOW) -> None:
    trusted.refresh(METADATA, web, now)


def download(trusted: MetadataDirectory, web: Web, to: Path, target: str = PATH) -> Path:
    return trusted.download(METADATA, web, NOW, target=target, base=TARGETS, to=to)


def versions(kept: Path) -> dict[str, str]:
    """Role -> the file as it stands."""
    return {path.stem: path.read_text() for path in kept.glob("*.json")}


def test_a_start_asks_for_nothing_and_keeps_the_root(kept: Path, trusted: object, web: Web) -> None:
    assert versions(kept).keys() == {"root"}
    assert web.asked == []


def test_a_refresh_asks_in_the_order_of_the_specification(
    trusted: MetadataDirectory, web: Web, kept: Path
) -> None:
    refresh(trusted, web)
    assert web.asked == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    assert versions(kept).keys() == {"root", "timestamp", "snapshot", "targets"}
    web.asked.clear()
    refresh(trusted, web)
    assert web.asked == ["2.root.json", "timestamp.json"]


def test_a_new_root_follows_from_the_old_one_and_is_no_link(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, kept: Path
) -> None:
    fleet.publish_root(also=fleet.rotate("root"))
    fleet.publish_root()
    refresh(trusted, web)
    assert (kept / "root.json").read_bytes() == fleet.files["3.root.json"]
    assert not (kept / "root.json").is_symlink()
    web.asked.clear()
    refresh(trusted, web)
    assert web.asked == ["4.root.json", "timestamp.json"]


def test_a_lost_root_is_linked_again_from_the_anchor(
    trusted: MetadataDirectory, web: Web, kept: Path
) -> None:
    refresh(trusted, web)
    (kept / "root.json").unlink()
    refresh(trusted, web)
    assert "root" in versions(kept)


def test_without_an_anchor_nothing_is_asked_for(tmp_path: Path, web: Web) -> None:
    with pytest.raises(ConfigError, match="run `init ROOT` first"):
        refresh(MetadataDirectory(tmp_path, TrustSettings()), web)
    assert web.asked == []


def test_an_anchor_that_is_not_signed_by_itself_is_refused_before_anything_is_asked_for(
    trusted: MetadataDirectory, web: Web, kept: Path, fleet: TufRepository
) -> None:
    (kept / "anchor").write_bytes(fleet.sign("root", [fleet.new_key()]))
    with pytest.raises(SignatureError, match="anchor"):
        refresh(trusted, web)
    assert web.asked == []


def test_what_could_be_verified_before_a_failure_is_kept(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, kept: Path
) -> None:
    fleet.publish_root()
    fleet.signers["snapshot"] = [fleet.new_key()]
    fleet.publish()
    with pytest.raises(SignatureError, match=r"2.snapshot.json"):
        refresh(trusted, web)
    assert versions(kept).keys() == {"root", "timestamp"}
    assert (kept / "root.json").read_bytes() == fleet.files["2.root.json"]


def test_an_expired_root_is_kept_but_nothing_after_it(
    trusted: MetadataDirectory, web: Web, kept: Path
) -> None:
    refresh(trusted, web)
    before = versions(kept)
    web.fleet.publish("targets")
    with pytest.raises(ExpiredError, match=r"root.json is expired"):
        refresh(trusted, web, NOW + 2000 * DAY)
    assert versions(kept) == before


@pytest.mark.parametrize("damage", [b"", b"rubbish"])
def test_a_damaged_timestamp_opens_no_way_back(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, kept: Path, damage: bytes
) -> None:
    old = dict(fleet.files)
    fleet.publish("targets")
    refresh(trusted, web)
    for role in ("timestamp", "snapshot"):
        (kept / f"{role}.json").write_bytes(damage)
    new, fleet.files = fleet.files, old
    with pytest.raises(DowngradeError):
        refresh(trusted, web)
    assert (kept / "timestamp.json").read_bytes() == damage
    fleet.files = new
    refresh(trusted, web)
    assert (kept / "timestamp.json").read_bytes() == new["timestamp.json"]


def test_a_snapshot_that_lists_older_targets_is_refused_although_the_old_one_is_lost(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, kept: Path
) -> None:
    fleet.publish("targets")
    refresh(trusted, web)
    (kept / "snapshot.json").unlink()
    fleet.snapshot.meta["targets.json"] = MetaFile(1)
    fleet.publish()
    with pytest.raises(DowngradeError, match=r"targets.json version 1"):
        refresh(trusted, web)


def test_new_keys_void_the_fence(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository
) -> None:
    fleet.targets.version = fleet.snapshot.version = fleet.timestamp.version = 1000
    fleet.publish("targets")
    refresh(trusted, web)
    fleet.rotate("snapshot")
    fleet.rotate("timestamp")
    fleet.publish_root()
    fleet.targets.version = fleet.snapshot.version = fleet.timestamp.version = 1
    fleet.publish("targets")
    refresh(trusted, web)


def test_a_damaged_fence_is_put_up_again(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, kept: Path
) -> None:
    refresh(trusted, web)
    good = (kept / "version-fence").read_bytes()
    (kept / "version-fence").write_bytes(b"rubbish")
    (kept / "timestamp.json").unlink()
    (kept / "snapshot.json").unlink()
    refresh(trusted, web)
    assert (kept / "version-fence").read_bytes() == good


def test_a_target_is_found_through_its_delegation_and_brought_once(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, tmp_path: Path, kept: Path
) -> None:
    web.put()
    fleet.publish(LINE)
    path = download(trusted, web, tmp_path / "out")
    assert path.read_bytes() == CONTENT
    assert path.parent == tmp_path / "out"
    assert LINE in versions(kept)
    web.asked.clear()
    assert download(trusted, web, tmp_path / "out") == path
    assert web.asked == ["2.root.json", "timestamp.json"]


def test_a_changed_target_replaces_the_old_one(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, tmp_path: Path
) -> None:
    web.put()
    fleet.publish(LINE)
    download(trusted, web, tmp_path)
    web.put(b"more for people")
    fleet.publish(LINE)
    assert download(trusted, web, tmp_path).read_bytes() == b"more for people"


def test_a_target_that_was_swapped_is_refused_and_not_kept(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, tmp_path: Path
) -> None:
    web.put()
    fleet.publish(LINE)
    web.targets = dict.fromkeys(web.targets, b"for thieves")
    with pytest.raises(MetadataError, match=r"readme.txt"):
        download(trusted, web, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_target_fails_after_the_refresh(
    trusted: MetadataDirectory, web: Web, tmp_path: Path, kept: Path
) -> None:
    with pytest.raises(MetadataError, match="no target nowhere"):
        download(trusted, web, tmp_path / "out", target="nowhere")
    assert "targets" in versions(kept)


def test_no_target_is_brought_on_the_word_of_older_metadata(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, tmp_path: Path, kept: Path
) -> None:
    web.put()
    fleet.publish(LINE)
    old = dict(fleet.files)
    fleet.publish(LINE)
    refresh(trusted, web)
    for path in kept.glob("*.json"):
        path.unlink()
    fleet.files = old
    with pytest.raises(DowngradeError):
        download(trusted, web, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("role", ["?", "#", "../up", "/top", "a b"])
def test_a_role_of_any_name_is_a_plain_file(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, tmp_path: Path, role: str
) -> None:
    fleet.delegate(role, ["*"], [fleet.new_key()])
    fleet.publish("targets", role)
    before = set(tmp_path.iterdir())
    with pytest.raises(MetadataError, match="no target"):
        download(trusted, web, tmp_path / "out", target="nowhere")
    assert set(tmp_path.iterdir()) == before
    assert quote(role, "") in versions(tmp_path / "metadata")


def test_a_source_that_fails_leaves_what_was_there(
    trusted: MetadataDirectory, web: Web, kept: Path
) -> None:
    refresh(trusted, web)
    before = versions(kept)

    def broken(url: str) -> tuple[int, Iterable[bytes]]:
        def chunks() -> Iterable[bytes]:
            yield b"{"
            raise FetchError("the line went dead")

        return 200, chunks()

    with pytest.raises(FetchError, match="dead"):
        trusted.refresh(METADATA, broken, NOW)
    assert versions(kept) == before


def test_an_endless_file_is_cut_off(trusted: MetadataDirectory) -> None:
    def endless(url: str) -> tuple[int, Iterable[bytes]]:
        return 200, iter(lambda: bytes(4096), None)

    with pytest.raises(MetadataError, match=r"2.root.json: .*65536"):
        trusted.refresh(METADATA, endless, NOW)


def test_a_place_that_cannot_be_written_is_said(
    trusted: MetadataDirectory, web: Web, fleet: TufRepository, tmp_path: Path
) -> None:
    web.put()
    fleet.publish(LINE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / PATH.replace("/", "%2F")).mkdir()
    with pytest.raises(HostError):
        download(trusted, web, tmp_path / "out")
