"""Reads what a seed hands out (wire.handout), bounded in time however little it sends."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from p2pupd.core.piece_layer import length_of_piece
from p2pupd.errors import ProtocolError
from p2pupd.model.release import Artifact
from p2pupd.wire.handout import LASTS, NUMBER, SLOWEST, Word, decode_number

Take = Callable[[int, bytes], Awaitable[None]]
"""Takes a piece by its number."""


class Handed:
    """The body of an answer. `patience` ends the reading when a number, or the end, has not come
    for `stall` seconds, or a piece is slower than agreed; not while a piece is taken. A seed that
    does not end its turn itself has little longer for it."""

    def __init__(
        self,
        content: aiohttp.StreamReader,
        artifact: Artifact,
        patience: asyncio.Timeout,
        stall: float,
    ) -> None:
        self._content = content
        self._artifact = artifact
        self._patience = patience
        self._stall = stall

    async def to(self, take: Take) -> bool:
        """True when the seed is to be asked anew, false when it has handed everything out.

        Raises IncompleteReadError, TimeoutError, ClientError or ProtocolError, and what `take`
        raises.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + LASTS + 2 * self._stall
        while loop.time() < until:
            number = decode_number(await self._read(NUMBER), self._artifact.pieces)
            match number:
                case Word.IDLE:
                    continue
                case Word() as word:
                    if await self._content.read(1):
                        raise ProtocolError("the handout goes on after its end")
                    return word is Word.AGAIN
                case piece:
                    content = await self._read(length_of_piece(self._artifact, piece))
                    self._patience.reschedule(None)
                    await take(piece, content)
        return True

    async def _read(self, count: int) -> bytes:
        now = asyncio.get_running_loop().time()
        self._patience.reschedule(now + self._stall + count / SLOWEST)
        return await self._content.readexactly(count)
