"""What a device believes, and what it refuses; the bytes come from anybody."""

import json
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from tuf.api.metadata import MetaFile, SuccinctRoles

from p2pupd.errors import (
    ConfigError,
    DowngradeError,
    ExpiredError,
    MetadataError,
    SignatureError,
    TrustError,
)
from p2pupd.model.clock import WallClock
from p2pupd.trust.keys import NaClSigner
from p2pupd.trust.settings import Freshness, TrustSettings
from p2pupd.trust.verifier import Verifier
from p2pupd.wire.bundle import MAX_BYTES, Bundle, decode, digest, encode
from tests.builders import a_release
from tests.tuf_repository import DAY, LINE, NOW, TufRepository
from tests.unit.trust.conftest import Device

SOON = WallClock(NOW + 1000, trusted=True)
THIEF = NaClSigner(SigningKey(bytes(32)))


def refused(verifier: Verifier, raw: bytes, now: WallClock = SOON) -> TrustError:
    """The refusal of `raw`, which leaves everything as it was."""
    before = verifier.current(), verifier.current_bundle()
    with pytest.raises(TrustError) as caught:
        verifier.accept(raw, now)
    assert (verifier.current(), verifier.current_bundle()) == before
    return caught.value


def test_a_bundle_signed_by_the_fleet_becomes_a_manifest(
    device: Device, fleet: TufRepository
) -> None:
    verifier = device()
    manifest = verifier.accept(fleet.bundle(), SOON)
    assert manifest.releases == (a_release(7),)
    kept = verifier.current_bundle()
    assert kept is not None
    assert manifest.digest == digest(kept)
    assert (manifest.issued, manifest.timestamp_version) == (NOW, 2)
    assert manifest.expires == NOW + 180 * DAY
    assert manifest.warnings == ()
    assert verifier.current() == manifest


def test_files_that_belief_does_not_rest_on_are_not_passed_on(
    device: Device, fleet: TufRepository
) -> None:
    verifier = device()
    verifier.accept(fleet.bundle(**{"99_other": b"x", "9_targets": b"{}"}), SOON)
    kept = verifier.current_bundle()
    assert kept is not None
    newest = {"1.root.json", "timestamp.json", "2.snapshot.json", "1.targets.json"}
    assert decode(kept).files.keys() == newest | {"2.gateway.json"}


def test_an_empty_repository_and_plain_tuf_targets_are_no_error(
    device: Device, fleet: TufRepository
) -> None:
    for entry in fleet.lines[LINE].targets.values():
        del entry.unrecognized_fields["custom"]
    fleet.publish(LINE)
    assert device().accept(fleet.bundle(), SOON).releases == ()


