"""What is journaled, in which order, and what a full disk does to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pupd.engine.records import Records
from p2pupd.errors import SpaceError
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.deployment import Deployment, Phase
from tests.builders import COMPONENT, a_record


class CutJournal(SqliteJournal):
    """The power goes when a deployment is recorded; or the disk is full once."""

    full = 0
    cut = False

    def record(self, deployment: Deployment) -> None:
        if self.cut:
            raise KeyboardInterrupt
        if self.full:
            self.full -= 1
            raise SpaceError("full")
        super().record(deployment)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[CutJournal]:
    made = CutJournal(tmp_path / "journal.sqlite", JournalSettings())
    yield made
    made.close()


def test_a_bad_release_is_remembered_before_its_deployment_ends(journal: CutJournal) -> None:
    journal.cut = True
    with pytest.raises(KeyboardInterrupt):
        Records(journal)._keep(a_record(Phase.REVERTED, reason="unhealthy"))
    assert journal.bad_releases() == {(COMPONENT, 7): "unhealthy"}
    assert journal.open_deployments() == ()


async def test_a_full_disk_is_waited_for_and_told(journal: CutJournal) -> None:
    journal.full = 1
    records = Records(journal)
    await records.write(a_record(Phase.CONFIRMED))
    assert not records.waiting
    assert [each.phase for each in journal.deployments(9)] == [Phase.CONFIRMED]
    assert journal.bad_releases() == {}
