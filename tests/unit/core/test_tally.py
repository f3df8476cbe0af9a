"""What the records of a floor prove about a release."""

from dataclasses import replace

import pytest

from p2pupd.core.tally import Evidence, Stage, Tally, evidence
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import Halt, Standing, StatusRecord
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Release
from p2pupd.wire.records import MOST, decode, encode
from tests.builders import COMPONENT, a_release
from tests.floors import (
    NOW,
    QUARTERS,
    device_of,
    doing,
    ended,
    record,
    reverted,
    seen,
    working,
)

RELEASE = a_release(rollout=QUARTERS)
ME = device_of(RELEASE, 1)
LATER = NOW + 1000


def of(said: StatusRecord, resumed: int = 0, release: Release = RELEASE) -> Evidence:
    return evidence(said, release, resumed)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (record(ME), Evidence.OPEN),
        (record(ME, runs=8), Evidence.OUTSIDE),
        (record(ME, components=()), Evidence.OUTSIDE),
        (record(ME, hardware_ids=("other",)), Evidence.OUTSIDE),
        (record(ME, runs=7), Evidence.CONFIRMED),
        (working(ME, RELEASE), Evidence.CONFIRMED),
        (doing(ME, RELEASE, Phase.FETCHING), Evidence.OPEN),
        (doing(ME, RELEASE, Phase.TRIAL), Evidence.INSTALLS),
        (replace(doing(ME, RELEASE, Phase.TRIAL), components=()), Evidence.OUTSIDE),
        (doing(ME, a_release(8), Phase.TRIAL), Evidence.OPEN),
        (doing(ME, RELEASE, Phase.REVERTING, reason="unhealthy"), Evidence.FAILED),
        (doing(ME, RELEASE, Phase.REVERTING, reason="rollback-wanted"), Evidence.INSTALLS),
        (doing(ME, RELEASE, Phase.REVERTING, reason="halted"), Evidence.INSTALLS),
        (reverted(ME, RELEASE, reason="halted"), Evidence.OPEN),
        (reverted(ME, RELEASE), Evidence.FAILED),
        (reverted(ME, RELEASE, reason="rollback-wanted"), Evidence.OPEN),
        (record(ME, history=(ended(RELEASE, Phase.FAILED),)), Evidence.FAILED),
        (record(ME, history=(ended(RELEASE, Phase.FAILED, reason="no-space"),)), Evidence.OPEN),
        (record(ME, history=(ended(RELEASE, Phase.SUPERSEDED),)), Evidence.OPEN),
        (record(ME, history=(ended(a_release(5), Phase.REVERTED),)), Evidence.OPEN),
    ],
)
def test_a_device_proves_only_what_it_says_itself(said: StatusRecord, what: Evidence) -> None:
    assert of(said) is what


def test_while_it_is_on_trial_nothing_is_proved() -> None:
    trial = replace(doing(ME, RELEASE, Phase.TRIAL), components=record(ME, runs=7).components)
    assert of(trial) is Evidence.INSTALLS


def test_the_last_end_counts() -> None:
    ends = (ended(RELEASE, Phase.CONFIRMED), ended(RELEASE, Phase.REVERTED))
    assert of(record(ME, runs=7, history=ends)) is Evidence.CONFIRMED
    assert of(record(ME, history=ends[::-1])) is Evidence.FAILED


def test_what_failed_before_the_last_resume_is_to_be_tried_again() -> None:
    assert of(reverted(ME, RELEASE, resumed=4), resumed=5) is Evidence.OPEN
    assert of(reverted(ME, RELEASE, resumed=5), resumed=5) is Evidence.FAILED


def test_who_goes_back_after_a_resume_may_have_begun_before_it() -> None:
    goes_back = doing(ME, RELEASE, Phase.REVERTING, reason="unhealthy")
    assert of(goes_back, resumed=5) is Evidence.INSTALLS


def test_a_way_back_is_for_those_that_it_names() -> None:
    back = a_release(5, rollback_from=(6,))
    assert of(record(ME), release=back) is Evidence.OPEN
    assert of(record(ME, runs=7), release=back) is Evidence.OUTSIDE


def test_a_stage_succeeds_when_its_limit_is_out_of_reach() -> None:
    assert not Stage(members=10, confirmed=8).succeeded(200)
    assert Stage(members=10, confirmed=9, failed=1).succeeded(200)
    assert Stage(members=10, confirmed=1).succeeded(1000)
    assert not Stage(members=10).succeeded(1000)
    assert Stage().succeeded(1)