class TestSignatures:
    @pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", LINE])
    def test_the_wrong_key_is_refused_for_every_role(
        self, device: Device, fleet: TufRepository, role: str
    ) -> None:
        fleet.signers[role] = [THIEF]
        fleet.publish("targets", LINE)
        error = refused(device(), fleet.bundle())
        assert isinstance(error, SignatureError)
        assert error.code == 14
        assert f"{role}" in str(error)

    def test_metadata_that_was_touched_is_refused(
        self, device: Device, fleet: TufRepository
    ) -> None:
        raw = fleet.files["2.gateway.json"].replace(b'"release": 7', b'"release": 8')
        raw = raw.replace(b'"release":7', b'"release":8')
        assert raw != fleet.files["2.gateway.json"]
        assert isinstance(refused(device(), fleet.bundle(**{"2_gateway": raw})), SignatureError)

    def test_a_delegated_file_that_was_emptied_is_refused_although_no_target_leads_to_it(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.lines[LINE].targets.clear()
        emptied = fleet.sign(LINE, [THIEF])
        error = refused(device(), fleet.bundle(**{"2_gateway": emptied}))
        assert isinstance(error, SignatureError)
        assert "2.gateway.json" in str(error)

    def test_one_of_two_needed_signatures_is_too_few(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.delegate("pair", ["pair/*"], [fleet.new_key(), fleet.new_key()], threshold=2)
        fleet.publish("targets", "pair")
        verifier = device()
        verifier.accept(fleet.bundle(), SOON)
        fleet.signers["pair"].pop()
        fleet.publish("pair")
        error = refused(verifier, fleet.bundle())
        assert isinstance(error, SignatureError)
        assert "1/2" in str(error)

    @pytest.mark.parametrize("signature", [5, None, "zz", {}])
    def test_a_signature_of_any_form_is_refused_without_a_crash(
        self, device: Device, fleet: TufRepository, signature: Any
    ) -> None:
        value = json.loads(fleet.files["timestamp.json"])
        value["signatures"][0]["sig"] = signature
        raw = json.dumps(value).encode()
        assert isinstance(refused(device(), fleet.bundle(timestamp=raw)), TrustError)

    def test_another_fleets_bundle_is_refused_even_if_its_keys_are_ours(
        self, device: Device
    ) -> None:
        stranger = TufRepository(seed="stranger")
        error = refused(device(), stranger.bundle())
        assert isinstance(error, SignatureError)
        assert error.reason == "wrong-realm"
        twin = TufRepository(now=NOW + 1)
        assert refused(device(), twin.bundle()).reason == "wrong-realm"
        without_root = {name: raw for name, raw in stranger.files.items() if "root" not in name}
        assert isinstance(refused(device(), encode(Bundle(without_root))), SignatureError)


class TestStructure:
    @pytest.mark.parametrize("raw", [b"", b"\x00", b"not a bundle", bytes(MAX_BYTES + 1)])
    def test_what_is_no_bundle_is_refused(self, device: Device, raw: bytes) -> None:
        error = refused(device(), raw)
        assert isinstance(error, MetadataError)
        assert "not a manifest bundle" in str(error)

    def test_a_truncated_bundle_is_refused(self, device: Device, fleet: TufRepository) -> None:
        assert isinstance(refused(device(), fleet.bundle()[:-100]), MetadataError)

    @pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.gateway.json"])
    def test_a_missing_file_is_named(self, device: Device, fleet: TufRepository, name: str) -> None:
        del fleet.files[name]
        error = refused(device(), fleet.bundle())
        assert isinstance(error, MetadataError)
        assert name in str(error)

    @pytest.mark.parametrize("raw", [b"", b"{}", b"[" * 50_000, b'{"signed": 1e999}', b"\xff"])
    @pytest.mark.parametrize("name", ["1_root", "1_targets", "2_gateway"])
    def test_a_file_that_is_no_metadata_is_refused(
        self, device: Device, fleet: TufRepository, name: str, raw: bytes
    ) -> None:
        assert isinstance(refused(device(), fleet.bundle(**{name: raw})), MetadataError)

    @pytest.mark.parametrize(
        ("name", "limit"), [("1_root", 64), ("2_snapshot", 64), ("2_gateway", 512), ("x", 4)]
    )
    def test_an_oversized_file_is_refused_whatever_its_parent_says_of_its_length(
        self, device: Device, fleet: TufRepository, name: str, limit: int
    ) -> None:
        raw = b" " * (limit * 1024 + 1)
        fleet.timestamp.snapshot_meta = MetaFile(2, length=10**9)
        fleet.files["timestamp.json"] = raw if name == "x" else fleet.files["timestamp.json"]
        error = refused(device(), fleet.bundle(**({} if name == "x" else {name: raw})))
        assert isinstance(error, MetadataError)
        assert f"at most {limit * 1024} are read" in str(error)

    def test_files_of_different_moments_are_not_mixed(
        self, device: Device, fleet: TufRepository
    ) -> None:
        old = fleet.files["2.gateway.json"]
        fleet.add(8)
        fleet.publish(LINE)
        error = refused(device(), fleet.bundle(**{"3_gateway": old}))
        assert isinstance(error, MetadataError)
        assert "3.gateway.json" in str(error)

    def test_a_file_with_another_digest_than_its_parent_says_is_refused(
        self, device: Device, fleet: TufRepository
    ) -> None:
        raw = fleet.files["2.gateway.json"]
        fleet.snapshot.meta["gateway.json"] = MetaFile.from_data(2, raw, ["sha256"])
        fleet.publish()
        verifier = device()
        error = refused(verifier, fleet.bundle(**{"2_gateway": raw + b" "}))
        assert isinstance(error, MetadataError)
        assert "2.gateway.json" in str(error)
        verifier.accept(fleet.bundle(), SOON)

    def test_more_root_rotations_than_allowed_are_refused_not_ignored(
        self, device: Device, fleet: TufRepository
    ) -> None:
        for _ in range(3):
            fleet.publish_root()
        device(max_root_rotations=3).accept(fleet.bundle(), SOON)
        fleet.publish_root()
        error = refused(device(max_root_rotations=3), fleet.bundle())
        assert "max_root_rotations" in str(error)

    def test_more_delegations_than_allowed_are_refused(
        self, device: Device, fleet: TufRepository
    ) -> None:
        for number in range(16):
            fleet.delegate(f"line-{number}", [f"line-{number}/*/*"], fleet.signers[LINE])
            fleet.publish("targets", f"line-{number}")
        verifier = device(max_delegations=17)
        verifier.accept(fleet.bundle(), SOON)
        assert "max_delegations" in str(refused(device(), fleet.bundle()))

    def test_more_targets_than_allowed_are_refused(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.add(8)
        fleet.publish(LINE)
        assert "2 targets; at most 1" in str(refused(device(max_targets=1), fleet.bundle()))

    def test_hash_bins_are_not_read(self, device: Device, fleet: TufRepository) -> None:
        delegations = fleet.targets.delegations
        assert delegations is not None
        delegations.roles, delegations.succinct_roles = None, SuccinctRoles([], 1, 2, "bin")
        fleet.publish("targets")
        assert "hash bins" in str(refused(device(), fleet.bundle()))


class TestDelegations:
    def test_every_target_of_every_delegation_is_a_release_in_tufs_order(
        self, device: Device, fleet: TufRepository
    ) -> None:
        other = fleet.delegate("drives", ["drives/*/*"], [fleet.new_key()])
        fleet.delegate("pumps", ["drives/pumps/*"], [fleet.new_key()], parent=other)
        fleet.delegate("empty", ["empty/*"], [fleet.new_key()])
        fleet.add(3, "pumps", target="drives/pumps/3.img")
        fleet.add(2, "drives", target="drives/motors/2.img")
        fleet.add(1, "targets", target="anywhere.img")
        fleet.publish("targets", "drives", "pumps", "empty")
        manifest = device().accept(fleet.bundle(), SOON)
        assert [release.release for release in manifest.releases] == [1, 7, 2, 3]

    def test_a_target_outside_its_delegations_pattern_is_ignored_with_a_warning(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.delegate("drives", ["drives/*/*"], [fleet.new_key()])
        fleet.add(9, "drives", target="gateway/gateway-os/9.img")
        fleet.add(2, "drives", target="drives/motors/2.img")
        fleet.publish("targets", "drives")
        manifest = device().accept(fleet.bundle(), SOON)
        assert [release.release for release in manifest.releases] == [7, 2]
        assert [each for each in manifest.warnings if "gateway/gateway-os/9.img: ignored" in each]

    def test_of_two_roles_that_list_one_path_the_first_is_believed(
        self, device: Device, fleet: TufRepository
    ) -> None:
        path = a_release(7).target
        fleet.delegate("second", ["gateway/*/*"], [fleet.new_key()])
        fleet.add(99, "second", target=path)
        fleet.publish("targets", "second")
        assert device().accept(fleet.bundle(), SOON).releases == (a_release(7),)

    def test_delegations_in_a_circle_end(self, device: Device, fleet: TufRepository) -> None:
        line = fleet.lines[LINE]
        other = fleet.delegate("other", ["gateway/*/*"], [fleet.new_key()], parent=line)
        fleet.delegate(LINE, ["gateway/*/*"], fleet.signers[LINE], parent=other)
        fleet.publish(LINE, "other")
        assert device().accept(fleet.bundle(), SOON).releases == (a_release(7),)

    def test_a_delegation_without_its_keys_is_refused(
        self, device: Device, fleet: TufRepository
    ) -> None:
        assert fleet.targets.delegations is not None
        fleet.targets.delegations.keys.clear()
        fleet.publish("targets")
        assert isinstance(refused(device(), fleet.bundle()), SignatureError)


class TestReleases:
    def test_a_release_that_cannot_be_read_is_left_out_with_a_warning(
        self, device: Device, fleet: TufRepository
    ) -> None:
        custom = fleet.add(8).unrecognized_fields["custom"]
        custom["format"] = "pack9"
        fleet.publish(LINE)
        manifest = device().accept(fleet.bundle(), SOON)
        assert manifest.releases == (a_release(7),)
        assert "custom.format: 'pack9'" in manifest.warnings[0]

    def test_a_bundle_of_which_no_release_can_be_read_is_refused(
        self, device: Device, fleet: TufRepository
    ) -> None:
        customs: list[Any] = [{"schema": 2}, [], "text"]
        for custom in customs:
            for entry in fleet.lines[LINE].targets.values():
                entry.unrecognized_fields["custom"] = custom
            fleet.publish(LINE)
            assert isinstance(refused(device(), fleet.bundle()), MetadataError)


class TestDowngrade:
    def test_a_replayed_old_stick_is_refused_also_when_it_has_expired(
        self, device: Device, fleet: TufRepository
    ) -> None:
        old = fleet.bundle()
        fleet.now += 400 * DAY
        fleet.publish("targets", LINE)
        fleet.publish_root()
        verifier = device()
        verifier.accept(fleet.bundle(), WallClock(fleet.now, trusted=True))
        error = refused(verifier, old, WallClock(fleet.now, trusted=True))
        assert isinstance(error, DowngradeError)
        assert error.code == 102
        assert "root.json version 1 is older than version 2" in str(error)

    @pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", LINE])
    def test_no_role_goes_back_even_if_the_others_go_on(
        self, device: Device, fleet: TufRepository, role: str
    ) -> None:
        fleet.publish("targets", LINE)
        verifier = device()
        verifier.accept(fleet.bundle(), SOON)
        fleet.role(role).version -= 2 if role == "timestamp" else 1
        if role in ("targets", LINE):
            fleet.write(role)
        if role == "snapshot":
            fleet.publish_snapshot()
        else:
            fleet.publish()
        error = refused(verifier, fleet.bundle())
        assert isinstance(error, DowngradeError)
        assert f"{role}.json version" in str(error)

    def test_a_timestamp_of_the_same_version_is_no_update_whatever_it_says(
        self, device: Device, fleet: TufRepository
    ) -> None:
        verifier = device()
        before = verifier.accept(fleet.bundle(), SOON)
        fleet.timestamp.version -= 1
        fleet.add(8)
        fleet.publish(LINE)
        assert verifier.accept(fleet.bundle(), SOON) == before
        assert verifier.current() == before


class TestRotation:
    def test_new_keys_void_the_fences_and_the_floor_of_the_old_ones(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.timestamp.version = fleet.snapshot.version = 1_000_000
        fleet.now += 179 * DAY
        fleet.write("snapshot")
        fleet.publish()
        verifier = device()
        verifier.accept(fleet.bundle(), SOON)
        fleet.now -= 179 * DAY
        fleet.rotate("timestamp")
        fleet.rotate("snapshot")
        fleet.publish_root()
        fleet.timestamp.version = fleet.snapshot.version = 10
        fleet.publish("targets", LINE)
        verifier.accept(fleet.bundle(), SOON)
        restarted = device()
        assert restarted.current() == verifier.current()
        fleet.timestamp.version = 9
        fleet.publish()
        assert isinstance(refused(restarted, fleet.bundle()), DowngradeError)

    def test_stolen_timestamp_keys_cannot_expire_what_comes_after_their_rotation(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.now += 700 * DAY
        fleet.publish()
        verifier = device()
        thief = WallClock(NOW, trusted=False)
        verifier.accept(fleet.bundle(), thief)
        fleet.now -= 700 * DAY
        fleet.publish()
        assert isinstance(refused(verifier, fleet.bundle(), thief), ExpiredError)
        fleet.rotate("timestamp")
        fleet.publish_root()
        fleet.publish()
        assert verifier.accept(fleet.bundle(), thief).issued == NOW

    def test_new_keys_of_a_delegation_void_its_fence_alone(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.lines[LINE].version = 1000
        fleet.publish(LINE)
        verifier = device()
        verifier.accept(fleet.bundle(), SOON)
        targets = fleet.targets
        old = fleet.signers[LINE]
        targets.revoke_key(old[0].public_key.keyid, LINE)
        fleet.signers[LINE] = [fleet.new_key()]
        targets.add_key(fleet.signers[LINE][0].public_key, LINE)
        fleet.lines[LINE].version = 1
        fleet.publish("targets", LINE)
        assert verifier.accept(fleet.bundle(), SOON).releases == (a_release(7),)
        fleet.lines[LINE].version = 1
        fleet.write(LINE)
        fleet.publish()
        assert "gateway.json version 1" in str(refused(verifier, fleet.bundle()))

    def test_a_root_must_be_signed_by_the_root_before_it_and_by_itself(
        self, device: Device, fleet: TufRepository
    ) -> None:
        verifier = device()
        old = fleet.rotate("root")
        fleet.publish_root()
        assert isinstance(refused(verifier, fleet.bundle()), SignatureError)
        fleet.files["2.root.json"] = fleet.sign("root", old)
        assert isinstance(refused(verifier, fleet.bundle()), SignatureError)
        fleet.files["2.root.json"] = fleet.sign("root", [*old, *fleet.signers["root"]])
        verifier.accept(fleet.bundle(), SOON)
        fleet.root.version += 1
        assert "3.root.json" in str(
            refused(verifier, fleet.bundle(**{"3_root": fleet.files["2.root.json"]}))
        )

    def test_keys_that_were_rotated_out_cannot_grow_another_root_chain(
        self, device: Device, fleet: TufRepository
    ) -> None:
        stolen = TufRepository()
        stolen.rotate("timestamp")
        for _ in range(3):
            stolen.publish_root()
        stolen.timestamp.version = 100
        stolen.publish("targets", LINE)
        fleet.publish_root(also=fleet.rotate("root"))
        fleet.publish()
        verifier = device()
        verifier.accept(fleet.bundle(), SOON)
        error = refused(verifier, stolen.bundle())
        assert isinstance(error, SignatureError)
        assert error.reason == "forked-root"

    def test_a_root_that_only_got_more_signatures_is_the_same_root(
        self, device: Device, fleet: TufRepository
    ) -> None:
        fleet.publish_root()
        verifier = device()
        before = verifier.accept(fleet.bundle(), SOON)
        again = fleet.sign("root", [*fleet.signers["root"], THIEF])
        assert verifier.accept(fleet.bundle(**{"2_root": again}), SOON) == before


class TestFreshness:
    @pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", LINE, "root"])
    def test_what_expired_by_a_trusted_clock_is_refused_by_role(
        self, device: Device, fleet: TufRepository, role: str
    ) -> None:
        fleet.publish_root()
        fleet.publish("targets", LINE)
        fleet.role(role).expires = fleet.end("timestamp").replace(year=2027, month=2)
        name = (
            "timestamp.json" if role == "timestamp" else f"{fleet.role(role).version}.{role}.json"
        )
        fleet.files[name] = fleet.sign(role, fleet.signers[role])
        verifier = device()
        error = refused(verifier, fleet.bundle(), WallClock(NOW + 100 * DAY, trusted=True))
        assert isinstance(error, ExpiredError)
        assert error.code == 12
        assert f"{role}.json expired on 2027-02-" in str(error)
        verifier.accept(fleet.bundle(), WallClock(NOW, trusted=True))

    def test_a_clock_at_2099_that_nobody_vouches_for_locks_nothing_out(
        self, device: Device, fleet: TufRepository
    ) -> None:
        in_2099 = WallClock(4_100_000_000, trusted=False)
        verifier = device()
        manifest = verifier.accept(fleet.bundle(), in_2099)
        assert manifest.releases == (a_release(7),)
        assert [each for each in manifest.warnings if "timestamp expired" in each]
        assert verifier.accept(fleet.bundle(), SOON).warnings == ()
        fleet.publish(LINE)
        assert verifier.accept(fleet.bundle(), SOON).timestamp_version == 3

    def test_strict_freshness_refuses_what_else_is_a_warning(
        self, device: Device, fleet: TufRepository
    ) -> None:
        verifier = device(freshness=Freshness.STRICT)
        error = refused(verifier, fleet.bundle(), WallClock(4_100_000_000, trusted=False))
        assert (error.code, error.reason) == (12, "not-fresh")
        verifier.accept(fleet.bundle(), SOON)

    def test_metadata_issued_long_ago_is_a_warning(
        self, device: Device, fleet: TufRepository
    ) -> None:
        later = WallClock(NOW + 31 * DAY, trusted=True)
        assert "issued 31 days ago" in device().accept(fleet.bundle(), later).warnings[0]

    def test_the_accepted_bundle_is_judged_again_when_it_is_offered_again(
        self, device: Device, fleet: TufRepository
    ) -> None:
        verifier = device()
        before = verifier.accept(fleet.bundle(), SOON)
        much_later = WallClock(NOW + 200 * DAY, trusted=True)
        assert isinstance(refused(verifier, fleet.bundle(), much_later), ExpiredError)
        padded = fleet.bundle(**{"9_other": b""})
        assert isinstance(refused(verifier, padded, much_later), ExpiredError)
        assert verifier.current() == before

    def test_without_a_clock_the_build_time_and_signed_claims_are_the_time(
        self, device: Device, fleet: TufRepository
    ) -> None:
        in_1970 = WallClock(0, trusted=False)
        newer_software = device(build_time=NOW + 200 * DAY)
        assert isinstance(refused(newer_software, fleet.bundle(), in_1970), ExpiredError)
        verifier = device()
        verifier.accept(fleet.bundle(), in_1970)
        fleet.now += 170 * DAY
        fleet.publish_root()
        fleet.publish(LINE)
        verifier.accept(fleet.bundle(), in_1970)
        fleet.now -= 100 * DAY
        fleet.publish(LINE)
        verifier.accept(fleet.bundle(), in_1970)
        fleet.now -= 100 * DAY
        fleet.publish(LINE)
        assert isinstance(refused(verifier, fleet.bundle(), in_1970), ExpiredError)

    @pytest.mark.parametrize("claim", [10**30, NOW + 3000 * DAY])
    def test_targets_that_claim_to_come_from_the_future_raise_no_floor(
        self, device: Device, fleet: TufRepository, claim: int
    ) -> None:
        fleet.targets.version += 1
        fleet.targets.unrecognized_fields["x-p2pupd-issued"] = claim
        fleet.write("targets")
        fleet.publish()
        verifier = device()
        assert isinstance(refused(verifier, fleet.bundle()), ExpiredError)
        fleet.publish("targets")
        verifier.accept(fleet.bundle(), SOON)

    @pytest.mark.parametrize("claim", [-5, True, "soon", None, []])
    def test_a_claim_of_another_form_is_none(
        self, device: Device, fleet: TufRepository, claim: Any
    ) -> None:
        fleet.publish_root()
        fleet.root.version += 1
        for role in ("root", "targets", "timestamp"):
            fleet.role(role).unrecognized_fields["x-p2pupd-issued"] = claim
        fleet.files["3.root.json"] = fleet.sign("root", fleet.signers["root"])
        fleet.targets.version += 1
        fleet.write("targets")
        fleet.snapshot.version += 1
        fleet.write("snapshot")
        fleet.timestamp.version += 1
        fleet.timestamp.snapshot_meta = MetaFile(fleet.snapshot.version)
        fleet.write("timestamp")
        assert device().accept(fleet.bundle(), SOON).issued == 0


class TestAnchor:
    def test_the_realm_follows_from_the_first_root(
        self, device: Device, fleet: TufRepository
    ) -> None:
        verifier = device()
        before = verifier.realm
        assert len(before) == 16
        fleet.publish_root()
        verifier.accept(fleet.bundle(), SOON)
        assert verifier.realm == before

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (None, "install the fleet's root.json"),
            (b"rubbish", "not TUF metadata"),
            ("timestamp.json", "timestamp metadata, not root"),
            ("2.root.json", "root version 2; install"),
            (b" " * 70_000, "larger than 65536"),
        ],
    )
    def test_a_device_without_its_fleets_first_root_does_not_start(
        self, tmp_path: Path, fleet: TufRepository, content: bytes | str | None, why: str
    ) -> None:
        fleet.publish_root()
        anchor = tmp_path / "root.json"
        if content is not None:
            anchor.write_bytes(fleet.files[content] if isinstance(content, str) else content)
        with pytest.raises(ConfigError, match=why):
            Verifier(tmp_path / "state", TrustSettings(root=anchor), 0)
