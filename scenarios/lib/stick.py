"""A stick: it is in somebody's pocket, or in a port of a device that watches for it."""

import tempfile
from pathlib import Path

from scenarios.lib.office import Office


class Stick:
    """Holds what the office has published by the time it is made."""

    def __init__(self, office: Office, directory: Path, port: Path) -> None:
        """`directory` and `port` are on one file system, so that going in takes no time."""
        self._pocket = Path(tempfile.mkdtemp(dir=directory)) / "stick"
        self._port = port
        office.stick(self._pocket)

    def plug_in(self) -> None:
        """It appears at once, and whole. The stick that was there before is gone by then."""
        if self._port.exists():
            self._port.rename(self._pocket.with_name("before"))
        self._pocket.rename(self._port)

    def pull(self) -> None:
        """It is gone at once."""
        self._port.rename(self._pocket)
