"""What an operator may wish: consent to a release, and the way back from one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from p2pupd.engine.handlers import Handlers
from p2pupd.engine.messages import Approve
from p2pupd.engine.parts import Parts
from p2pupd.engine.records import Records
from p2pupd.engine.settings import DeviceSettings
from p2pupd.engine.way_back import way_back
from p2pupd.errors import NothingToDo, UpdateError, UsageError
from p2pupd.model.deployment import Deployment, Phase

_REVERTIBLE: Final = (Phase.ARMED, Phase.TRIAL)


async def answered(answer: asyncio.Future[str], work: Coroutine[Any, Any, str]) -> None:
    """Give whoever asked, and still waits, the result of `work` or its error."""
    try:
        said = await work
    except UpdateError as error:
        if not answer.done():
            answer.set_exception(error)
    else:
        if not answer.done():
            answer.set_result(said)


async def consent(parts: Parts, records: Records, handlers: Handlers, wish: Approve) -> int:
    """The release that may be installed from now on.

    Raises NothingToDo when none was meant or this device installs nothing, UsageError for one that
    is bad here without `again`.
    """
    if parts.install is None:
        raise NothingToDo(
            "this device installs nothing, it only carries releases for others: there is nothing "
            "to approve here; approve it on the devices that install it, or set install.component"
        )
    number = wish.release
    if number is None:
        waiting = [each for each in records.open() if each.phase is Phase.WAITING]
        if not waiting or waiting[0].release is None:
            raise NothingToDo("nothing waits for consent; name a release to allow it ahead")
        number = waiting[0].release.release
    await _forgive(parts, handlers, (parts.install.component, number), again=wish.again)
    await handlers.turns.approve(number, ahead=wish.ahead)
    return number


async def _forgive(
    parts: Parts, handlers: Handlers, which: tuple[str, int], *, again: bool
) -> None:
    """A release that has failed here before is allowed only when that is said."""
    reason = (await handlers.bad()).get(which)
    if reason is None:
        return
    if not again:
        raise UsageError(
            f"release {which[1]} has failed on this device before ({reason}); "
            f"`p2pupd approve {which[1]} --again` lets it be tried once more"
        )
    await asyncio.to_thread(parts.journal.clear_bad, *which)


async def revertible(parts: Parts, records: Records, settings: DeviceSettings) -> Deployment:
    """The deployment to go back from. Raises NothingToDo, UsageError or DowngradeError."""
    under_way = records.open()
    record = next((each for each in under_way if each.phase in _REVERTIBLE), None)
    if record is not None:
        return record
    if any(each.phase is Phase.INSTALLING for each in under_way):
        raise UsageError("the previous slot is being overwritten just now")
    return await asyncio.to_thread(way_back, parts.journal, settings)
