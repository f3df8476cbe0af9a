"""What the slots are known to hold: complete, checked images, or nothing.

A small file beside the journal. It is the installer's own memory, so that no mistake anywhere else
can make the bootloader try a half-written slot.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from p2pupd.host.files import read_bounded, write_durably
from p2pupd.install.pair import PAIR
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Image

log = logging.getLogger(__name__)

LEDGER_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class Untouched:
    """Never written by this installer: it holds what the factory put there."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Writing began and did not end well: it must not boot."""


Content = Image | Nothing | Untouched


class SlotLedger:
    """JSON: slot name -> `{"length", "sha256"}` of the checked image, or null for nothing.

    A slot without an entry is untouched. Blocking; raises HostError or SpaceError when the file
    cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, slot: str) -> Content:
        return self._read().get(slot, Untouched())

    def forget(self, slot: str) -> None:
        """From now on `slot` holds nothing."""
        self._write(slot, Nothing())

    def remember(self, slot: str, image: Image) -> None:
        """`slot` holds this image, read back from the medium and right."""
        self._write(slot, image)

    def _read(self) -> dict[str, Content]:
        if not self._path.exists():
            return {}
        raw = read_bounded(self._path, LEDGER_LIMIT)
        try:
            return {slot: _content(entry) for slot, entry in json.loads(raw).items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            log.error("slots.ledger_damaged path=%s", self._path)
            return {slot: Nothing() for slot in PAIR}

    def _write(self, slot: str, content: Content) -> None:
        known = self._read() | {slot: content}
        entries = {
            name: asdict(each) if isinstance(each, Image) else None
            for name, each in sorted(known.items())
        }
        write_durably(self._path, json.dumps(entries, indent=1).encode() + b"\n")


def _content(entry: Any) -> Content:
    if entry is None:
        return Nothing()
    return Image(length=int(entry["length"]), sha256=Sha256(str(entry["sha256"])))
