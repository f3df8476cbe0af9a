from typing import Any

import pytest

from p2pupd.core.admission import Refusal, choose, refusal
from p2pupd.model.ids import ComponentId
from p2pupd.model.release import Dependency, InstallerKind, Release
from tests.builders import a_release, facts, installed


def chosen(releases: list[Release], **changes: object) -> Release:
    choice = choose(releases, facts(**changes))
    assert isinstance(choice, Release)
    return choice


def refused(releases: list[Release], **changes: object) -> Refusal:
    choice = choose(releases, facts(**changes))
    assert isinstance(choice, Refusal)
    return choice


def test_the_highest_newer_release_is_chosen() -> None:
    assert chosen([a_release(7), a_release(9), a_release(8)]).release == 9


def test_a_device_without_a_release_takes_the_first_it_can() -> None:
    assert chosen([a_release(0)], installed=None).release == 0


def test_a_carrier_without_component_has_nothing_to_do() -> None:
    assert refused([a_release()], component=None).code == 4


def test_a_manifest_for_other_components_has_nothing_to_do() -> None:
    assert refused([a_release(component=ComponentId("other"))]).reason == "no-release"


def test_a_release_for_other_hardware_is_refused_and_both_are_named() -> None:
    answer = refused([a_release(hardware_ids=("acme-hmi",))])
    assert (answer.reason, answer.code) == ("wrong-hardware", 14)
    assert "acme-hmi" in answer.detail
    assert "acme-gw2" in answer.detail


def test_a_device_without_hardware_ids_says_that_it_is_unnamed() -> None:
    assert "unnamed" in refused([a_release()], hardware_ids=()).detail


def test_a_release_that_failed_here_is_not_chosen_again() -> None:
    bad = frozenset({("gateway-os", 7)})
    assert refused([a_release(7)], bad=bad).reason == "known-bad"
    assert chosen([a_release(7), a_release(8)], bad=bad).release == 8


def test_what_the_operator_went_back_from_is_followed_by_newer_ones_only() -> None:
    left: dict[str, Any] = {"bad": frozenset({("gateway-os", 9)}), "left": 9}
    offered = [a_release(7), a_release(8), a_release(9)]
    assert refused(offered, **left).reason == "rolled-back"
    assert refused([a_release(9)], **left).reason == "rolled-back"
    assert refused([a_release(6), a_release(9)], **left).reason == "up-to-date"
    assert chosen([*offered, a_release(10)], **left).release == 10
    assert chosen(offered, approved=frozenset({7}), **left).release == 7
    assert chosen([*offered, a_release(5, rollback_from=(6,))], **left).release == 5


def test_the_installed_release_is_up_to_date() -> None:
    assert refused([a_release(6)]).code == 4


def test_an_older_release_without_signed_permission_is_a_downgrade() -> None:
    assert refused([a_release(5)]).code == 102


def test_a_signed_way_back_is_taken_when_nothing_newer_is_there() -> None:
    assert chosen([a_release(4, rollback_from=(6,)), a_release(3)]).release == 4
    assert chosen([a_release(4, rollback_from=(6,)), a_release(7)]).release == 7


def test_a_signed_way_back_never_goes_below_the_security_floor() -> None:
    back = a_release(4, rollback_from=(6,))
    assert refused([back], installed=installed(6, security_floor=5)).reason == "downgrade"


def test_without_anything_installed_no_way_back_is_limited_by_a_floor() -> None:
    back = a_release(3, rollback_from=(None,))
    assert chosen([back], installed=None).release == 3


def test_a_release_that_was_taken_back_is_not_gone_to_again() -> None:
    both = [a_release(6, rollback_from=(7,)), a_release(7)]
    assert chosen(both, installed=installed(7)).release == 6
    assert refused(both, installed=installed(6)).reason == "up-to-date"
    assert chosen([*both, a_release(8)], installed=installed(6)).release == 8


def test_another_lines_signers_cannot_give_a_device_its_release() -> None:
    forged = a_release(9, target="hmi/gateway-os/evil.img")
    assert chosen([a_release(7), forged], line="gateway").release == 7
    assert refused([a_release(7), forged]).reason == "ambiguous-line"
    alone = refused([forged], line="gateway")
    assert (alone.reason, alone.code) == ("no-release", 4)
    assert "gateway" in alone.detail


def test_a_line_that_has_nothing_for_this_hardware_makes_nothing_ambiguous() -> None:
    theirs = a_release(9, target="hmi/gateway-os/x.img", hardware_ids=("acme-hmi",))
    assert chosen([a_release(7), theirs]).release == 7


def test_a_target_outside_of_any_line_is_of_none() -> None:
    assert a_release(target="plain.img").line == ""
    assert refused([a_release(7, target="plain.img")], line="gateway").reason == "no-release"


def test_a_stepping_stone_comes_first() -> None:
    far = a_release(9, min_release=8)
    assert refused([far]).reason == "stepping-stone"
    assert chosen([far, a_release(8)]).release == 8


def test_a_fitting_release_is_admitted() -> None:
    assert refusal(a_release(), facts()) is None


@pytest.mark.parametrize(
    ("changes", "device", "reason", "code"),
    [
        ({"hardware_ids": ("other",)}, {}, "wrong-hardware", 14),
        ({"installer": InstallerKind.RAUC}, {}, "wrong-installer", 1),
        ({}, {"installer": None}, "wrong-installer", 1),
        ({"depends_on": (Dependency(ComponentId("plc"), 3),)}, {}, "dependency", 1),
        (
            {"depends_on": (Dependency(ComponentId("gateway-os"), 3),)},
            {"others": (installed(2),)},
            "dependency",
            1,
        ),
        (
            {"conflicts": (ComponentId("gateway-os"),)},
            {"others": (installed(2),)},
            "conflict",
            1,
        ),
        ({}, {"store_free": 1000}, "no-space", 60),
        ({}, {"spare_capacity": 1000}, "no-space", 60),
        ({}, {"spare_capacity": None, "spare_free": 1000}, "no-space", 60),
        ({}, {"power_ok": False}, "power", 1),
    ],
)
def test_what_stands_against_a_release_is_named(
    changes: dict[str, Any], device: dict[str, Any], reason: str, code: int
) -> None:
    found = refusal(a_release(**changes), facts(**device))
    assert found is not None
    assert (found.reason, found.code) == (reason, code)
    assert found.fields() == {"reason": reason, "detail": found.detail, "code": code}


def test_an_artifact_that_is_already_stored_needs_no_space() -> None:
    stored = frozenset({a_release().artifact.sha256})
    assert refusal(a_release(), facts(store_free=0, stored=stored)) is None


def test_a_dependency_that_is_there_is_fine() -> None:
    needs = a_release(depends_on=(Dependency(ComponentId("gateway-os"), 2),))
    assert refusal(needs, facts(others=(installed(2),))) is None


def test_a_slot_of_unknown_size_is_decided_when_it_is_written() -> None:
    assert refusal(a_release(), facts(spare_capacity=None, spare_free=None)) is None
