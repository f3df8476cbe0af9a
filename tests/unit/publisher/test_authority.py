"""Making a repository, keeping it fresh and replacing keys: a device must believe every step."""

from pathlib import Path

import pytest

from p2pupd.errors import DowngradeError, HostError, SignatureError, UsageError
from p2pupd.publisher.authority import Signing, initialise, refresh, rotate
from p2pupd.publisher.keys import KeyRing, Sealer
from p2pupd.publisher.proof import load_proven
from p2pupd.publisher.repository import Repository, realm_of
from p2pupd.trust.client import ISSUED
from tests.publishing import DAY, NOW, SETTINGS, Device, Publisher, nobody

ROLES = ("root", "targets", "snapshot", "timestamp", "gateway")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def versions(repository: Repository) -> dict[str, int]:
    return {role: repository.role(role).signed.version for role in ROLES}


def keyids(repository: Repository, role: str) -> list[str]:
    return list(repository.delegator(role).get_delegated_role(role).keyids)


# -- init ------------------------------------------------------------------------------------------


def test_a_new_repository_is_believed_by_a_device(publisher: Publisher, tmp_path: Path) -> None:
    device = Device(tmp_path / "device", publisher.read().anchor)
    assert device.accept(publisher.read()).releases == ()
    assert device.verifier.realm == realm_of(publisher.directory)


def test_roles_lines_thresholds_and_lifetimes_are_as_designed(tmp_path: Path) -> None:
    repository = Publisher(tmp_path, ("gateway", "panel"), root_keys=3).read()
    root = repository.root.signed
    assert root.consistent_snapshot is True
    assert (root.roles["root"].threshold, len(root.roles["root"].keyids)) == (2, 3)
    assert all(len(root.roles[role].keyids) == 1 for role in ("targets", "snapshot", "timestamp"))
    assert len(root.keys) == 6
    delegations = repository.targets.signed.delegations
    assert delegations is not None
    assert delegations.roles is not None
    found = {name: (role.paths, role.terminating) for name, role in delegations.roles.items()}
    assert found == {"gateway": (["gateway/*/*"], True), "panel": (["panel/*/*"], True)}
    days = {
        role: (repository.role(role).signed.expires.timestamp() - NOW) / DAY
        for role in (*ROLES, "panel")
    }
    assert days == {
        "root": 5 * 365,
        "targets": 730,
        "snapshot": 365,
        "timestamp": 180,
        "gateway": 730,
        "panel": 730,
    }
    for role in (*ROLES, "panel"):
        assert repository.role(role).signed.unrecognized_fields[ISSUED] == NOW


def test_the_anchor_is_kept_beside_the_keys(publisher: Publisher) -> None:
    assert (publisher.keys / "root.json").read_bytes() == publisher.read().anchor.read_bytes()


