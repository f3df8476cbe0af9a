"""The real daemon with a power cut built in: it kills itself once, right after a journal write.

    python -m tests.crashing_daemon PHASE daemon --config FILE

The cut comes the first time that a deployment is journaled in PHASE; a file in the state directory
remembers that it came, so that the next start runs through.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from p2pupd.assembly import OnDisk
from p2pupd.config.load import load_config
from p2pupd.daemon import Daemon
from p2pupd.host.systemd import ServiceManager
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.logs import configure_logging
from p2pupd.model.deployment import Deployment
from p2pupd.running import run_until_told

MARK = "power-was-cut"


class CutJournal(SqliteJournal):
    """Durable as ever; then the lights go out."""

    phase = ""
    mark = Path()

    def record(self, deployment: Deployment) -> None:
        super().record(deployment)
        if deployment.phase == self.phase and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class CutDaemon(Daemon):
    """Only the journal differs."""

    phase = ""

    def open_disk(self) -> OnDisk:
        disk = super().open_disk()
        disk.journal.close()
        settings = self._settings
        journal = CutJournal(settings.state_dir / "journal.sqlite", settings.journal)
        journal.phase = self.phase
        journal.mark = settings.state_dir / MARK
        return replace(disk, journal=journal)


def main() -> None:
    phase, _, _, config_file = sys.argv[1:]
    configure_logging("text", debug=True)
    daemon = CutDaemon(load_config(Path(config_file)), ServiceManager.from_environment())
    daemon.phase = phase
    run_until_told(daemon)


if __name__ == "__main__":
    main()