def test_a_stage_whose_only_device_is_forgiven_has_not_succeeded() -> None:
    said = seen(reverted(ME, RELEASE, resumed=4))
    assert Tally(RELEASE, [said], resumed=5).stages[1] == Stage(members=1)
    assert not Tally(RELEASE, [said], resumed=5).stages[1].succeeded(200)


def test_a_limit_is_reached_at_its_very_share() -> None:
    assert not Stage(members=10, failed=1).over(200)
    assert Stage(members=10, failed=2).over(200)
    assert Stage(members=10, failed=1).over(200, more=1)
    assert not Stage().over(1)


def test_each_device_counts_once_however_often_it_speaks() -> None:
    tally = Tally(RELEASE)
    for said in (
        record(ME),
        doing(ME, RELEASE, Phase.FETCHING),
        doing(ME, RELEASE, Phase.TRIAL),
        reverted(ME, RELEASE),
    ):
        tally.put(seen(said))
    assert tally.stages[1] == Stage(members=1, failed=1)
    tally.put(seen(working(ME, RELEASE)))
    assert tally.stages[1] == Stage(members=1, confirmed=1)
    tally.put(seen(record(ME, runs=8)))
    assert tally.stages[1] == Stage()
    assert not tally.installing


def test_a_retired_device_counts_nowhere_but_keeps_its_place_while_it_installs() -> None:
    said = doing(ME, RELEASE, Phase.TRIAL)
    tally = Tally(RELEASE, [seen(said)], retired=frozenset({ME}))
    assert tally.stages[1] == Stage()
    assert tally.heard(NOW) == (0, 0)
    assert tally.ahead(DeviceId("other"), 1, NOW) == [ME]


def test_whoever_has_not_spoken_for_long_is_not_heard() -> None:
    others = [device_of(RELEASE, 2, each) for each in range(2)]
    tally = Tally(RELEASE, [seen(record(ME), LATER), *(seen(record(each)) for each in others)])
    assert tally.heard(NOW) == (3, 3)
    assert tally.heard(LATER) == (1, 3)


def test_a_neighbour_of_before_a_restart_is_heard_when_it_gives_a_sign() -> None:
    own, near, far = (record(device_of(RELEASE, 2, each)) for each in range(3))
    before = [
        replace(seen(own, NOW - 9), standing=Standing.OWN, direct=True),
        replace(seen(near, NOW - 9), direct=True),
        seen(far, NOW - 9),
    ]
    assert Tally(RELEASE, before).heard(NOW) == (3, 3)
    assert Tally(RELEASE, before).heard(NOW, since=NOW - 1) == (2, 3)
    before[1] = replace(before[1], alive=NOW)
    assert Tally(RELEASE, before).heard(NOW, since=NOW - 1) == (3, 3)


def test_whoever_falls_silent_while_it_installs_is_lost() -> None:
    failing = device_of(RELEASE, 1, 1)
    busy = seen(doing(ME, RELEASE, Phase.ARMED))
    reverting = seen(doing(failing, RELEASE, Phase.REVERTING, reason="unhealthy"))
    tally = Tally(RELEASE, [busy, reverting])
    assert tally.lost(1, NOW) == []
    assert tally.lost(1, LATER) == [ME]
    assert tally.lost(2, LATER) == []


def test_a_halt_counts_unless_it_is_older_than_the_last_resume() -> None:
    halts = (Halt(COMPONENT, 7, resumed=4), Halt(COMPONENT, 6, resumed=9))
    said = seen(record(ME, halts=halts))
    assert Tally(RELEASE, [said], resumed=4).halted_by == {ME}
    assert Tally(RELEASE, [said], resumed=5).halted_by == set()
    lifted = Tally(RELEASE, [said])
    lifted.put(seen(record(ME)))
    assert lifted.halted_by == set()


def test_whoever_is_retired_halts_nothing_whatever_it_claims() -> None:
    said = seen(record(ME, halts=(Halt(COMPONENT, 7, resumed=MOST),)))
    assert Tally(RELEASE, [said], resumed=5).halted_by == {ME}
    assert Tally(RELEASE, [said], resumed=5, retired=frozenset({ME})).halted_by == set()


def test_tickets_are_served_in_their_order() -> None:
    ours, theirs = (device_of(RELEASE, 1, each) for each in range(2))
    tally = Tally(RELEASE, [seen(doing(theirs, RELEASE, Phase.WAITING, ticket=3))])
    assert tally.next_ticket() == 4
    assert tally.ahead(ours, 4, NOW) == [theirs]
    assert tally.ahead(ours, 2, NOW) == []
    assert tally.ahead(theirs, 3, NOW) == []


