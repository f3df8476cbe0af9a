"""Neighbours by multicast DNS (RFC 6762, 6763): announce this device, hear of the others. IPv4.

zeroconf's own browser reports a name once; a neighbour that was killed and started again with the
same records would stay unnoticed while they are cached. So every pointer record that arrives
counts as a sighting, and the questions are asked here, with growing pauses.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from zeroconf import (  # type: ignore[attr-defined]
    DNSOutgoing,
    DNSPointer,
    DNSQuestion,
    RecordUpdate,
    RecordUpdateListener,
    Zeroconf,
    current_time_millis,
)
from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from p2pupd.core.token_bucket import TokenBucket
from p2pupd.discovery.announcing import AnnouncementPace
from p2pupd.discovery.interface import DiscoveryListener
from p2pupd.discovery.interfaces import InterfaceWatcher, LocalAddress
from p2pupd.discovery.records import SERVICE, instance, neighbour_from, service_info
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.errors import HostError
from p2pupd.model.device import Announcement

log = logging.getLogger(__name__)

SOURCE: Final = "mdns"
FIRST_QUESTION: Final = 0.05
"""Seconds before the first question; RFC 6762 5.2 wants 20 to 120 ms, by chance."""
SECOND_QUESTION: Final = 1.0
"""Seconds after the first; every further pause is twice as long."""
KNOWN_ANSWERS: Final = 200
"""Pointers listed at most in a question, so that those devices need not answer (RFC 6762 7.1)."""
TOLD_LIMIT: Final = 1024
POINTER, INTERNET = 12, 1
"""Record type PTR and class IN of RFC 1035."""


class MdnsDiscovery:
    """`Discovery` by multicast. Registers without probing: the name comes from a unique key."""

    def __init__(
        self,
        settings: DiscoverySettings,
        announcement: Announcement,
        interfaces: InterfaceWatcher,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`interfaces` must be running beside it, else changes of the network go unnoticed."""
        self._settings = settings
        self._interfaces = interfaces
        self._clock = clock
        self._chance = chance
        self._pace = AnnouncementPace(announcement, settings.announce_interval)
        self._wanted = asyncio.Event()

    def announce(self, announcement: Announcement) -> None:
        """Say this from now on; see AnnouncementPace for when."""
        self._pace.wanted = announcement
        self._wanted.set()

    async def run(self, listener: DiscoveryListener) -> None:
        """Announce and listen on the addresses in use until cancelled, then say goodbye.

        Starts anew whenever they change. Raises HostError when the port cannot be had.
        """
        while True:
            used = self._ipv4()
            if used:
                await self._serve(listener, used)
            else:
                log.info("mdns.waiting reason=no-interface")
                await self._other_than(used)

    async def _serve(self, listener: DiscoveryListener, used: Sequence[LocalAddress]) -> None:
        """Until the addresses in use are others, and then without a goodbye."""
        addresses = [local.address for local in used]
        where = ",".join(addresses)
        try:
            mdns = AsyncZeroconf(interfaces=addresses)
        except (OSError, RuntimeError) as error:
            raise HostError(f"cannot use multicast DNS on {where}: {error}") from error
        sightings = Sightings(self._settings, mdns.zeroconf, listener, self._clock)
        mdns.zeroconf.async_add_listener(sightings, None)
        try:
            await mdns.zeroconf.async_wait_for_start()
            log.info("mdns.started addresses=%s", where)
            async with asyncio.TaskGroup() as group:
                publishing = group.create_task(self._publish(mdns, addresses))
                asking = group.create_task(self._ask(mdns.zeroconf, sightings))
                await self._other_than(used)
                publishing.cancel()
                asking.cancel()
            registry = mdns.zeroconf.registry
            registry.async_remove(registry.async_get_service_infos())
        except ZeroconfError as error:
            raise HostError(f"multicast DNS on {where} does not start: {error!r}") from error
        finally:
            await mdns.async_close()

    def _ipv4(self) -> tuple[LocalAddress, ...]:
        return tuple(local for local in self._interfaces.used if ":" not in local.address)

    async def _other_than(self, used: Sequence[LocalAddress]) -> None:
        while self._ipv4() == used:
            await self._interfaces.changed(self._interfaces.used)

    async def _publish(self, mdns: AsyncZeroconf, addresses: Sequence[str]) -> None:
        """Register, and update the records as `announce` is called.

        zeroconf repeats every announcement twice; repeats of an old one are stopped, because they
        would contradict the new one.
        """
        loop = asyncio.get_running_loop()
        info = self._records(loop.time(), addresses)
        repeats = await mdns.async_register_service(info, cooperating_responders=True)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while (due := self._pace.due()) is not None:
                await asyncio.sleep(max(0.0, due - loop.time()))
                if isinstance(repeats, asyncio.Future):
                    repeats.cancel()
                repeats = await mdns.async_update_service(self._records(loop.time(), addresses))

    def _records(self, now: float, addresses: Sequence[str]) -> AsyncServiceInfo:
        return service_info(self._pace.send(now), addresses)

    async def _ask(self, zeroconf: Zeroconf, sightings: "Sightings") -> None:
        """Ask who is there: at once, after 1 s, then ever more rarely (RFC 6762 5.2)."""
        await asyncio.sleep(FIRST_QUESTION * (0.5 + self._chance()))
        zeroconf.async_send(_question(zeroconf, sightings.told, unicast_answer=True))
        pause = SECOND_QUESTION
        while True:
            await asyncio.sleep(pause * (1 + self._chance() / 10))
            zeroconf.async_send(_question(zeroconf, sightings.told, unicast_answer=False))
            pause = min(pause * 2, self._settings.query_interval)


