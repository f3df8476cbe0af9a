"""The operator's pause, as a file that outlives the daemon: `{"until": SECONDS or null}`."""

import json
import logging
from pathlib import Path
from typing import Final

from p2pupd.core.allowance import Pause
from p2pupd.errors import HostError
from p2pupd.host.files import host_error, read_bounded, sync_directory, write_durably

FILE: Final = "pause.json"
LONGEST_FILE: Final = 4096

log = logging.getLogger(__name__)


class PauseFile:
    """In the state directory `directory`. Every method blocks."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def load(self) -> Pause | None:
        """What was saved. A file that says nothing is a pause until it is ended by hand."""
        if not self._path.exists():
            return None
        try:
            until = json.loads(read_bounded(self._path, LONGEST_FILE))["until"]
            return Pause(None if until is None else float(until))
        except (HostError, ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("pause.unreadable path=%s error=%s", self._path, error)
            return Pause()

    def save(self, pause: Pause | None) -> None:
        """Durable on return. Raises HostError or SpaceError."""
        if pause is not None:
            write_durably(self._path, json.dumps({"until": pause.until}).encode())
            return
        try:
            self._path.unlink(missing_ok=True)
            sync_directory(self._path.parent)
        except OSError as error:
            raise host_error(error, f"remove {self._path}") from error
