"""The law of the engine: take one event, step the record, journal it, then act. One writer.

Everything that changes a deployment passes through `Engine.run`; the rest of the daemon only puts
messages into its inbox and reads its reports.
"""

import asyncio
import logging
import random

from p2pupd.core import admission, lifecycle, recovery
from p2pupd.core.admission import Refusal
from p2pupd.core.backoff import delay
from p2pupd.engine.carrying import Carrier
from p2pupd.engine.content import Content, content_of
from p2pupd.engine.handlers import Handlers
from p2pupd.engine.hints import Hints
from p2pupd.engine.history import History, phase_fields
from p2pupd.engine.keeping import Keeper
from p2pupd.engine.messages import (
    Approve,
    BundleBelieved,
    HintBelieved,
    Message,
    OfferCame,
    OfferOutcome,
    Reconsider,
    RollBackAsked,
    SourceLeft,
    SourceRefused,
    Ticket,
)
from p2pupd.engine.parts import Parts
from p2pupd.engine.records import Records
from p2pupd.engine.settings import DeviceSettings
from p2pupd.engine.sources import Sources
from p2pupd.engine.tasks import Tasks
from p2pupd.engine.wishes import answered, consent, revertible
from p2pupd.errors import FetchError, SpaceError, UpdateError
from p2pupd.feeds.interface import Offer
from p2pupd.model import commands as do
from p2pupd.model import events as on
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import DeviceFacts
from p2pupd.model.ids import DeploymentId, ManifestDigest
from p2pupd.model.release import Manifest, Release
from p2pupd.wire import bundle as wire_bundle

log = logging.getLogger(__name__)


