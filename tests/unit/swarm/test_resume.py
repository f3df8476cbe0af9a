from pathlib import Path

import pytest

from p2pupd.errors import HostError
from p2pupd.swarm.resume import largest, resume_path, start, sync
from tests.swarming import an_artifact


def test_a_fresh_artifact_is_not_searched_for(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path / "elsewhere", 100_000)
    begin = start(artifact, tmp_path)
    assert not begin.searched
    assert not begin.blind


def test_part_of_a_file_without_a_hash_tree_is_searched_blindly(tmp_path: Path) -> None:
    artifact, content = an_artifact(tmp_path, 100_000)
    (tmp_path / artifact.pieces_root).write_bytes(content[:50_000])
    begin = start(artifact, tmp_path)
    assert begin.searched
    assert begin.blind


def test_a_whole_file_needs_no_hash_tree(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path, 100_000)
    begin = start(artifact, tmp_path)
    assert begin.searched
    assert not begin.blind


def test_resume_data_larger_than_it_can_be_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, _ = an_artifact(tmp_path, 100_000)
    resume_path(artifact, tmp_path).write_bytes(bytes(largest(artifact) + 1))
    start(artifact, tmp_path)
    assert "swarm.resume-dropped" in caplog.text


def test_files_that_cannot_be_reached_are_host_errors(tmp_path: Path) -> None:
    artifact, _ = an_artifact(tmp_path, 100_000)
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot look at"):
        start(artifact, tmp_path / "file")
    with pytest.raises(HostError, match="cannot write"):
        sync(artifact, tmp_path / "missing")
