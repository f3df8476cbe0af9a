"""The only place where tasks are made: each has a name and an owner, and none is forgotten."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from p2pupd.core.backoff import delay
from p2pupd.errors import UpdateError

log = logging.getLogger(__name__)


class Tasks:
    """Tasks of one TaskGroup. A bug in one ends all; the group's owner sees it."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` to its end; an UpdateError that leaves it is a bug of its author."""
        return self._group.create_task(work, name=name)

    def supervise(self, name: str, service: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a service for ever: after an expected failure it starts again with back-off."""
        return self.start(name, _forever(name, service))


async def _forever(name: str, service: Callable[[], Awaitable[None]]) -> None:
    failures = 0
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            await service()
            return
        except UpdateError as error:
            ran = loop.time() - started
            failures = 1 if ran > delay(failures, 0) * 2 else failures + 1
            pause = delay(failures, random.random())  # noqa: S311 - spreads retries, no secret
            log.warning(
                "task.failed name=%s reason=%s pause=%.1f error=%s",
                name,
                error.reason,
                pause,
                error,
            )
        await asyncio.sleep(pause)


class Signal:
    """Wakes whoever waits at that moment; unlike an event it has no memory."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def fire(self) -> None:
        """Wake all that wait now."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def next(self) -> asyncio.Future[None]:
        """Done at the next `fire`."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future


async def either(task: asyncio.Task[Any], signal: Signal) -> None:
    """Return when `task` has ended or `signal` fires; neither is touched."""
    news = signal.next()
    try:
        await asyncio.wait([task, news], return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()


async def unless(
    better: Callable[[], bool], signal: Signal, work: Coroutine[Any, Any, Any]
) -> bool:
    """Run `work` to its end: true. Whenever `signal` fires and `better()`: cancel it, false.

    What `work` raises comes out of here.
    """
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await either(task, signal)
            if not task.done() and better():
                return False
        task.result()
        return True
    finally:
        task.cancel()
        await asyncio.wait([task])
