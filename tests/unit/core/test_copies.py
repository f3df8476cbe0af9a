from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from p2pupd.core.copies import copies
from p2pupd.model.device import Role
from p2pupd.model.fleet import ComponentState, Seen, View
from p2pupd.model.ids import ComponentId
from tests.builders import COMPONENT, HARDWARE, a_release
from tests.saying import NOW, seen

RELEASE = a_release()
HELD = (RELEASE.artifact.sha256[:16],)


def _view(*found: Seen) -> View:
    return View({each.record.device: each for each in found})


def _held(
    *found: Seen, wanted: int = 2, retired: Iterable[Seen] = ()
) -> tuple[int, int, bool] | None:
    gone = frozenset(each.record.device for each in retired)
    told = copies(_view(*found), [RELEASE], wanted, NOW, retired=gone)
    return (told[0].held, told[0].needed, told[0].enough) if told else None


def _device(number: int, holds: bool = True, **changes: Any) -> Seen:
    fields: dict[str, Any] = {"hardware_ids": (HARDWARE,), "holds": HELD if holds else ()} | changes
    return seen(number, **fields)


def test_so_many_devices_must_hold_it_complete() -> None:
    assert _held(_device(1), _device(2, holds=False), _device(3, holds=False)) == (1, 2, False)
    assert _held(_device(1), _device(2), _device(3, holds=False)) == (2, 2, True)


def test_the_seed_leaves_with_the_stick_and_a_leech_gives_nothing() -> None:
    others = [_device(2, role=Role.SEED), _device(3, role=Role.LEECH), _device(4, holds=False)]
    assert _held(_device(1), *others) == (1, 2, False)


def test_who_is_silent_does_not_count() -> None:
    gone = replace(_device(2), alive=NOW + 1.0, lost=NOW + 2.0)
    assert _held(_device(1), gone, _device(3, holds=False)) == (1, 2, False)


def test_who_is_silent_wants_it_all_the_same_until_it_is_retired() -> None:
    silent = [replace(_device(each, holds=False), lost=NOW + 2.0) for each in (2, 3)]
    assert _held(_device(1), *silent) == (1, 2, False)
    assert _held(_device(1), *silent, retired=silent) == (1, 1, True)


def test_where_fewer_devices_take_it_all_of_them_are_enough() -> None:
    assert _held(_device(1)) == (1, 1, True)
    assert _held(_device(1, holds=False)) == (0, 1, False)


def test_what_nobody_here_is_for_is_not_asked_about() -> None:
    assert _held(_device(1, holds=False, hardware_ids=("other",))) is None
    other = ComponentState(ComponentId("other"), "1", 1)
    assert _held(_device(1, holds=False, components=(other,))) is None
    known = ComponentState(COMPONENT, "1.6", 6)
    assert _held(_device(1, holds=False, components=(known,))) == (0, 1, False)
