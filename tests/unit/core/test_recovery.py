import pytest

from p2pupd.core.backoff import LONGEST_DELAY, delay
from p2pupd.core.recovery import proved_bad, recover
from p2pupd.core.transitions import MAX_ATTEMPTS
from p2pupd.model import commands as do
from p2pupd.model import events as on
from p2pupd.model.deployment import Phase
from tests.builders import a_record


@pytest.mark.parametrize(
    ("phase", "first"),
    [
        (Phase.VERIFIED, do.GatherFacts),
        (Phase.FETCHING, do.Fetch),
        (Phase.READY, do.AskTurn),
        (Phase.WAITING, do.AskTurn),
        (Phase.INSTALLING, do.WriteSlot),
        (Phase.ARMED, do.ReadBoot),
        (Phase.TRIAL, do.ReadBoot),
        (Phase.REVERTING, do.ReadBoot),
    ],
)
def test_every_open_phase_goes_on_where_it_was(phase: Phase, first: type[do.Command]) -> None:
    record, command = recover(a_record(phase))
    assert record.phase is phase
    assert isinstance(command, first)
    assert command.deployment == record.id


def test_an_offer_does_not_survive_a_power_cut() -> None:
    _, event = recover(a_record(Phase.OFFERED))
    assert isinstance(event, on.CancelWanted)


def test_a_device_that_dies_of_writing_its_slot_stops_trying() -> None:
    record = a_record(Phase.INSTALLING)
    for _ in range(MAX_ATTEMPTS - 1):
        record, command = recover(record)
        assert isinstance(command, do.WriteSlot)
    _, event = recover(record)
    assert isinstance(event, on.CommandFailed)


def test_only_what_the_release_is_to_blame_for_is_remembered() -> None:
    assert proved_bad(a_record(Phase.REVERTED))
    assert proved_bad(a_record(Phase.FAILED, code=14))
    assert not proved_bad(a_record(Phase.FAILED, code=60))
    assert not proved_bad(a_record(Phase.CONFIRMED))


def test_delays_grow_to_a_bound_and_are_spread() -> None:
    assert delay(0, 0.9) == 0.0
    assert delay(1, 0.0) == 1.0
    assert delay(3, 0.0) == 4.0
    assert delay(50, 0.0) == LONGEST_DELAY
    assert delay(3, 0.999) > 3.0
