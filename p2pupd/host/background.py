"""Work that must not be in the way of anything else on the device: one thread of its own."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

NICE: Final = 15
"""Of 19. The disk I/O of a thread follows its nice value, unless it was told else."""


class Background:
    """One thread with a low priority; its jobs run one after the other."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name, _step_back)

    async def run(self, job: Callable[[], T]) -> T:
        """Its result, or what it raises. A job that has begun ends also when this is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def end(self, last: Callable[[], object]) -> None:
        """Do `last` after what was begun, and nothing after it. Does not wait."""
        self._executor.submit(last)
        self._executor.shutdown(wait=False)


def _step_back() -> None:
    """On Linux each thread has a nice value of its own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
