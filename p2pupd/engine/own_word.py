"""This device's records, numbered: a later one is always the greater, over restarts and losses.

Numbers are written down in blocks, so a record costs no write of its own. A device that was put
back to an old backup, or lost its journal, hears its own later record from others; then it goes on
in the next epoch.
"""

import logging
from dataclasses import replace
from typing import Final

from p2pupd.journal.interface import Journal
from p2pupd.model.device import ByteCounts
from p2pupd.model.fleet import Stamp, StatusRecord
from p2pupd.trust.identity import Identity
from p2pupd.trust.records import sign
from p2pupd.wire.records import LAST_EPOCH

log = logging.getLogger(__name__)

BLOCK: Final = 128
"""Numbers that are written down at once."""


class OwnWord:
    """Written by one task only."""

    def __init__(self, identity: Identity, journal: Journal) -> None:
        self._identity = identity
        self._journal = journal
        self._epoch, self._sequence, self._written = 0, 0, 0
        self._said: StatusRecord | None = None
        self._heard: Stamp | None = None

    def load(self) -> None:
        """Go on after the last number that was written down. Blocks."""
        self._epoch, self._sequence = self._journal.own_records_numbered()
        self._written = self._sequence

    def resume(self, said: StatusRecord | None) -> None:
        """What this device said last before it started, if that was kept."""
        if said is not None and (said.epoch, said.sequence) <= (self._epoch, self._sequence):
            self._said = said

    def overtaken(self, stamp: Stamp) -> None:
        """Somebody holds a record of this device with that stamp, later than its own.

        Of the same number it is another one: what the device said after its backup was made. It is
        heeded before the next record, which another thread may be making just now.
        """
        if stamp.epoch < LAST_EPOCH:
            self._heard = max(stamp, self._heard or stamp)

    def _heed(self) -> None:
        stamp, self._heard = self._heard, None
        if stamp is None or (stamp.epoch, stamp.sequence) < (self._epoch, self._sequence):
            return
        log.warning("fleet.own-record-overtaken epoch=%d sequence=%d", stamp.epoch, stamp.sequence)
        self._epoch, self._sequence = stamp.epoch + 1, 0
        self._written = 0

    def differs(self, content: StatusRecord) -> bool:
        """Whether `content` says something that was not said yet, in this epoch."""
        self._heed()
        return self._differs(content)

    def _differs(self, content: StatusRecord) -> bool:
        said = self._said
        return said is None or said.epoch != self._epoch or _lasting(said) != _lasting(content)

    def next(self, content: StatusRecord) -> bytes:
        """The next record, signed. Blocks (disk, sometimes). Raises HostError or SpaceError."""
        self._heed()
        sequence = self._sequence + 1
        if sequence > self._written:
            self._journal.number_own_records(self._epoch, sequence + BLOCK)
            self._written = sequence + BLOCK
        self._sequence = sequence
        said = self._said
        news = sequence if said is None or self._differs(content) else said.news
        record = replace(content, epoch=self._epoch, sequence=sequence, news=news)
        self._said = record
        return sign(record, self._identity)


def _lasting(record: StatusRecord) -> StatusRecord:
    """The record without what changes all the time, and is worth no news."""
    return replace(
        record,
        epoch=0,
        sequence=0,
        news=0,
        at=0,
        beat=0,
        store_free=0,
        counts=ByteCounts(),
    )
