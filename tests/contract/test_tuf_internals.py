"""What p2pupd uses of python-tuf beyond its public API, and what it relies on without saying so."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tuf.api.exceptions import ExpiredMetadataError
from tuf.api.metadata import Root, Targets
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

from p2pupd.model.setting import Bytes
from p2pupd.trust.client import IN_HAND, NO_TIME, Client
from p2pupd.trust.settings import TrustSettings
from tests.tuf_repository import LINE, TufRepository

LIMITS = TrustSettings()


def client_at(
    directory: Path, moment: datetime, fleet: TufRepository, limits: TrustSettings = LIMITS
) -> Client:
    def source(url: str) -> tuple[int, list[bytes]]:
        content = fleet.files.get(url.removeprefix(IN_HAND))
        return (404, []) if content is None else (200, [content])

    anchor = fleet.files["1.root.json"]
    return Client(directory, IN_HAND, source, anchor=anchor, reference=moment, limits=limits)


def test_expiry_is_judged_at_reference_time_and_not_by_the_wall_clock(tmp_path: Path) -> None:
    fleet = TufRepository(now=0)
    client_at(tmp_path / "early", NO_TIME, fleet).refresh()
    late = client_at(tmp_path / "late", datetime(1970, 7, 1, tzinfo=UTC), fleet)
    with pytest.raises(ExpiredMetadataError, match="timestamp"):
        late.refresh()


def test_the_updater_keeps_its_trusted_set_where_we_look_for_it(tmp_path: Path) -> None:
    client = client_at(tmp_path, NO_TIME, TufRepository())
    assert isinstance(client._trusted_set, TrustedMetadataSet)
    assert isinstance(client._trusted_set.reference_time, datetime)
    assert client._trusted_set.reference_time == NO_TIME


def test_a_delegated_role_can_be_loaded_and_is_verified(tmp_path: Path) -> None:
    client = client_at(tmp_path, NO_TIME, TufRepository())
    client.refresh()
    loaded = client._load_targets(LINE, Targets.type)
    assert isinstance(loaded, Targets)
    assert client._trusted_set.contains(LINE, Targets.type)
    assert isinstance(client._trusted_set[Root.type], Root)


def test_only_verified_files_are_written_into_its_directory(tmp_path: Path) -> None:
    fleet = TufRepository()
    fleet.files["2.root.json"] = fleet.files["1.root.json"]
    fleet.files["1.gateway.json"] += b" "
    with pytest.raises(Exception, match="root version"):
        client_at(tmp_path, NO_TIME, fleet).refresh()
    assert not (tmp_path / "root_history" / "2.root.json").exists()
    assert not (tmp_path / "timestamp.json").exists()


def test_a_length_in_the_parent_overrides_the_configured_limit(tmp_path: Path) -> None:
    """Why sizes are checked before python-tuf sees a file."""
    fleet = TufRepository()
    fleet.timestamp.snapshot_meta.length = len(fleet.files["1.snapshot.json"])
    fleet.write("timestamp")
    tight = TrustSettings(snapshot_limit=Bytes(1))
    client_at(tmp_path, NO_TIME, fleet, tight).refresh()
