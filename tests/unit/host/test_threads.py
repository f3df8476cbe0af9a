"""Work in threads outlives nobody's patience unseen."""

import asyncio
from threading import Event

import pytest

from p2pupd.errors import HostError
from p2pupd.host.threads import to_the_end


async def test_it_returns_and_raises_what_the_work_does() -> None:
    def fails() -> None:
        raise HostError("no")

    assert await to_the_end(lambda: 7) == 7
    with pytest.raises(HostError, match="no"):
        await to_the_end(fails)


async def test_cancelling_waits_for_the_thread_however_often() -> None:
    begun, stop, ended = Event(), Event(), Event()
    told: list[str] = []

    def work() -> None:
        begun.set()
        stop.wait(10)
        ended.set()
        raise HostError("nobody hears that")

    task = asyncio.get_running_loop().create_task(to_the_end(work, lambda: told.append("stop")))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.wait([task], timeout=0.01)
        assert not task.done()
    stop.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert told == ["stop"]
