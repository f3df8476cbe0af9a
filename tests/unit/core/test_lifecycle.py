import pytest

from p2pupd.core.lifecycle import step
from p2pupd.core.recovery import proved_bad, recover
from p2pupd.core.transitions import MAX_ATTEMPTS, TABLE
from p2pupd.model import commands as do
from p2pupd.model import events as on
from p2pupd.model.deployment import ENDED, Deployment, Phase
from p2pupd.model.device import BootFacts
from p2pupd.model.ids import DeploymentId
from tests.builders import a_record, a_release, facts

ID = DeploymentId("1")
OLD_RUNS = BootFacts(booted="A", primary="A", armed=None)
NEW_ARMED = BootFacts(booted="A", primary="A", armed="B", tries_left=1)
TRIAL_USED = BootFacts(booted="A", primary="A", armed="B", tries_left=0)
NEW_RUNS = BootFacts(booted="B", primary="A", armed="B", tries_left=0)
NEW_RUNS_OLD_PRIMARY = BootFacts(booted="B", primary="A", armed=None)


def after(record: Deployment, *happened: on.Event) -> tuple[Deployment, list[type[do.Command]]]:
    commands: list[type[do.Command]] = []
    for event in happened:
        record, wanted = step(record, event, 2000.0)
        commands = [type(command) for command in wanted]
    return record, commands


def test_a_release_that_nothing_hinders_becomes_confirmed() -> None:
    record = a_record(Phase.OFFERED, release=None, slot=None, previous_slot=None)
    record, _ = after(
        record,
        on.OfferVerified(ID, a_release()),
        on.FactsGathered(ID, facts()),
        on.Fetched(ID),
        on.TurnTaken(ID),
        on.Written(ID, "B", "A"),
        on.Booted(ID, NEW_ARMED),
        on.Booted(ID, NEW_RUNS),
        on.HealthPassed(ID),
        on.Committed(ID),
    )
    assert record.phase is Phase.CONFIRMED
    assert (record.slot, record.previous_slot, record.healthy) == ("B", "A", True)


def test_an_event_of_another_deployment_changes_nothing() -> None:
    record = a_record(Phase.FETCHING)
    assert step(record, on.Fetched(DeploymentId("2")), 1.0) == (record, ())


def test_an_event_that_is_out_of_date_changes_nothing() -> None:
    record = a_record(Phase.TRIAL)
    assert step(record, on.Fetched(ID), 1.0) == (record, ())


def test_committed_without_health_does_not_confirm() -> None:
    record = a_record(Phase.TRIAL, healthy=False)
    assert after(record, on.Committed(ID))[0].phase is Phase.TRIAL


def test_confirmed_is_reached_from_trial_only() -> None:
    assert {row.phase for row in TABLE if row.to is Phase.CONFIRMED} == {Phase.TRIAL}


def test_a_refused_offer_keeps_its_reason_and_code() -> None:
    record = a_record(Phase.OFFERED)
    refused, _ = after(record, on.OfferRejected(ID, "bad-signature", "who is that?", 14))
    assert (refused.phase, refused.reason, refused.code) == (Phase.REFUSED, "bad-signature", 14)


def test_an_offer_with_nothing_to_do_is_cancelled_quietly() -> None:
    record = a_record(Phase.OFFERED)
    assert after(record, on.OfferRejected(ID, "up-to-date", "", 4))[0].phase is Phase.CANCELLED


def test_admission_refuses_before_anything_is_fetched() -> None:
    record, commands = after(a_record(Phase.VERIFIED), on.FactsGathered(ID, facts(store_free=0)))
    assert (record.phase, record.reason, record.code) == (Phase.REFUSED, "no-space", 60)
    assert commands == []


def test_a_fetch_that_can_pass_is_tried_again_and_counted() -> None:
    failed = on.CommandFailed(ID, "no-space", "full", 60, transient=True)
    record, commands = after(a_record(Phase.FETCHING), failed, failed)
    assert (record.phase, record.attempt, commands) == (Phase.FETCHING, 2, [do.Fetch])


