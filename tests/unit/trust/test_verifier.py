"""What a device believes, and what it refuses; the bytes come from anybody."""

import json
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import MetaFile, SuccinctRoles

from p2pupd.errors import (
    ConfigError,
    MetadataError,
    SignatureError,
    TrustError,
)
from p2pupd.trust.settings import TrustSettings
from p2pupd.trust.verifier import Verifier
from p2pupd.wire.bundle import MAX_BYTES, Bundle, decode, digest, encode
from tests.builders import a_release
from tests.tuf_repository import DAY, LINE, NOW, Alias, TufRepository
from tests.unit.trust.conftest import SOON, THIEF, Device, refused


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

    def test_one_key_under_two_ids_does_not_count_twice(
        self, device: Device, fleet: TufRepository
    ) -> None:
        aliases = [Alias(THIEF, "a" * 64), Alias(THIEF, "b" * 64)]
        fleet.delegate("pair", ["pair/*"], list(aliases), threshold=2)
        fleet.publish("targets", "pair")
        assert "pair.json: one key is listed twice" in str(refused(device(), fleet.bundle()))

    def test_keys_that_this_device_cannot_use_are_read_but_sign_nothing(
        self, device: Device, fleet: TufRepository
    ) -> None:
        foreign = SSlibKey("c" * 64, "ecdsa", "ecdsa-sha2-nistp256", {"public": "no PEM"})
        fleet.root.add_key(foreign, "snapshot")
        fleet.publish_root()
        verifier = device()
        verifier.accept(fleet.bundle(), SOON)
        fleet.publish()
        value = json.loads(fleet.files["3.snapshot.json"])
        value["signatures"] = [{"keyid": foreign.keyid, "sig": "00"}]
        raw = json.dumps(value).encode()
        assert isinstance(refused(verifier, fleet.bundle(**{"3_snapshot": raw})), SignatureError)

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
