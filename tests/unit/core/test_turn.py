"""Whose turn it is, and every gate that may be closed."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from p2pupd.core.course import Course
from p2pupd.core.orders import SiteOrders
from p2pupd.core.tally import Tally
from p2pupd.core.turn import (
    Gate,
    Here,
    Question,
    SiteRules,
    Ticket,
    closed_gates,
    deferrable,
    floor_gates,
    wants_ticket,
)
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import StatusRecord
from p2pupd.model.ids import Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.model.release import Urgency
from p2pupd.model.rollout import Rollout, Wave
from tests.builders import COMPONENT, a_release
from tests.floors import (
    NOW,
    QUARTERS,
    a_question,
    device_of,
    doing,
    record,
    reverted,
    seen,
    working,
)

PLAIN = a_release()
RELEASE = a_release(rollout=QUARTERS)
FIRST = [device_of(RELEASE, 1, each) for each in range(3)]
ALONE = a_release(rollout=Rollout(max_concurrent=1))
SECOND = device_of(RELEASE, 2)
SOAKED = Course(COMPONENT, 7, succeeded={1: NOW - 3600})
CONSENT = SiteRules(consent=True)


def codes(asked: Question) -> list[str]:
    return [gate.reason for gate in closed_gates(asked)]


def only(gates: Iterable[Gate]) -> Gate:
    [gate] = gates
    return gate


def order(kind: OrderKind, sequence: int = 1, **about: Any) -> SiteOrders:
    about = about or {"component": COMPONENT, "release": 7}
    return SiteOrders([Order(kind, Realm("0" * 16), "", "f" * 64, 1, sequence, **about)])


def works(*devices: Any) -> list[StatusRecord]:
    return [working(each, RELEASE) for each in devices]


def test_without_a_policy_nothing_holds_it_back() -> None:
    assert codes(a_question(PLAIN)) == []


# -- what the device's owner says ---------------------------------------------------------------


def test_consent_is_asked_for_and_given_here_or_by_a_signed_order() -> None:
    asked = a_question(PLAIN, rules=CONSENT)
    assert only(closed_gates(asked)).detail == "waits for `p2pupd approve 7`"
    assert codes(replace(asked, here=Here(approved=True))) == []
    assert codes(replace(asked, orders=order(OrderKind.APPROVE))) == []


def test_a_stick_that_is_being_copied_is_waited_for() -> None:
    assert codes(a_question(PLAIN, here=Here(copying=True))) == ["copying"]


def test_an_emergency_waits_neither_for_consent_nor_copies_nor_windows() -> None:
    policy = Rollout(windows=("22:00-05:00",))
    rules = SiteRules(consent=True, windows=("22:00-05:00",))
    asked = a_question(a_release(rollout=policy), rules=rules, here=Here(copying=True))
    assert codes(asked) == ["copying", "window", "maintenance", "consent"]
    urgent = replace(asked, release=replace(asked.release, urgency=Urgency.EMERGENCY))
    assert codes(urgent) == []


def test_production_that_runs_is_not_disturbed_by_any_release() -> None:
    gate = Gate("interlock", "production is running")
    urgent = a_release(urgency=Urgency.EMERGENCY)
    assert codes(a_question(urgent, here=Here(interlocks=(gate,), ahead=True))) == ["interlock"]


def test_a_window_says_when_it_opens() -> None:
    asked = a_question(PLAIN, rules=SiteRules(windows=("22:00-05:00",)), now=NOW - NOW % 60 + 7)
    gate = only(closed_gates(asked))
    assert gate.detail == "site.windows allows it only 22:00-05:00, next on Mon 22:00"
    assert gate.until == asked.now - 7 + 10 * 3600
    assert codes(replace(asked, rules=SiteRules(windows=("11:00-13:00",)))) == []


def test_the_signers_windows_end_with_the_deadline_and_the_owners_do_not() -> None:
    release = a_release(rollout=Rollout(windows=("22:00-05:00",), deadline=int(NOW)))
    asked = a_question(release, now=NOW - 1)
    assert codes(asked) == ["window"]
    overdue = replace(asked, now=NOW, rules=SiteRules(windows=("22:00-05:00",)))
    assert codes(overdue) == ["maintenance"]


def test_what_was_deferred_waits_until_then_or_until_the_deadline() -> None:
    course = Course(COMPONENT, 7, deferrals=1, deferred=NOW + 90)
    asked = a_question(PLAIN, course=course)
    gate = only(closed_gates(asked))
    assert (gate.reason, gate.until) == ("deferred", NOW + 90)
    assert "2 more minute(s)" in gate.detail
    assert codes(replace(asked, now=NOW + 90)) == []
    overdue = replace(asked, release=a_release(rollout=Rollout(deadline=int(NOW))))
    assert codes(overdue) == []
    assert codes(replace(asked, release=a_release(urgency=Urgency.SECURITY))) == []


def test_a_release_may_be_deferred_so_many_times() -> None:
    asked = a_question(PLAIN, rules=SiteRules(deferrals=2))
    assert deferrable(asked) is None
    used = replace(asked, course=Course(COMPONENT, 7, deferrals=2))
    assert deferrable(used) == "it was deferred 2 time(s), and site.deferrals allows 2"


def test_what_is_urgent_or_overdue_cannot_be_deferred() -> None:
    rules = SiteRules(deferrals=2)
    urgent = a_release(urgency=Urgency.SECURITY)
    assert deferrable(a_question(urgent, rules=rules)) == "it is a security release"
    overdue = a_release(rollout=Rollout(deadline=int(NOW)))
    assert deferrable(a_question(overdue, rules=rules)) == "its deadline is over"


# -- orders -------------------------------------------------------------------------------------


def test_a_hold_stops_even_an_emergency_and_what_is_wanted_ahead() -> None:
    urgent = a_release(urgency=Urgency.EMERGENCY)
    asked = a_question(urgent, orders=order(OrderKind.HOLD), here=Here(ahead=True))
    gate = only(closed_gates(asked))
    assert gate.detail == "the operator ffffffff holds it; a signed resume ends that"
    assert codes(replace(asked, orders=order(OrderKind.RESUME))) == []


def test_a_retired_device_installs_only_by_hand() -> None:
    retired = order(OrderKind.RETIRE, device=SECOND)
    asked = a_question(PLAIN, device=SECOND, orders=retired)
    assert codes(asked) == ["retired"]
    assert codes(replace(asked, here=Here(ahead=True))) == []


# -- waves --------------------------------------------------------------------------------------


def test_the_first_wave_needs_no_news_of_others() -> None:
    assert codes(a_question(RELEASE, device=FIRST[0])) == []


def test_a_later_wave_waits_for_the_earlier_one() -> None:
    gate = only(closed_gates(a_question(RELEASE, *works(FIRST[0]), record(FIRST[1]))))
    assert gate.reason == "wave"
    assert gate.detail == (
        "is in wave 2 of 3, and of wave 1 of 3 1 of 2 devices have it and work, 0 failed"
    )


def test_a_wave_that_has_succeeded_soaks_before_the_next_one() -> None:
    asked = a_question(RELEASE, *works(*FIRST))
    gate = only(closed_gates(asked))
    assert (gate.reason, gate.until) == ("soak", NOW + 3600)
    assert "wave 1 of 3 has to prove itself for 60 more minute(s)" in gate.detail
    assert codes(replace(asked, course=SOAKED)) == []


def test_the_third_wave_waits_for_the_second() -> None:
    third = device_of(RELEASE, 3)
    floor = [*works(*FIRST), record(SECOND)]
    asked = a_question(RELEASE, *floor, device=third, course=SOAKED)
    assert "of wave 2 of 3 0 of 1" in only(closed_gates(asked)).detail


def test_canaries_come_first() -> None:
    policy = replace(QUARTERS, canary_groups=("lab",), canary_soak_minutes=1)
    release = a_release(rollout=policy)
    canary = record(FIRST[1], groups=("lab",))
    asked = a_question(release, canary, device=FIRST[0])
    assert "of the canaries 0 of 1" in only(closed_gates(asked)).detail
    assert codes(a_question(release, canary, device=FIRST[0], groups=("lab",))) == []


def test_a_device_that_hears_nobody_does_not_take_silence_for_success() -> None:
    asked = a_question(RELEASE, course=SOAKED)
    gate = only(closed_gates(asked))
    assert gate.reason == "cut-off"
    assert "hears 1 of 2 devices" in gate.detail
    assert codes(replace(asked, rules=SiteRules(devices=1))) == []


def test_half_of_a_floor_is_not_enough_to_go_on() -> None:
    others = [seen(each, NOW) for each in works(*FIRST)]
    later = NOW + 1000
    tally = Tally(
        RELEASE, [seen(record(SECOND), later), seen(others[0].record, later), *others[1:]]
    )
    asked = a_question(RELEASE, tally=tally, course=SOAKED, now=later)
    assert "hears 2 of 4 devices" in only(closed_gates(asked)).detail


def test_whoever_has_just_come_listens_first() -> None:
    asked = a_question(RELEASE, *works(*FIRST), course=SOAKED, here=Here(listening=5))
    gate = only(closed_gates(asked))
    assert (gate.reason, gate.until) == ("listening", NOW + 175)


# -- failures -----------------------------------------------------------------------------------


def test_a_release_that_fails_too_often_is_halted_for_every_wave() -> None:
    for device in (FIRST[0], SECOND):
        asked = a_question(RELEASE, reverted(FIRST[1], RELEASE), device=device)
        assert codes(asked)[0] == "halted"
    detail = next(closed_gates(asked)).detail
    assert "it failed on 20 % or more of a wave" in detail
    assert "`p2pupd site resume 7`" in detail
    assert codes(replace(asked, here=Here(ahead=True))) == ["halted"]


def test_a_halt_without_a_limit_is_the_floors_word() -> None:
    asked = a_question(PLAIN, course=Course(COMPONENT, 7, halted=0))
    assert "halted: the floor says so" in only(closed_gates(asked)).detail


def test_devices_that_fall_silent_while_they_install_are_suspected() -> None:
    later = NOW + 1000
    lost = [seen(doing(FIRST[0], RELEASE, Phase.ARMED))]
    tally = Tally(RELEASE, [*lost, *(seen(each, later) for each in works(*FIRST[1:]))])
    asked = a_question(RELEASE, tally=tally, device=FIRST[2], now=later)
    gate = only(closed_gates(asked))
    assert gate.reason == "suspect"
    assert (
        f"1 of 3 devices of wave 1 of 3 fell silent while they installed it ({FIRST[0][:7]})"
        in (gate.detail)
    )
    assert codes(replace(asked, now=NOW)) == []


# -- how many at once ---------------------------------------------------------------------------


def busy(phase: Phase = Phase.INSTALLING, **state: Any) -> StatusRecord:
    return doing(FIRST[0], ALONE, phase, **state)


def test_a_place_is_asked_for_first() -> None:
    asked = a_question(ALONE, record(FIRST[0]))
    assert codes(asked) == ["reserving"]
    assert wants_ticket(asked)


def test_a_place_counts_when_nobody_has_objected() -> None:
    asked = a_question(ALONE, record(FIRST[0]), here=Here(listening=999, ticket=Ticket(1, 5)))
    gate = only(closed_gates(asked))
    assert (gate.reason, gate.until) == ("reserving", NOW + 175)
    assert codes(replace(asked, here=Here(listening=999, ticket=Ticket(1, 180)))) == []


def waiting(waited: float) -> Question:
    """First in the line with ticket 1, told `waited` seconds ago; speaks every 600 s."""
    own = replace(doing(SECOND, ALONE, Phase.WAITING, ticket=1), beat=600)
    here = Here(listening=9999, ticket=Ticket(1, waited))
    return a_question(ALONE, own, record(FIRST[0]), device=SECOND, here=here)


def test_a_place_is_not_taken_when_others_may_have_given_it_up() -> None:
    """They do so 1260 s after they heard of it, and hear within 180 s that it is taken."""
    assert codes(waiting(1080)) == []
    gate = only(closed_gates(waiting(1081)))
    assert (gate.reason, gate.until) == ("reserving", NOW + 1)
    assert "asks anew" in gate.detail


def test_a_place_that_was_held_for_too_long_is_given_up_and_asked_for_anew() -> None:
    assert wants_ticket(waiting(1080))
    held = waiting(1081)
    assert not wants_ticket(held)
    assert wants_ticket(replace(held, here=Here(listening=9999)))


def test_a_device_that_speaks_often_has_time_to_take_its_place() -> None:
    own = replace(doing(SECOND, ALONE, Phase.WAITING, ticket=1), beat=1)
    here = Here(listening=9999, ticket=Ticket(1, 540))
    assert codes(a_question(ALONE, own, record(FIRST[0]), device=SECOND, here=here)) == []


def test_whoever_installs_is_waited_for() -> None:
    asked = a_question(ALONE, busy(ticket=9), here=Here(listening=999, ticket=Ticket(1, 999)))
    gate = only(closed_gates(asked))
    assert gate.reason == "full"
    assert f"1 may install at once, and these are before it: {FIRST[0][:7]}" in gate.detail
    assert wants_ticket(asked)


def test_long_lists_of_devices_are_cut_short() -> None:
    others = [doing(device_of(RELEASE, 3, each), ALONE, Phase.TRIAL) for each in range(5)]
    asked = a_question(ALONE, *others, here=Here(listening=999, ticket=Ticket(1, 999)))
    assert only(closed_gates(asked)).detail.endswith(" and 2 more")


def test_no_place_is_asked_for_while_another_gate_is_closed() -> None:
    assert not wants_ticket(a_question(ALONE, record(FIRST[0]), rules=CONSENT))
    assert not wants_ticket(a_question(PLAIN))
    assert not wants_ticket(a_question(ALONE, here=Here(ahead=True)))


def test_a_floor_with_a_limit_at_once_wants_more_than_half_heard() -> None:
    assert codes(a_question(ALONE)) == ["cut-off", "reserving"]


# -- another device -----------------------------------------------------------------------------


def test_of_another_device_only_what_follows_from_the_floor_is_told() -> None:
    asked = a_question(RELEASE, reverted(FIRST[0], RELEASE), rules=CONSENT, here=Here())
    assert [gate.reason for gate in floor_gates(asked)] == ["halted", "wave"]


@pytest.mark.parametrize("waves", [QUARTERS.waves, (Wave(1000),)])
def test_what_is_wanted_ahead_passes_every_wave_and_place(waves: tuple[Wave, ...]) -> None:
    policy = Rollout(waves=waves, max_failures=200, max_concurrent=1)
    here = Here(ahead=True)
    assert codes(a_question(a_release(rollout=policy), record(FIRST[0]), here=here)) == []