def test_a_fetch_that_cannot_pass_fails() -> None:
    failed = on.CommandFailed(ID, "wrong-content", "differs", 14)
    assert after(a_record(Phase.FETCHING), failed)[0].phase is Phase.FAILED


def test_a_held_turn_waits_with_its_reason_and_then_goes_on() -> None:
    record, _ = after(a_record(Phase.READY), on.TurnHeld(ID, "consent", "waits"))
    assert (record.phase, record.reason) == (Phase.WAITING, "consent")
    record, commands = after(record, on.TurnTaken(ID))
    assert (record.phase, record.reason, commands) == (Phase.INSTALLING, "", [do.WriteSlot])


@pytest.mark.parametrize(
    ("phase", "repeat"),
    [(Phase.INSTALLING, do.WriteSlot), (Phase.ARMED, do.ReadBoot), (Phase.TRIAL, do.ReadBoot)],
)
def test_what_fails_is_repeated_a_bounded_number_of_times(
    phase: Phase, repeat: type[do.Command]
) -> None:
    failed = on.CommandFailed(ID, "install-failed", "no", 1)
    record = a_record(phase)
    for _ in range(MAX_ATTEMPTS - 1):
        record, commands = after(record, failed)
        assert (record.phase, commands) == (phase, [repeat])
    record, _ = after(record, failed)
    assert record.phase in (Phase.FAILED, Phase.REVERTING)


def test_an_armed_device_that_runs_the_old_slot_reboots() -> None:
    assert after(a_record(Phase.ARMED), on.Booted(ID, NEW_ARMED))[1] == [do.Reboot]


def test_an_armed_device_whose_arming_was_lost_arms_again_then_gives_up() -> None:
    record = a_record(Phase.ARMED)
    for _ in range(MAX_ATTEMPTS - 1):
        record, commands = after(record, on.Booted(ID, OLD_RUNS))
        assert commands == [do.ArmTrial]
    assert after(record, on.Booted(ID, OLD_RUNS))[0].phase is Phase.REVERTING


def test_a_bootloader_that_ignores_its_environment_costs_few_restarts() -> None:
    record, restarts = a_record(Phase.ARMED), 0
    record, commands = after(record, on.Booted(ID, NEW_ARMED))
    while commands == [do.Reboot]:
        restarts += 1
        record, _ = recover(record)
        record, commands = after(record, on.Booted(ID, NEW_ARMED))
    assert restarts == MAX_ATTEMPTS
    assert (record.phase, commands) == (Phase.REVERTING, [do.RollBack])
    assert "does the bootloader read" in record.detail
    assert after(record, on.Booted(ID, OLD_RUNS))[0].phase is Phase.REVERTED


def test_restarts_in_vain_on_the_way_back_become_rare() -> None:
    record = a_record(Phase.REVERTING)
    for starts in range(1, 5):
        record, _ = recover(record)
        record, commands = step(record, on.Booted(ID, NEW_RUNS_OLD_PRIMARY), 2000.0)
        assert commands == (do.Reboot(ID, starts),)


def test_where_there_is_nothing_to_return_to_what_runs_is_kept() -> None:
    empty = on.CommandFailed(ID, "slot-empty", "slot A holds no complete image", 1)
    record, commands = after(a_record(Phase.REVERTING), empty)
    assert (record.phase, record.reason, commands) == (Phase.FAILED, "slot-empty", [])


def test_a_trial_that_came_back_by_itself_is_reverted() -> None:
    record, commands = after(a_record(Phase.ARMED), on.Booted(ID, TRIAL_USED))
    assert (record.phase, commands) == (Phase.REVERTING, [do.RollBack])
    assert "slot A came up instead" in record.detail
    assert after(record, on.Booted(ID, OLD_RUNS))[0].phase is Phase.REVERTED


def test_a_healthy_trial_whose_daemon_died_before_the_commit_commits() -> None:
    record = a_record(Phase.TRIAL, healthy=True)
    assert after(record, on.Booted(ID, NEW_RUNS))[1] == [do.Commit]


def test_a_trial_whose_daemon_keeps_dying_is_reverted() -> None:
    record = a_record(Phase.TRIAL)
    for _ in range(MAX_ATTEMPTS - 1):
        record, commands = after(record, on.Booted(ID, NEW_RUNS))
        assert commands == [do.Probe]
    record, _ = after(record, on.Booted(ID, NEW_RUNS))
    assert record.phase is Phase.REVERTING
    assert "did not stay up" in record.detail


