from dataclasses import replace
from pathlib import Path

import libtorrent as lt
import pytest

from p2pupd.errors import FetchError
from p2pupd.swarm.torrent import info_dictionary, torrent_info
from tests.swarming import an_artifact


@pytest.mark.parametrize("length", [1, 16384, 100_000])
@pytest.mark.parametrize("piece_length", [16384, 65536])
def test_the_info_dictionary_is_the_one_that_any_client_makes_of_the_file(
    tmp_path: Path, length: int, piece_length: int
) -> None:
    artifact, _ = an_artifact(tmp_path, length, piece_length)
    files = [lt.create_file_entry(artifact.pieces_root, length)]
    made = lt.create_torrent(files, piece_length, lt.create_torrent.v2_only)
    lt.set_piece_hashes(made, str(tmp_path))
    assert info_dictionary(artifact) == lt.bencode(made.generate()[b"info"])
    assert torrent_info(artifact).num_pieces() == artifact.pieces


@pytest.mark.parametrize("changes", [{"piece_length": 10_000}, {"length": -1}])
def test_what_bittorrent_cannot_carry_is_refused(tmp_path: Path, changes: dict[str, int]) -> None:
    artifact = replace(an_artifact(tmp_path, 100)[0], length=100_000)
    with pytest.raises(FetchError, match="cannot be a torrent") as refused:
        torrent_info(replace(artifact, **changes))  # type: ignore[arg-type]
    assert refused.value.reason == "bad-artifact"
