"""A tally that follows a view says what one that counts it from nothing says."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.core.tallies import MOST, Tallies
from p2pupd.core.tally import Tally
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import ComponentState, DeploymentState, Halt, Seen, View
from p2pupd.model.ids import ComponentId, DeviceId
from p2pupd.model.rollout import Rollout, Wave
from tests.builders import COMPONENT, HARDWARE, a_release
from tests.saying import NOW, device, seen

RELEASE = replace(
    a_release(), rollout=Rollout(waves=(Wave(500), Wave(1000)), max_failures=300, max_concurrent=2)
)
NOBODY: frozenset[DeviceId] = frozenset()
PHASES = st.sampled_from([None, Phase.WAITING, Phase.INSTALLING, Phase.REVERTING])


def _said(number: int, release: int, phase: Phase | None, ticket: int, halts: bool) -> Seen:
    doing = phase and DeploymentState(
        ComponentId(COMPONENT), "1", RELEASE.release, phase, NOW, ticket=ticket
    )
    about: dict[str, Any] = {
        "hardware_ids": (HARDWARE,),
        "components": (ComponentState(ComponentId(COMPONENT), "1", release),),
        "halts": (Halt(ComponentId(COMPONENT), RELEASE.release),) if halts else (),
        "deployment": doing,
    }
    return seen(number, **about)


SAYINGS = st.builds(
    _said,
    st.integers(1, 6),
    st.sampled_from([RELEASE.release - 1, RELEASE.release]),
    PHASES,
    st.integers(0, 3),
    st.booleans(),
)
CHANGES = st.lists(
    st.tuples(st.lists(SAYINGS, max_size=4), st.sets(st.integers(1, 6), max_size=1)), max_size=6
)


def _what(tally: Tally) -> tuple[object, ...]:
    return (
        [(each.members, each.confirmed, each.failed) for each in tally.stages],
        dict(tally.installing),
        dict(tally.waiting),
        set(tally.halted_by),
        tally.heard(NOW),
        tally.next_ticket(),
    )


@given(CHANGES, st.sets(st.integers(1, 6), max_size=2), st.integers(0, 1))
def test_it_says_what_a_fresh_count_says(
    changes: list[tuple[list[Seen], set[int]]], retires: set[int], resumes: int
) -> None:
    tallies = Tallies()
    entries: dict[DeviceId, Seen] = {}
    view = View(entries)
    for turn, (said, gone) in enumerate(changes):
        entries.update({each.record.device: each for each in said})
        for each in gone:
            entries.pop(device(each).id, None)
        late = turn > len(changes) // 2
        retired = frozenset(device(each).id for each in retires) if late else NOBODY
        resumed = resumes if late else 0
        followed = tallies.of(RELEASE, view, retired=retired, resumed=resumed)
        fresh = Tally(RELEASE, entries.values(), retired=retired, resumed=resumed)
        assert _what(followed) == _what(fresh)


def test_a_release_that_was_signed_anew_is_counted_anew() -> None:
    tallies, view = Tallies(), View({device(1).id: _said(1, RELEASE.release, None, 0, False)})
    before = tallies.of(RELEASE, view, retired=NOBODY, resumed=0)
    assert tallies.of(RELEASE, view, retired=NOBODY, resumed=0) is before
    other = replace(RELEASE, rollout=Rollout(waves=(Wave(1000),)))
    assert len(tallies.of(other, view, retired=NOBODY, resumed=0).stages) == 2


def test_so_many_are_followed_and_no_more() -> None:
    tallies = Tallies()
    first = tallies.of(RELEASE, View(), retired=NOBODY, resumed=0)
    for number in range(MOST):
        other = replace(RELEASE, release=RELEASE.release + 1 + number)
        tallies.of(other, View(), retired=NOBODY, resumed=0)
    assert tallies.of(RELEASE, View(), retired=NOBODY, resumed=0) is not first