def test_bad_health_goes_back_by_way_of_a_reboot() -> None:
    record, commands = after(a_record(Phase.TRIAL), on.HealthFailed(ID, "unhealthy", "500"))
    assert (record.phase, record.detail, commands) == (Phase.REVERTING, "500", [do.RollBack])
    record, commands = after(record, on.Booted(ID, NEW_RUNS_OLD_PRIMARY))
    assert (record.phase, commands) == (Phase.REVERTING, [do.Reboot])
    record, _ = after(record, on.Booted(ID, OLD_RUNS))
    assert (record.phase, record.detail) == (Phase.REVERTED, "500")


def test_going_back_never_gives_up() -> None:
    record = a_record(Phase.REVERTING)
    for _ in range(10):
        record, commands = after(record, on.CommandFailed(ID, "boot-control", "busy", 1))
        assert (record.phase, commands) == (Phase.REVERTING, [do.RollBack])
    record, commands = after(record, on.Booted(ID, NEW_RUNS))
    assert (record.attempt, commands) == (11, [do.RollBack])


@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.TRIAL, Phase.CONFIRMED])
def test_the_operator_can_go_back(phase: Phase) -> None:
    record, commands = after(a_record(phase), on.RollbackWanted(ID, "asked"))
    assert (record.phase, record.reason) == (Phase.REVERTING, "rollback-wanted")
    assert commands == [do.RollBack]


@pytest.mark.parametrize(
    ("phase", "asks", "reason"),
    [
        (Phase.CONFIRMED, on.RollbackWanted(ID, "asked"), "rollback-wanted"),
        (Phase.ARMED, on.Halted(ID, "two failed"), "halted"),
    ],
)
def test_what_goes_wrong_on_a_way_back_does_not_hide_that_it_was_asked_for(
    phase: Phase, asks: on.Event, reason: str
) -> None:
    record, _ = after(a_record(phase), asks)
    again, commands = after(record, on.CommandFailed(ID, "boot-control", "read-only", 1))
    assert (again.phase, again.reason) == (Phase.REVERTING, reason)
    assert commands == [do.RollBack]


def test_whoever_runs_the_old_slot_goes_back_from_a_halted_release_without_a_restart() -> None:
    record, commands = after(a_record(Phase.ARMED), on.Halted(ID, "two failed"))
    assert commands == [do.RollBack]
    record, commands = after(record, on.Booted(ID, OLD_RUNS))
    assert (record.phase, record.reason, commands) == (Phase.REVERTED, "halted", [])
    assert not proved_bad(record)


def test_a_release_that_runs_already_is_not_left_for_a_halt() -> None:
    for phase in (Phase.TRIAL, Phase.CONFIRMED):
        assert after(a_record(phase), on.Halted(ID, "two failed")) == (a_record(phase), [])


@pytest.mark.parametrize(
    "phase", [Phase.OFFERED, Phase.VERIFIED, Phase.FETCHING, Phase.READY, Phase.WAITING]
)
def test_before_installing_a_newer_release_takes_over(phase: Phase) -> None:
    record, commands = after(a_record(phase), on.NewerRelease(ID, "8"))
    assert (record.phase, commands) == (Phase.SUPERSEDED, [do.StopFetch])
    assert after(a_record(phase), on.CancelWanted(ID, "no"))[0].phase is Phase.CANCELLED


@pytest.mark.parametrize("phase", [Phase.INSTALLING, Phase.ARMED, Phase.TRIAL, Phase.REVERTING])
def test_once_installing_a_newer_release_waits(phase: Phase) -> None:
    record = a_record(phase)
    assert after(record, on.NewerRelease(ID, "8"))[0] is record


def test_every_phase_is_reachable_and_every_end_is_an_end() -> None:
    reached = {row.to for row in TABLE} | {Phase.OFFERED}
    assert reached == set(Phase)
    assert {row.phase for row in TABLE} & ENDED == {Phase.CONFIRMED}
