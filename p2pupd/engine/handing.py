"""What a seed hands out: every piece of an artifact once, while it still arrives too.

What arrives counts as here when it was hashed, which may be before it is on the disk. So it is
proved as it is read, and what cannot be proved is tried again later.
"""

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from p2pupd.core.handout import Handout, Turn
from p2pupd.core.piece_layer import PieceLayer, length_of_piece
from p2pupd.engine.sparing import made_of
from p2pupd.errors import HostError, UpdateError
from p2pupd.host.layer_files import kept_layer
from p2pupd.host.threads import to_the_end
from p2pupd.model.device import Role
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact
from p2pupd.store.interface import Store, StoredObject
from p2pupd.swarm.interface import Swarm
from p2pupd.wire.handout import LASTS, Word, encode_number

LOOK_EVERY: Final = 0.03
"""Seconds between two looks at what has arrived."""
SAY_EVERY: Final = 1.0
"""Seconds after which one that waits is told that nothing is there yet."""
GUESSED_FOR: Final = 5.0
"""Seconds after which every device that makes pieces has said which."""
MOST_PACKS: Final = 4
"""Older ones by which it is guessed: those used last."""
REMEMBERED: Final = 16
"""Artifacts; what was longest not asked for goes first."""
WINDOW: Final = 512 * 1024
"""Bytes that are read at once."""
WINDOWS: Final = 2
"""How many of them are held, for one artifact."""
FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC

log = logging.getLogger(__name__)


class Handing:
    """Behind the peer API of a seed; others hand nothing out."""

    def __init__(self, own: DeviceId, role: Role, store: Store, swarm: Swarm) -> None:
        self._first = int.from_bytes(own.encode()[:4])
        self._role = role
        self._store = store
        self._swarm = swarm
        self._all: OrderedDict[Artifact, _Given] = OrderedDict()

    async def parts(self, sha256: Sha256, unwanted: bytes) -> AsyncGenerator[bytes] | None:
        """What to send to one device, in order (wire.handout); None where nothing is handed out.

        Closed before its end, it takes back what was given last.
        """
        found = None
        if self._role is Role.SEED:
            found = await asyncio.to_thread(self._store.find, sha256)
        return None if found is None else self._send(found, unwanted)

    @contextmanager
    def _giving(self, artifact: Artifact) -> Iterator["_Given"]:
        """What is known of it, held for the block; of others the oldest that nobody holds goes."""
        given = self._all.pop(artifact, None) or _Given(Handout(artifact.pieces, self._first))
        self._all[artifact] = given
        idle = [each for each, other in self._all.items() if not other.users and other is not given]
        for each in idle[: max(0, len(self._all) - REMEMBERED)]:
            del self._all[each]
        given.users += 1
        try:
            yield given
        finally:
            given.users -= 1
            if not given.users:
                given.windows.clear()

    async def _send(self, found: StoredObject, unwanted: bytes) -> AsyncGenerator[bytes]:
        artifact = found.artifact
        with self._giving(artifact) as given:
            await self._guess(found, given)
            turn, reader = given.handout.turn(unwanted), _Reader(found, given)
            try:
                async for part in self._turn(found, given, turn, reader):
                    yield part
            except (UpdateError, OSError) as error:
                turn.broken()
                log.warning("handing.failed sha256=%s error=%s", artifact.sha256, error)
            except BaseException:
                turn.broken()
                raise
            finally:
                reader.close()

    async def _turn(
        self, found: StoredObject, given: "_Given", turn: Turn, reader: "_Reader"
    ) -> AsyncGenerator[bytes]:
        """Piece after piece, and a word at the end."""
        loop = asyncio.get_running_loop()
        until, said = loop.time() + LASTS, loop.time()
        while loop.time() < until:
            piece = turn.next()
            if piece is not None:
                content = await reader.piece(piece)
                if content is not None:
                    yield encode_number(piece) + content
                    said = loop.time()
                    continue
                turn.missed(piece)
            elif turn.is_old:
                break
            elif given.handout.complete and not given.handout.guessed:
                yield encode_number(Word.OVER)
                return
            await self._look(found, given)
            if loop.time() >= said + SAY_EVERY:
                yield encode_number(Word.IDLE)
                said = loop.time()
        yield encode_number(Word.AGAIN)

    async def _look(self, found: StoredObject, given: "_Given") -> None:
        """See what has arrived; however many wait, it is looked once in a while."""
        now, handout = asyncio.get_running_loop().time(), given.handout
        if handout.complete or now < given.looked + LOOK_EVERY:
            await asyncio.sleep(LOOK_EVERY)
        elif found.verified:
            handout.arrived((True,) * found.artifact.pieces)
        else:
            given.looked = now
            handout.arrived((await self._swarm.holdings(found.artifact)).here)
            await self._guess(found, given)

    async def _guess(self, found: StoredObject, given: "_Given") -> None:
        """Leave to devices that have the release before what they make of it, even before they say
        so; who has nothing asks first."""
        handout, now = given.handout, asyncio.get_running_loop().time()
        async with given.guessing:
            if given.guessed_until is not None:
                if now >= given.guessed_until:
                    handout.guessed = ()
                return
            known = (lambda _: True) if found.verified else handout.known
            if not known(range(1)):
                return
            stored = await asyncio.to_thread(self._store.objects)
            older = [each for each in stored if each.verified and each.artifact != found.artifact]
            newest = sorted(older, key=lambda each: -each.last_used)[:MOST_PACKS]
            paths = [each.path for each in newest]
            made = await asyncio.to_thread(made_of, found.path, found.artifact, paths, known)
            if made is not None:
                handout.guessed = made
                given.guessed_until = now + GUESSED_FOR