def test_a_ticket_that_a_neighbour_made_up_leaves_the_others_one_that_a_record_takes() -> None:
    liar = doing(device_of(RELEASE, 1, 0), RELEASE, Phase.WAITING, ticket=MOST)
    ticket = Tally(RELEASE, [seen(liar)]).next_ticket()
    said = doing(ME, RELEASE, Phase.WAITING, ticket=ticket)
    assert decode(encode(said), ME) == said


def test_the_same_ticket_twice_is_served_in_one_order_everywhere() -> None:
    ours, theirs = (device_of(RELEASE, 1, each) for each in range(2))
    both = [seen(doing(each, RELEASE, Phase.WAITING, ticket=1)) for each in (ours, theirs)]
    tally = Tally(RELEASE, both)
    assert sorted([*tally.ahead(ours, 1, NOW), *tally.ahead(theirs, 1, NOW)]) in ([ours], [theirs])


def test_whoever_waits_and_answers_no_more_may_have_begun_and_keeps_its_place() -> None:
    waits = device_of(RELEASE, 1, 0)
    gone = replace(seen(doing(waits, RELEASE, Phase.WAITING, ticket=1)), lost=NOW + 1)
    tally = Tally(RELEASE, [gone])
    assert gone.silent(NOW + 2)
    assert tally.ahead(DeviceId("me"), 2, NOW + 2) == [waits]
    assert tally.ahead(DeviceId("me"), 2, LATER) == []


def test_whoever_waits_in_silence_loses_its_place_but_not_who_installs() -> None:
    waits, installs = (device_of(RELEASE, 1, each) for each in range(2))
    tally = Tally(
        RELEASE,
        [
            seen(doing(waits, RELEASE, Phase.WAITING, ticket=1)),
            seen(doing(installs, RELEASE, Phase.INSTALLING, ticket=2)),
        ],
    )
    assert tally.next_ticket() == 3
    assert tally.ahead(DeviceId("me"), 3, NOW) == [installs, waits]
    assert tally.ahead(DeviceId("me"), 3, LATER) == [installs]


def test_whoever_died_while_it_installed_gives_its_place_back_when_it_is_retired() -> None:
    dead = seen(doing(ME, RELEASE, Phase.INSTALLING))
    other = DeviceId("me")
    assert Tally(RELEASE, [dead]).ahead(other, 1, LATER) == [ME]
    assert Tally(RELEASE, [dead], retired=frozenset({ME})).ahead(other, 1, LATER) == []


def test_a_floor_is_counted_part_by_part_as_it_is_all_at_once() -> None:
    others = [device_of(RELEASE, stage, each) for stage in (1, 2) for each in range(3)]
    before = [seen(record(each)) for each in others]
    after = [
        seen(working(others[0], RELEASE), LATER),
        seen(doing(others[1], RELEASE, Phase.ARMED), LATER),
        seen(doing(others[2], RELEASE, Phase.WAITING, ticket=4)),
        seen(reverted(others[3], RELEASE)),
        seen(record(others[4], halts=(Halt(COMPONENT, 7),)), LATER),
        seen(record(others[5], runs=8)),
    ]
    whole, parts = Tally(RELEASE, after), Tally(RELEASE)
    counted = Tally(RELEASE), Tally(RELEASE)
    for each in (before, after, before, after):
        halves = Tally(RELEASE, each[:3]), Tally(RELEASE, each[3:])
        for old, new in zip(counted, halves, strict=True):
            parts.swap(old, new)
        counted = halves
        parts.heard(NOW)
    assert parts.stages == whole.stages
    assert (parts.installing, parts.waiting) == (whole.installing, whole.waiting)
    assert parts.halted_by == whole.halted_by
    for now in (NOW, LATER, NOW):
        assert parts.heard(now) == whole.heard(now)
        assert parts.lost(1, now + 2000) == whole.lost(1, now + 2000) == [others[1]]


def test_a_record_that_comes_late_counts_as_heard_at_once() -> None:
    tally = Tally(RELEASE, [seen(record(ME))])
    assert tally.heard(LATER) == (0, 1)
    tally.put(seen(record(ME), LATER))
    assert tally.heard(LATER) == (1, 1)


def test_whoever_is_retired_is_not_lost() -> None:
    busy = seen(doing(ME, RELEASE, Phase.ARMED))
    assert Tally(RELEASE, [busy], retired=frozenset({ME})).lost(1, LATER) == []
