"""What a seed hands out: every piece of an artifact once, while it still arrives too."""

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Final

from p2pupd.core.handout import Handout, Turn
from p2pupd.core.piece_layer import length_of_piece
from p2pupd.engine.sparing import made_of
from p2pupd.errors import HostError, UpdateError
from p2pupd.model.device import Role
from p2pupd.model.ids import DeviceId, Sha256
from p2pupd.model.release import Artifact
from p2pupd.store.interface import Store, StoredObject
from p2pupd.swarm.interface import Swarm
from p2pupd.wire.handout import Word, encode_number

LASTS: Final = 5.0
"""Seconds after which a device is to say anew what it wants."""
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
        self._own = own
        self._role = role
        self._store = store
        self._swarm = swarm
        self._handouts: OrderedDict[Sha256, Handout] = OrderedDict()
        self._looked: dict[Sha256, float] = {}
        self._guessing: dict[Sha256, float] = {}
        self._one_guess = asyncio.Lock()
        self._windows: dict[Sha256, _Windows] = {}

    async def parts(self, sha256: Sha256, unwanted: bytes) -> AsyncGenerator[bytes] | None:
        """What to send to one device, in order (wire.handout); None where nothing is handed out.

        Closed before its end, it takes back what was given last.
        """
        found = None
        if self._role is Role.SEED:
            found = await asyncio.to_thread(self._store.find, sha256)
        if found is None:
            return None
        handout = self._handout(found.artifact)
        if found.verified and not handout.complete:
            handout.arrived((True,) * found.artifact.pieces)
        await self._guess(found, handout)
        return self._send(found, handout, handout.turn(unwanted))

    def _handout(self, artifact: Artifact) -> Handout:
        known = self._handouts.pop(artifact.sha256, None)
        if known is None:
            first = int.from_bytes(self._own.encode()[:4], "big")
            known = Handout(artifact.pieces, first)
        self._handouts[artifact.sha256] = known
        if len(self._handouts) > REMEMBERED:
            forgotten, _ = self._handouts.popitem(last=False)
            self._looked.pop(forgotten, None)
            self._guessing.pop(forgotten, None)
            self._windows.pop(forgotten, None)
        return known

    async def _send(
        self, found: StoredObject, handout: Handout, turn: Turn
    ) -> AsyncGenerator[bytes]:
        artifact, loop = found.artifact, asyncio.get_running_loop()
        until, said = loop.time() + LASTS, loop.time()
        reader = _Reader(found, handout, self._windows.setdefault(artifact.sha256, _Windows()))
        try:
            while loop.time() < until:
                piece = turn.next()
                if piece is not None:
                    yield encode_number(piece) + await reader.piece(piece)
                    said = loop.time()
                elif turn.is_old:
                    break
                elif handout.complete:
                    yield encode_number(Word.OVER)
                    return
                else:
                    await self._look(found, handout)
                    if loop.time() >= said + SAY_EVERY:
                        yield encode_number(Word.IDLE)
                        said = loop.time()
            yield encode_number(Word.AGAIN)
        except (UpdateError, OSError) as error:
            turn.broken()
            log.warning("handing.failed sha256=%s error=%s", artifact.sha256, error)
        except BaseException:
            turn.broken()
            raise
        finally:
            reader.close()

    async def _guess(self, found: StoredObject, handout: Handout) -> None:
        """Leave to devices that have the release before what they make of it, even before they say
        so; who has nothing asks first."""
        sha256, now = found.artifact.sha256, asyncio.get_running_loop().time()
        async with self._one_guess:
            if sha256 in self._guessing:
                if now >= self._guessing[sha256]:
                    handout.guessed = ()
                return
            if not handout.known(range(1)):
                return
            stored = await asyncio.to_thread(self._store.objects)
            older = [each for each in stored if each.verified and each.artifact != found.artifact]
            newest = sorted(older, key=lambda each: -each.last_used)[:MOST_PACKS]
            paths = [each.path for each in newest]
            made = await asyncio.to_thread(
                made_of, found.path, found.artifact, paths, handout.known
            )
            if made is not None:
                handout.guessed = made
                self._guessing[sha256] = now + GUESSED_FOR

    async def _look(self, found: StoredObject, handout: Handout) -> None:
        """See what has arrived; however many wait, it is looked once in a while."""
        artifact, now = found.artifact, asyncio.get_running_loop().time()
        if now >= self._looked.get(artifact.sha256, 0.0) + LOOK_EVERY:
            self._looked[artifact.sha256] = now
            handout.arrived((await self._swarm.holdings(artifact)).here)
            await self._guess(found, handout)
        else:
            await asyncio.sleep(LOOK_EVERY)


class _Reader:
    """Reads pieces of one file; neighbouring ones are asked for one after the other, so more than
    one is read at once where all of them are here. A handout's readers share what was read."""

    def __init__(self, found: StoredObject, handout: Handout, windows: "_Windows") -> None:
        self._artifact = found.artifact
        self._path = found.path
        self._handout = handout
        self._windows = windows
        self._fd = -1

    async def piece(self, piece: int) -> bytes | memoryview:
        """Raises OSError, or HostError where the file became shorter."""
        size, windows = self._artifact.piece_length, self._windows
        per = max(1, WINDOW // size)
        number, place = divmod(piece, per)
        pieces = range(number * per, min(self._artifact.pieces, (number + 1) * per))
        if not self._handout.known(pieces):
            return await asyncio.to_thread(self._read, piece * size, self._length(piece))
        async with windows.reading:
            window = windows.get(number)
            if window is None:
                count = (len(pieces) - 1) * size + self._length(pieces[-1])
                window = await asyncio.to_thread(self._read, number * per * size, count)
                windows[number] = window
                if len(windows) > WINDOWS:
                    windows.popitem(last=False)
        return memoryview(window)[place * size : place * size + self._length(piece)]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _length(self, piece: int) -> int:
        return length_of_piece(self._artifact, piece)

    def _read(self, start: int, count: int) -> bytes:
        if self._fd < 0:
            self._fd = os.open(self._path, FLAGS)
        content = os.pread(self._fd, count, start)
        if len(content) != count:
            raise HostError(f"artifact {self._artifact.sha256} became shorter")
        return content


class _Windows(OrderedDict[int, bytes]):
    """What was read last of one artifact; `reading` is held while more is."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = asyncio.Lock()