class _Given:
    """Of one artifact: what was handed out, when it was last looked what is here, until when a
    guess holds of what devices make, its `layer` once that was needed, and what was read last;
    `reading` is held while more is. `users` are the streams under way.
    """

    def __init__(self, handout: Handout) -> None:
        self.handout = handout
        self.looked = 0.0
        self.guessed_until: float | None = None
        self.guessing = asyncio.Lock()
        self.layer: PieceLayer | None = None
        self.windows: OrderedDict[int, bytes] = OrderedDict()
        self.reading = asyncio.Lock()
        self.users = 0


class _Reader:
    """Reads pieces of one file; neighbouring ones are asked for one after the other, so of a
    verified file more than one is read at once. The readers of an artifact share what was read."""

    def __init__(self, found: StoredObject, given: _Given) -> None:
        self._artifact = found.artifact
        self._verified = found.verified
        self._path = found.path
        self._given = given
        self._fd = -1

    async def piece(self, piece: int) -> bytes | memoryview | None:
        """None where it is not on the disk yet. Raises OSError, or HostError where a verified file
        became shorter."""
        if not self._verified:
            return await to_the_end(partial(self._proved, piece))
        size, given = self._artifact.piece_length, self._given
        per = max(1, WINDOW // size)
        number, place = divmod(piece, per)
        async with given.reading:
            window = given.windows.get(number)
            if window is None:
                start, end = (
                    number * per * size,
                    min(self._artifact.length, (number + 1) * per * size),
                )
                window = await to_the_end(partial(self._read, start, end - start))
                if len(window) != end - start:
                    raise HostError(f"artifact {self._artifact.sha256} became shorter")
                given.windows[number] = window
                if len(given.windows) > WINDOWS:
                    given.windows.popitem(last=False)
        return memoryview(window)[place * size : (place + 1) * size]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _proved(self, piece: int) -> bytes | None:
        artifact, given = self._artifact, self._given
        if given.layer is None:
            given.layer = kept_layer(artifact, self._path.parent)
        if given.layer is None or not self._path.exists():
            return None
        content = self._read(piece * artifact.piece_length, length_of_piece(artifact, piece))
        return content if given.layer.matches(piece, content) else None

    def _read(self, start: int, count: int) -> bytes:
        if self._fd < 0:
            self._fd = os.open(self._path, FLAGS)
        return os.pread(self._fd, count, start)
