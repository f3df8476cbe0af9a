import os
import threading

from p2pupd.host.background import NICE, Background
from tests.support import eventually


async def test_a_background_thread_steps_back_and_no_other_one_does() -> None:
    background, ended = Background("test"), threading.Event()
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    nice = await background.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert nice == max(NICE, before)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    background.end(ended.set)
    await eventually(ended.is_set)