class Engine:
    """Owns every deployment of this device. Construct with its parts, then `run`."""

    def __init__(self, parts: Parts, settings: DeviceSettings) -> None:
        self.parts = parts
        self._settings = settings
        self._keeper = Keeper(parts, settings.role)
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.records = Records(parts.journal)
        self._working: dict[DeploymentId, asyncio.Task[None]] = {}
        self._tickets: dict[DeploymentId, Ticket] = {}
        self.manifest: Manifest | None = None
        self.content: Content
        self.sources: Sources
        self.carrier: Carrier
        self.handlers: Handlers
        self._tasks: Tasks
        self._history = History(parts.journal, self._now)
        self._hints = Hints(parts, self.note, self._inbox.put_nowait)
        self._took: float | None = None
        self.ready = asyncio.Event()

    def offer(self, offer: Offer) -> Ticket:
        """Take an offer in; the ticket tells what becomes of it."""
        ticket = Ticket(asyncio.get_running_loop().create_future())
        if offer.open_content is not None or self._hints.admit(ticket):
            self._inbox.put_nowait(OfferCame(offer, ticket))
        return ticket

    def source_gone(self, source: str) -> None:
        """A stick was pulled; what was copied of it stays for when it is back."""
        self._inbox.put_nowait(SourceLeft(source))

    def source_refused(self, source: str, error: UpdateError) -> None:
        """A stick is there, but cannot be read safely."""
        self._inbox.put_nowait(SourceRefused(source, error))

    def reconsider(self) -> None:
        """Look again whether something can be installed now."""
        self._inbox.put_nowait(Reconsider())

    async def approve(self, release: int | None, *, again: bool, ahead: bool = False) -> str:
        """The operator's consent. Raises NothingToDo when nothing waits for it."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait(Approve(release, again, answer, ahead))
        return await answer

    async def roll_back(self) -> str:
        """Go back to the previous slot. Raises NothingToDo or UsageError when there is no way."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait(RollBackAsked(answer))
        return await answer

    def note(self, event: str, **fields: str) -> None:
        """A line for the log and the device's durable history."""
        self._history.note(event, **fields)
        self.parts.changed()

    def alive(self) -> bool:
        """Whether messages are being taken; waiting for room on the disk is no stand-still."""
        if self._took is None or self.records.waiting:
            return True
        return asyncio.get_running_loop().time() - self._took < self._settings.stall_after

    async def run(self) -> None:
        """Recover, then take messages until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._tasks = Tasks(group)
            self._tasks.start("history", self._history.run())
            self.content = content_of(self.parts, self._tasks, self.note)
            self.sources = Sources(self.content, self.note)
            self.carrier = Carrier(
                self.content, self._settings.role, self._tasks, self.note, self.reconsider
            )
            self.handlers = Handlers(
                self.parts,
                self._settings,
                self.content,
                self.carrier.copying,
                look_again=self.reconsider,
                note=self.note,
            )
            await self._start()
            while True:
                self._took = None
                message = await self._inbox.get()
                self._took = asyncio.get_running_loop().time()
                try:
                    await self._take(message)
                except UpdateError as error:
                    self._could_not(message, error)

    async def _start(self) -> None:
        self.manifest = await asyncio.to_thread(self.parts.verifier.current)
        await self.handlers.turns.load()
        open_records = await self.records.load()
        await self._protect()
        await self._keeper.trim()
        self._tasks.start("share", self.content.share_all())
        for journaled in open_records:
            record, first = recovery.recover(journaled)
            self.note("deployment.recovered", id=record.id, phase=record.phase)
            await self.records.write(record)
            if isinstance(first, on.Event):
                self._inbox.put_nowait(first)
            else:
                self._act(first)
        if self.manifest is not None:
            self.parts.announce(ManifestDigest(self.manifest.digest))
            self.carrier.manifest_accepted(self.manifest, None)
        self._tasks.start("recheck", self._recheck())
        self.reconsider()
        self.ready.set()

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(self._settings.recheck)
            self.reconsider()
            await self.carrier.look_again()

    def _could_not(self, message: Message, error: UpdateError) -> None:
        """The device's own trouble (its slots cannot be read, say) ends no daemon."""
        log.error("engine.could-not message=%s error=%s", type(message).__name__, error)
        if isinstance(message, BundleBelieved):
            failed = on.CommandFailed(message.deployment, error.reason, str(error), error.code)
            self._inbox.put_nowait(failed)
        if isinstance(message, OfferCame | HintBelieved):
            refusal = Refusal(error.reason, str(error), error.code)
            message.ticket.finish(OfferOutcome(refusal=refusal))

    async def _take(self, message: Message) -> None:
        match message:
            case on.Event():
                self._tell_refusal(message)
                await self._step(message)
            case BundleBelieved():
                await self._believe(message)
            case OfferCame():
                await self._offered(message)
            case HintBelieved():
                await self._hinted(message)
            case SourceLeft(source=source):
                self.sources.left(source)
            case SourceRefused(source=source, error=error):
                self.sources.refused(source, error.reason, str(error))
            case Reconsider():
                await self._reconsider()
            case Approve():
                await answered(message.answer, self._approve(message))
            case RollBackAsked():
                await answered(message.answer, self._roll_back())

    async def _step(self, event: on.Event) -> None:
        record = self.records.get(event.deployment)
        if record is None:
            return
        after, commands = lifecycle.step(record, event, self._now())
        if after is record:
            return
        await self.records.write(after)
        for command in commands:
            self._act(command)
        if after.phase is not record.phase:
            self.note(f"deployment.{after.phase}", **phase_fields(after))
            if after.phase.ended:
                await self._ended(after)

    def _act(self, command: do.Command) -> None:
        working = self._working.pop(command.deployment, None)
        if working is not None:
            working.cancel()
        if isinstance(command, do.StopFetch):
            return
        name = f"{type(command).__name__} {command.deployment}"
        self._working[command.deployment] = self._tasks.start(name, self._carry_out(command))

    async def _carry_out(self, command: do.Command) -> None:
        await asyncio.sleep(delay(command.attempt, random.random()))  # noqa: S311 - spreads retries
        record = self.records.get(command.deployment)
        if record is None:
            return
        try:
            result = await self.handlers.carry_out(record, command)
        except UpdateError as error:
            transient = isinstance(error, (FetchError, SpaceError))
            log.warning("command.failed id=%s reason=%s error=%s", record.id, error.reason, error)
            result = on.CommandFailed(record.id, error.reason, str(error), error.code, transient)
        if result is not None:
            self._inbox.put_nowait(result)

    async def _offered(self, message: OfferCame) -> None:
        offer, ticket = message.offer, message.ticket
        digest = wire_bundle.digest(offer.bundle)
        self.sources.came(offer)
        if self.manifest is not None and self.manifest.digest == digest:
            self.sources.believed(offer)
            ticket.decided(await self._choose(self.manifest))
            self._carry(self.manifest, offer, ticket)
            self.reconsider()
        elif offer.open_content is None:
            self._hints.weigh(offer, ticket, self._tasks)
        else:
            self._act(do.VerifyOffer(await self._new(offer, ticket, digest), 0))

    async def _hinted(self, message: HintBelieved) -> None:
        """A neighbour's bundle that says nothing new leaves no trace."""
        offer, ticket, manifest = message.offer, message.ticket, message.manifest
        if self.manifest is not None and self.manifest.digest == manifest.digest:
            self.sources.believed(offer)
            ticket.finish(OfferOutcome(manifest))
            return
        record = await self._new(offer, ticket, ManifestDigest(manifest.digest))
        self._inbox.put_nowait(BundleBelieved(record, manifest))

    async def _new(self, offer: Offer, ticket: Ticket, digest: ManifestDigest) -> DeploymentId:
        record = await self.records.new(offer.source, digest, self._now())
        self.handlers.offers[record.id] = offer
        self._tickets[record.id] = ticket
        return record.id

    def _tell_refusal(self, event: on.Event) -> None:
        """An offer that could not be verified: its source and whoever follows it are told."""
        record = self.records.get(event.deployment)
        if record is None or record.phase is not Phase.OFFERED:
            return
        if isinstance(event, on.OfferRejected | on.CommandFailed):
            offer = self.handlers.offers[record.id]
            if offer.open_content is not None:
                self.sources.refused(offer.source, event.reason, event.detail)
            refusal = Refusal(event.reason, event.detail, event.code)
            self._tickets[record.id].finish(OfferOutcome(refusal=refusal))

    async def _believe(self, message: BundleBelieved) -> None:
        manifest, offer = self._newest(message.manifest), self.handlers.offers[message.deployment]
        self.sources.believed(offer)
        new = self.manifest is None or self.manifest.digest != manifest.digest
        self.manifest = manifest
        for warning in manifest.warnings:
            self.note("manifest.warning", detail=warning)
        ticket = self._tickets.get(message.deployment)
        choice = await self._choose(manifest)
        if ticket is not None:
            ticket.decided(choice)
        if new:
            self.note("manifest.accepted", digest=manifest.digest[:16], source=offer.source)
            self.parts.announce(ManifestDigest(manifest.digest))
        self._carry(manifest, offer, ticket)
        await self._protect()
        await self._cancel_withdrawn(manifest)
        await self._decide(message.deployment, choice)

    def _newest(self, manifest: Manifest) -> Manifest:
        """Two bundles may be believed in one order, and their messages come in the other."""
        current = self.parts.verifier.current()
        return manifest if current is None or current.digest == manifest.digest else current

    def _carry(self, manifest: Manifest, offer: Offer, ticket: Ticket | None) -> None:
        if offer.open_content is None:
            self.carrier.manifest_accepted(manifest, ticket)
        else:
            self.carrier.stick_came(manifest, offer.source, ticket)

    async def _cancel_withdrawn(self, manifest: Manifest) -> None:
        """What its signers no longer name is not installed any more."""
        for record in self.records.open():
            if record.release is not None and record.release not in manifest.releases:
                why = f"{record.release.label} is not in the newest manifest"
                await self._step(on.CancelWanted(record.id, why))

    async def _choose(self, manifest: Manifest) -> Release | Refusal:
        try:
            return admission.choose(manifest.releases, await self.handlers.facts())
        except UpdateError as error:
            return Refusal(error.reason, str(error), error.code)

    async def _decide(self, deployment: DeploymentId, choice: Release | Refusal) -> None:
        """Let the deployment go on with its choice, unless another one is on the way."""
        if isinstance(choice, Refusal):
            await self._step(on.OfferRejected(deployment, **choice.fields()))
            return
        others = self.records.installing(deployment)
        if any(each.release == choice for each in others):
            await self._step(on.OfferRejected(deployment, "under-way", "is already under way", 4))
            return
        for each in others:
            await self._step(on.NewerRelease(each.id, f"{choice.label} took its place"))
        if self.records.installing(deployment):
            waits = "waits for the installation that is under way"
            await self._step(on.OfferRejected(deployment, "busy", waits, 4))
            return
        await self._step(on.OfferVerified(deployment, choice))

    async def _reconsider(self) -> None:
        """Ask closed gates again; start what the manifest wants and nothing is doing yet."""
        await self.handlers.turns.watch(self.manifest.releases if self.manifest else ())
        for record in self.records.open():
            if record.phase is Phase.WAITING:
                self._act(do.AskTurn(record.id, 0))
        if self.manifest is None or self.records.open():
            return
        facts = await self.handlers.facts()
        choice = admission.choose(self.manifest.releases, facts)
        if isinstance(choice, Refusal) or self._still_refused(choice, facts):
            return
        digest = ManifestDigest(self.manifest.digest)
        record = await self.records.new("manifest", digest, self._now())
        await self._step(on.OfferVerified(record.id, choice))

    def _still_refused(self, choice: Release, facts: DeviceFacts) -> bool:
        last, refusal = self.records.latest, admission.refusal(choice, facts)
        if last is None or refusal is None or last.phase is not Phase.REFUSED:
            return False
        return last.release == choice and last.reason == refusal.reason

    async def _approve(self, wish: Approve) -> str:
        number = await consent(self.parts, self.records, self.handlers, wish)
        said = {"again": str(wish.again).lower(), "ahead": str(wish.ahead).lower()}
        self.note("operator.approved", release=str(number), **said)
        self.reconsider()
        return f"release {number} may be installed"

    async def _roll_back(self) -> str:
        record = await revertible(self.parts, self.records, self._settings)
        self.records.adopt(record)
        if record.release is not None:
            await self.handlers.turns.withdraw(record.release.release)
        await self._step(on.RollbackWanted(record.id, "the operator asked for it"))
        return f"going back to slot {record.previous_slot}"

    async def _ended(self, record: Deployment) -> None:
        self.handlers.offers.pop(record.id, None)
        self.handlers.written.pop(record.id, None)
        self._tickets.pop(record.id, None)
        self._working.pop(record.id, None)
        self.records.forget(record.id)
        await self._protect()
        await self._keeper.trim()
        if record.phase is not Phase.FAILED:
            self.reconsider()

    async def _protect(self) -> None:
        await self._keeper.protect(self.records.open(), self.carrier.wanted())

    def _now(self) -> float:
        return self.parts.clock().now
