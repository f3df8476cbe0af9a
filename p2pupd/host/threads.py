"""Work in threads that must have ended before anything else is done, also when nobody waits."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


async def to_the_end(work: Callable[[], R], stop: Callable[[], None] = lambda: None) -> R:
    """Do `work` in a thread. Returns what it returns, raises what it raises.

    When cancelled, `stop` is called, and the cancellation goes on when the thread has ended, so a
    lock that is held meanwhile protects it. How the work ended is not told then.
    """
    done = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        stop()
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError:
                continue
        done.exception()
        raise
