"""Product lines: who may sign for what, and which releases a device reads."""

from typing import Any

from p2pupd.errors import (
    MetadataError,
    SignatureError,
)
from tests.builders import a_release
from tests.tuf_repository import LINE, TufRepository
from tests.unit.trust.conftest import SOON, Device, refused


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