def test_no_key_is_in_the_repository(publisher: Publisher) -> None:
    names = [each.name for each in publisher.directory.rglob("*")]
    assert not [name for name in names if name.endswith(".key")]
    assert len(list(publisher.keys.glob("*.key"))) == 6


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ((), "1 to 16"),
        (("a", "a"), "each once"),
        (tuple(f"line{number}" for number in range(17)), "1 to 16"),
        (("Gateway",), "cannot be the name"),
        (("a/b",), "cannot be the name"),
        (("targets",), "cannot be the name"),
        (("",), "cannot be the name"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, lines: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Publisher(tmp_path, lines)
    assert not (tmp_path / "repository").exists()
    assert not (tmp_path / "keys").exists()


def test_fewer_root_keys_than_the_threshold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 root keys cannot give 2"):
        Publisher(tmp_path, root_keys=1)


def test_keys_inside_the_repository_are_refused(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    signing = Signing(KeyRing((repository / "keys",), nobody), SETTINGS, NOW)
    with pytest.raises(UsageError, match="must not be inside"):
        initialise(repository, ["gateway"], 2, signing, Sealer(None, SETTINGS))


def test_a_repository_is_not_made_twice(publisher: Publisher, tmp_path: Path) -> None:
    before = (publisher.directory / "metadata" / "timestamp.json").read_bytes()
    other = Signing(KeyRing((tmp_path / "other",), nobody), SETTINGS, NOW)
    with pytest.raises(UsageError, match="repository already"):
        initialise(publisher.directory, ["gateway"], 2, other, publisher.sealer)
    with pytest.raises(UsageError, match="keys of another repository"):
        initialise(tmp_path / "new", ["gateway"], 2, publisher.signing(), publisher.sealer)
    assert (publisher.directory / "metadata" / "timestamp.json").read_bytes() == before


# -- refresh ---------------------------------------------------------------------------------------


def test_refresh_signs_a_newer_timestamp_only(publisher: Publisher, tmp_path: Path) -> None:
    before = versions(publisher.read())
    signed, left = refresh(publisher.directory, publisher.signing(later=DAY))
    assert (signed, left) == (["timestamp"], [])
    repository = publisher.read()
    assert versions(repository) == before | {"timestamp": 2}
    assert repository.timestamp.signed.expires.timestamp() == NOW + 181 * DAY
    assert repository.timestamp.signed.unrecognized_fields[ISSUED] == NOW + DAY
    Device(tmp_path / "device", repository.anchor).accept(repository)


def test_refresh_renews_what_would_end_before_the_timestamp(
    publisher: Publisher, tmp_path: Path
) -> None:
    device = Device(tmp_path / "device", publisher.read().anchor)
    device.accept(publisher.read())
    later = 600 * DAY
    signed, left = refresh(publisher.directory, publisher.signing(later))
    assert sorted(signed) == ["gateway", "snapshot", "targets", "timestamp"]
    assert left == []
    device.accept(publisher.read(), later)


def test_a_longer_timestamp_takes_every_role_with_it(publisher: Publisher, tmp_path: Path) -> None:
    signed, _ = refresh(publisher.directory, publisher.signing(), 3000 * DAY)
    assert sorted(signed) == ["gateway", "root", "snapshot", "targets", "timestamp"]
    repository = publisher.read()
    for role in ROLES:
        assert repository.role(role).signed.expires.timestamp() == NOW + 3000 * DAY
    Device(tmp_path / "device", repository.anchor).accept(repository, 2999 * DAY)


def test_refresh_says_which_offline_keys_are_due(publisher: Publisher) -> None:
    for role in ("root", "targets", "gateway"):
        publisher.key_file(role).unlink()
    signed, left = refresh(publisher.directory, publisher.signing(), 3000 * DAY)
    assert sorted(signed) == ["snapshot", "timestamp"]
    assert sorted(left) == ["gateway", "root", "targets"]


def test_refresh_needs_the_online_keys(publisher: Publisher) -> None:
    publisher.key_file("timestamp").unlink()
    with pytest.raises(UsageError, match="timestamp must be signed by 1"):
        refresh(publisher.directory, publisher.signing())
    assert publisher.read().timestamp.signed.version == 1


def test_a_clock_that_went_back_signs_nothing(publisher: Publisher) -> None:
    refresh(publisher.directory, publisher.signing(later=-3599))
    with pytest.raises(HostError, match="set the clock") as caught:
        refresh(publisher.directory, publisher.signing(later=-2 * DAY))
    assert caught.value.reason == "clock-behind"
    assert publisher.read().timestamp.signed.version == 2


# -- rotate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_a_device_follows_the_rotation_of(role: str, publisher: Publisher, tmp_path: Path) -> None:
    publisher.add(1)
    known = Device(tmp_path / "known", publisher.read().anchor)
    known.accept(publisher.read())
    before, replayed = publisher.read(), publisher.read().current_files()
    old, new = rotate(publisher.directory, role, None, publisher.signing(DAY), publisher.sealer)
    after = publisher.read()
    assert old == keyids(before, role)[0]
    assert keyids(after, role) == [*keyids(before, role)[1:], new]
    assert old not in after.root.signed.keys
    publisher.key_file(role).unlink()
    publisher.add(2, later=2 * DAY)
    unknown = Device(tmp_path / "unknown", after.anchor)
    for device in (known, unknown):
        releases = device.accept(publisher.read(), 2 * DAY).releases
        assert [each.release for each in releases] == [1, 2]
    with pytest.raises(DowngradeError):
        known.accept(replayed, 2 * DAY)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "gateway"])