def _question(zeroconf: Zeroconf, told: set[str], *, unicast_answer: bool) -> DNSOutgoing:
    """Only who was `told` to the listener is listed as known: all others shall answer again."""
    question = DNSQuestion(SERVICE, POINTER, INTERNET)
    question.unicast = unicast_answer
    packet = DNSOutgoing(0)
    packet.add_question(question)
    now = current_time_millis()
    known = zeroconf.cache.get_all_by_details(SERVICE, POINTER, INTERNET)
    fresh = (
        record
        for record in known
        if isinstance(record, DNSPointer) and record.alias in told and not record.is_stale(now)
    )
    for record in islice(fresh, KNOWN_ANSWERS):
        packet.add_answer_at_time(record, now)
    return packet


class Sightings(RecordUpdateListener):
    """Turns arriving pointer records of our service into calls of a DiscoveryListener.

    At most `record_burst` at once and `record_rate` per second are looked at; of a larger floor
    the others come with the answers to the next question. Expiry of a record is no news: the view
    asks neighbours itself.
    """

    def __init__(
        self,
        settings: DiscoverySettings,
        zeroconf: Zeroconf,
        listener: DiscoveryListener,
        clock: Callable[[], float],
    ) -> None:
        self._zeroconf = zeroconf
        self._listener = listener
        self._clock = clock
        self._bucket = TokenBucket(settings.record_rate, settings.record_burst, time.monotonic())
        self._names: dict[str, bool] = {}
        self.told: set[str] = set()

    def async_update_records(self, _zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        """Called with every record of every response before the cache has it."""
        for update in records:
            record = update.new
            if not isinstance(record, DNSPointer) or record.key != SERVICE:
                continue
            goodbye = record.ttl == 0
            expired = not goodbye and record.is_expired(now)
            if not expired and self._bucket.take(time.monotonic()):
                self._names[record.alias] = goodbye

    def async_update_records_complete(self) -> None:
        """Called when the cache has the records."""
        names, self._names = self._names, {}
        for name, goodbye in names.items():
            device = instance(name)
            if device is None:
                continue
            self.told.discard(name)
            if goodbye:
                self._listener.neighbour_lost(device, SOURCE)
                continue
            info = AsyncServiceInfo(SERVICE, name)
            info.load_from_cache(self._zeroconf)
            neighbour = neighbour_from(info, SOURCE, self._clock())
            if neighbour is not None:
                if len(self.told) < TOLD_LIMIT:
                    self.told.add(name)
                self._listener.neighbour_seen(neighbour)
