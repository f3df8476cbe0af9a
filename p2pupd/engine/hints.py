"""Bundles that neighbours brought: weighed before anything is written down about them.

Whoever is on the network may send as many as its rate allows. What nobody has signed costs neither
flash nor a line of the device's past, and no more memory than a few bundles.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from p2pupd.core.admission import Refusal
from p2pupd.core.token_bucket import TokenBucket
from p2pupd.engine.messages import HintBelieved, OfferOutcome, Ticket
from p2pupd.engine.parts import Parts
from p2pupd.engine.tasks import Tasks
from p2pupd.engine.transfers import Note
from p2pupd.errors import FetchError, UpdateError
from p2pupd.feeds.interface import Offer

log = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Bundles of neighbours in memory, from their coming to their end."""

NOTES_PER_SECOND: Final = 1 / 300
NOTES_AT_ONCE: Final = 5
"""Refused ones that go into the device's history; the others are only in the log."""


class Hints:
    def __init__(self, parts: Parts, note: Note, believed: Callable[[HintBelieved], None]) -> None:
        """`believed` is called with each bundle that trust accepted."""
        self._parts = parts
        self._note = note
        self._believed = believed
        self._open: set[asyncio.Future[OfferOutcome]] = set()
        self._notes = TokenBucket(NOTES_PER_SECOND, NOTES_AT_ONCE, self._time())

    def admit(self, ticket: Ticket) -> bool:
        """Whether one more may come in; it counts until its ticket is finished."""
        if len(self._open) >= AT_ONCE:
            ticket.finish(_refused("busy", "too many offers at once", FetchError.code))
            return False
        self._open.add(ticket.done)
        ticket.done.add_done_callback(self._open.discard)
        return True

    def weigh(self, offer: Offer, ticket: Ticket, tasks: Tasks) -> None:
        """Believe it or not, in its own time."""
        tasks.start(f"weigh {offer.source}", self._weigh(offer, ticket))

    async def _weigh(self, offer: Offer, ticket: Ticket) -> None:
        accept, clock = self._parts.verifier.accept, self._parts.clock()
        try:
            manifest = await asyncio.to_thread(accept, offer.bundle, clock)
        except UpdateError as error:
            self._refuse(offer, error)
            ticket.finish(_refused(error.reason, str(error), error.code))
        else:
            self._believed(HintBelieved(offer, ticket, manifest))

    def _refuse(self, offer: Offer, error: UpdateError) -> None:
        if self._notes.take(self._time()):
            fields = {"source": offer.source, "reason": error.reason, "detail": str(error)}
            self._note("offer.refused", **fields)
        else:
            log.info("offer.refused source=%s reason=%s", offer.source, error.reason)

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()


def _refused(reason: str, detail: str, code: int) -> OfferOutcome:
    return OfferOutcome(refusal=Refusal(reason, detail, code))
