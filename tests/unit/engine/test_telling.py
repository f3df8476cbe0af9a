"""What a device tells of itself when its disk does not let it."""

import asyncio
from pathlib import Path

from p2pupd.engine.own_word import OwnWord
from p2pupd.engine.telling import Telling
from p2pupd.errors import SpaceError
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.fleet import StatusRecord
from tests.gossiping import ring
from tests.saying import device
from tests.support import eventually, running


async def test_a_record_that_cannot_be_made_is_not_tried_again_without_a_pause(
    tmp_path: Path,
) -> None:
    tried = 0

    async def content() -> StatusRecord:
        nonlocal tried
        tried += 1
        raise SpaceError("the disk is full")

    node = ring(1)[0]
    word = OwnWord(device(1), SqliteJournal(tmp_path / "journal.sqlite", JournalSettings()))
    telling = Telling(word, node.shelf, node.sync, lambda: None, lambda: 1)
    async with running(telling.run(content)):
        await eventually(lambda: tried > 0)
        for _ in range(100):
            await asyncio.sleep(0)
    assert tried == 1
