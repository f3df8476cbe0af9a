"""One daemon as a process: its signals, its threads, and what ends it."""

import asyncio
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from p2pupd.config.load import Config
from p2pupd.daemon import Daemon
from p2pupd.errors import UpdateError
from p2pupd.host.memory import stay_small
from p2pupd.host.systemd import ServiceManager
from p2pupd.logs import configure_logging

log = logging.getLogger(__name__)

THREADS: Final = 32
"""Blocking work at once. Python's own limit, a few per core, is soon held by slow sticks; then not
even the journal could be written."""


def run_daemon(config: Config, *, log_format: str, debug: bool) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError, or HostError when it cannot start."""
    configure_logging(log_format, debug=debug)
    run_until_told(Daemon(config, ServiceManager.from_environment()))


def run_until_told(daemon: Daemon) -> None:
    """Run this daemon until SIGTERM or SIGINT; what ended it comes out as one UpdateError."""
    try:
        asyncio.run(_main(daemon))
    except asyncio.CancelledError:
        log.info("daemon.stopped")
    except BaseExceptionGroup as group:
        expected = _first_expected(group)
        if expected is None:
            raise
        raise expected from group


def _first_expected(group: BaseExceptionGroup[BaseException]) -> UpdateError | None:
    """The error to tell when everything that went wrong is of our own tree."""
    ours, others = group.split(UpdateError)
    if ours is None or others is not None:
        return None
    first: BaseException = ours
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, UpdateError) else None


async def _main(daemon: Daemon) -> None:
    stay_small()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "p2pupd"))
    _stop_on_signals(daemon.shutdown_grace, daemon.manager)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.reloader.wanted.set)
    await daemon.run()


def _stop_on_signals(grace: float, manager: ServiceManager) -> None:
    """SIGTERM and SIGINT unwind the task groups; what hangs is cut off after `grace` seconds."""
    main = asyncio.current_task()
    assert main is not None
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        log.info("daemon.stopping signal=%s", number.name)
        manager.stopping()
        end = threading.Timer(grace, os._exit, [1])
        end.daemon = True
        end.start()
        main.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