def test_a_lost_key_is_replaced_without_it(role: str, publisher: Publisher, tmp_path: Path) -> None:
    publisher.key_file(role).unlink()
    rotate(publisher.directory, role, None, publisher.signing(), publisher.sealer)
    publisher.add(1)
    Device(tmp_path / "device", publisher.read().anchor).accept(publisher.read())


def test_every_key_can_be_replaced_one_after_the_other(
    publisher: Publisher, tmp_path: Path
) -> None:
    device = Device(tmp_path / "device", publisher.read().anchor)
    for step, role in enumerate((*ROLES, *ROLES, "root", "root"), start=1):
        rotate(publisher.directory, role, None, publisher.signing(step), publisher.sealer)
        device.accept(publisher.read(), step)
    assert publisher.read().root.signed.version == 11
    assert load_proven(publisher.directory, [publisher.keys]).root.signed.version == 11


def test_a_lost_root_key_is_replaced_by_those_that_are_left(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path, root_keys=3)
    lost = publisher.key_file("root")
    keyid = next(
        each for each in keyids(publisher.read(), "root") if lost.name.endswith(f"{each[:8]}.key")
    )
    lost.unlink()
    old, _ = rotate(publisher.directory, "root", keyid[:8], publisher.signing(), publisher.sealer)
    assert old == keyid
    Device(tmp_path / "device", publisher.read().anchor).accept(publisher.read())


def test_root_is_rotated_where_only_root_keys_are(publisher: Publisher, tmp_path: Path) -> None:
    for role in ROLES[1:]:
        publisher.key_file(role).unlink()
    rotate(publisher.directory, "root", None, publisher.signing(), publisher.sealer)
    assert versions(publisher.read()) | {"root": 2, "timestamp": 1} == versions(publisher.read())
    Device(tmp_path / "device", publisher.read().anchor).accept(publisher.read())


def test_rotation_without_enough_root_keys_changes_nothing(publisher: Publisher) -> None:
    publisher.key_file("root").unlink()
    before = sorted(publisher.keys.iterdir())
    with pytest.raises(UsageError, match="root must be signed by 2"):
        rotate(publisher.directory, "timestamp", None, publisher.signing(), publisher.sealer)
    assert publisher.read().root.signed.version == 1
    assert sorted(publisher.keys.iterdir()) == before


@pytest.mark.parametrize(
    ("role", "retired", "complaint"),
    [
        ("panel", None, "no role 'panel'"),
        ("timestamp", "zzzz", "0 keys that begin with 'zzzz'"),
        ("root", "", "2 keys that begin with ''"),
    ],
)
def test_what_cannot_be_rotated_is_said(
    publisher: Publisher, role: str, retired: str | None, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        rotate(publisher.directory, role, retired, publisher.signing(), publisher.sealer)


def test_old_keys_alone_no_longer_convince_anybody(publisher: Publisher, tmp_path: Path) -> None:
    stolen = publisher.key_file("timestamp")
    rotate(publisher.directory, "timestamp", None, publisher.signing(), publisher.sealer)
    for path in publisher.keys.glob("timestamp-*.key"):
        if path != stolen:
            path.unlink()
    with pytest.raises(UsageError, match="timestamp must be signed"):
        refresh(publisher.directory, publisher.signing())
    repository = publisher.read()
    repository.timestamp.signed.version += 1
    ring = publisher.signing().ring
    old = next(each for each in ring._files() if stolen.name.endswith(f"{each[:8]}.key"))
    repository.timestamp.signatures.clear()
    repository.timestamp.sign(ring.open([old], least=1, role="timestamp")[0])
    forged = repository.metadata_directory / "timestamp.json"
    forged.write_bytes(repository.timestamp.to_bytes())
    with pytest.raises(SignatureError):
        Device(tmp_path / "device", repository.anchor).accept(publisher.read())
