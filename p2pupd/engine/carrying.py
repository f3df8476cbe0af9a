"""What this device carries for others, beyond what it installs itself."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from p2pupd.core.retention import supersedes
from p2pupd.engine.content import Content
from p2pupd.engine.messages import OfferOutcome, Ticket
from p2pupd.engine.tasks import Tasks
from p2pupd.engine.transfers import Note
from p2pupd.errors import ContentError, SourceGone, UpdateError
from p2pupd.feeds.repository import NOT_ON_STICK
from p2pupd.model.device import Role
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Manifest, Release


class Carrier:
    """A seed carries the whole manifest; every device carries what is on a stick put into it.

    A leech takes from a stick only what it installs. What a release that is here supersedes is not
    waited for: a stick leaves it out.
    """

    def __init__(
        self,
        content: Content,
        role: Role,
        tasks: Tasks,
        note: Note,
        copied: Callable[[], None],
    ) -> None:
        """`copied` is called whenever no stick is being copied any more."""
        self._content = content
        self._role = role
        self._tasks = tasks
        self._note = note
        self._copied = copied
        self._sticks = 0
        self._releases: tuple[Release, ...] = ()
        self._here: set[Release] = set()
        self._wanted: frozenset[Sha256] = frozenset()
        self._failed: dict[Sha256, Release] = {}
        self._carrying: dict[Sha256, asyncio.Task[None]] = {}

    def wanted(self) -> frozenset[Sha256]:
        """Digests that must not be evicted: what a stick brought, and what a seed holds."""
        return self._wanted

    def copying(self) -> bool:
        """Whether a stick is being copied."""
        return self._sticks > 0

    def manifest_accepted(self, manifest: Manifest, ticket: Ticket | None) -> None:
        """A manifest without a stick: a seed asks the swarm for everything in it."""
        if ticket is not None:
            ticket.finish(_outcome(manifest, ticket))
        self._names(manifest)
        if self._role is Role.SEED:
            self._wanted = _digests(manifest.releases)
            self._failed.clear()
            self._stop_all_but(self._wanted)
            self._carry_all(manifest.releases)
        else:
            self._wanted &= _digests(manifest.releases)

    def stick_came(self, manifest: Manifest, source: str, ticket: Ticket | None) -> None:
        """A stick is in: copy what it has, this device's own release first."""
        self._names(manifest)
        own = ticket.chosen if ticket is not None else None
        releases = sorted(manifest.releases, key=lambda each: each != own)
        if self._role is Role.LEECH:
            releases = [each for each in releases if each == own]
        self._wanted = _digests(manifest.releases)
        self._sticks += 1
        self._tasks.start(f"copy {source}", self._copy(manifest, source, releases, ticket))

    async def look_again(self) -> None:
        """Whether there is room now for what a seed could not carry."""
        for sha256, release in tuple(self._failed.items()):
            if await self._content.has_room(release):
                self._failed.pop(sha256, None)
                self._carry_all([release])

    def _names(self, manifest: Manifest) -> None:
        self._releases = manifest.releases
        self._here.intersection_update(manifest.releases)

    def _came(self, release: Release) -> None:
        """It is here: what it supersedes is waited for no longer."""
        self._here.add(release)
        for each in self._releases:
            if supersedes(release, each) and each not in self._here:
                carrying = self._carrying.pop(each.artifact.sha256, None)
                if carrying is not None:
                    carrying.cancel()
                self._failed.pop(each.artifact.sha256, None)
                self._content.drop(each)

    def _carry_all(self, releases: Iterable[Release]) -> None:
        for release in releases:
            sha256 = release.artifact.sha256
            superseded = any(supersedes(each, release) for each in self._here - {release})
            if sha256 not in self._carrying and (release in self._here or not superseded):
                task = self._tasks.start(f"carry {sha256[:12]}", self._carry(release))
                self._carrying[sha256] = task

    def _stop_all_but(self, wanted: frozenset[Sha256]) -> None:
        """What is not in the manifest any more is waited for no longer."""
        for sha256 in self._carrying.keys() - wanted:
            self._carrying.pop(sha256).cancel()

    async def _carry(self, release: Release) -> None:
        sha256 = release.artifact.sha256
        try:
            await self._content.ensure(release)
            self._came(release)
        except UpdateError as error:
            self._failed[sha256] = release
            self._note("carry.failed", release=release.label, reason=error.reason)
        finally:
            if self._carrying.get(sha256) is asyncio.current_task():
                del self._carrying[sha256]

    async def _copy(
        self, manifest: Manifest, source: str, releases: list[Release], ticket: Ticket | None
    ) -> None:
        try:
            await self._copy_all(manifest, source, releases, ticket)
        finally:
            self._sticks -= 1
            if not self._sticks:
                self._copied()

    async def _copy_all(
        self, manifest: Manifest, source: str, releases: list[Release], ticket: Ticket | None
    ) -> None:
        carried: list[Release] = []
        lost: list[tuple[Release, UpdateError]] = []
        missing: list[tuple[Release, UpdateError]] = []
        for release in releases:
            try:
                await self._content.take_from(source, release)
                carried.append(release)
            except SourceGone as error:
                lost.append((release, error))
                break
            except UpdateError as error:
                (missing if error.reason == NOT_ON_STICK else lost).append((release, error))
        for each in carried:
            self._came(each)
        lost = self._missed(missing, ticket, nothing=not carried) + lost
        self._note(
            "stick.done" if not lost else "stick.incomplete",
            source=source,
            carried=str(len(carried)),
            lost="; ".join(f"{release.label}: {error}" for release, error in lost),
        )
        if ticket is not None:
            outcome = _outcome(manifest, ticket)
            ticket.finish(replace(outcome, carried=tuple(carried), lost=tuple(lost)))
        if self._role is Role.SEED:
            self._carry_all(each for each in releases if each not in carried)

    def _missed(
        self,
        missing: list[tuple[Release, UpdateError]],
        ticket: Ticket | None,
        *,
        nothing: bool,
    ) -> list[tuple[Release, UpdateError]]:
        """What a stick names, lacks and should have: the release that this device goes for; on a
        seed that found `nothing` there, every release that is not superseded."""
        own = ticket.chosen if ticket is not None else None
        seed = nothing and self._role is Role.SEED
        return [
            (each, ContentError(f"{error}; write the stick anew", reason=NOT_ON_STICK))
            for each, error in missing
            if each == own or (seed and not any(supersedes(new, each) for new in self._releases))
        ]


def _digests(releases: Iterable[Release]) -> frozenset[Sha256]:
    return frozenset(each.artifact.sha256 for each in releases)


def _outcome(manifest: Manifest, ticket: Ticket) -> OfferOutcome:
    return OfferOutcome(manifest, ticket.chosen, ticket.refusal)
