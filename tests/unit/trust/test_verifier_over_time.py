"""Old sticks, new keys, and clocks that nobody vouches for."""

from typing import Any

import pytest
from tuf.api.metadata import MetaFile

from p2pupd.errors import (
    DowngradeError,
    ExpiredError,
    SignatureError,
)
from p2pupd.model.clock import WallClock
from p2pupd.trust.settings import Freshness
from tests.builders import a_release
from tests.tuf_repository import DAY, LINE, NOW, TufRepository
from tests.unit.trust.conftest import SOON, THIEF, Device, refused


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
