"""What is kept of a scenario that failed: of every node its log, its journal, what it did last."""

import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from p2pupd.demo.device import Device

EVENTS: Final = 200
PLACE: Final = Path("build") / "scenarios"
"""Below the directory that the tests run in, unless P2PUPD_EVIDENCE names another one."""
KEPT: Final = ("config.toml", "daemon.log", "boot.json")


def forget() -> None:
    """Remove what an earlier run of this test has left."""
    shutil.rmtree(_folder(), ignore_errors=True)


async def keep(devices: Iterable[Device]) -> Path:
    """A folder for each device in one folder, which is named after the test that runs.

    Of a device whose folder is there already nothing more is kept: it was alive then.
    """
    folder = _folder()
    for device in devices:
        place = folder / device.name
        if place.exists():
            continue
        place.mkdir(parents=True)
        status = await device.status()
        events = await device.ask(f"/v1/history?limit={EVENTS}")
        for name in KEPT:
            if (device.directory / name).is_file():
                shutil.copy(device.directory / name, place)
        journal = device.directory / "journal.sqlite"
        if journal.is_file():
            _copy(journal, place / journal.name)
        (place / "status.json").write_text(json.dumps(status, indent=2))
        found = _last(place / journal.name) if events is None else events
        (place / "events.json").write_text(json.dumps(found, indent=2))
    print(f"what every node left is in {folder.absolute()}", file=sys.stderr)
    return folder


def _folder() -> Path:
    name = os.environ.get("PYTEST_CURRENT_TEST", "by-hand").partition(" ")[0]
    test = re.sub(r"[^\w.-]+", "-", name.rpartition("::")[2]).strip("-")
    return Path(os.environ.get("P2PUPD_EVIDENCE", PLACE)) / test


def _copy(journal: Path, copy: Path) -> None:
    """With what is only in the write-ahead log as yet."""
    source, target = sqlite3.connect(f"file:{journal}?mode=ro", uri=True), sqlite3.connect(copy)
    try:
        source.backup(target)
    except sqlite3.Error as error:
        print(f"{journal} cannot be copied: {error}", file=sys.stderr)
    finally:
        source.close()
        target.close()


def _last(journal: Path) -> list[Any]:
    """The last events of a device that does not answer, from the copy of its journal."""
    if not journal.is_file():
        return []
    connection = sqlite3.connect(journal)
    try:
        query = "SELECT * FROM history ORDER BY rowid DESC LIMIT ?"
        return [[str(each) for each in row] for row in connection.execute(query, (EVENTS,))]
    except sqlite3.Error as error:
        return [f"{journal} cannot be read: {error}"]
    finally:
        connection.close()
