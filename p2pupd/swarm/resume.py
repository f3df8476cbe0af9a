"""What survives a power cut: a file's hash tree, kept beside it as `<pieces root>.resume`.

The claim of an unfinished file about its pieces is not believed, because pieces are written
without waiting for the disk: they are looked for on disk with the hash tree, which the signed root
proves. So nothing that is on disk is fetched again, and nothing that is not is taken for granted.
A complete file was synced before its resume data said so, and is not looked through again.
libtorrent's seed mode, which would check each piece when a neighbour first asks for it, forgets the
last piece it checks with the disk backend that we use (2.1.1), so it is not used.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import libtorrent as lt

from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import FetchError, HostError
from p2pupd.host.files import host_error, read_bounded, sync_directory, write_durably
from p2pupd.model.release import Artifact
from p2pupd.swarm.torrent import BLOCK, fresh, info_dictionary, prepared, torrent_info

SUFFIX: Final = ".resume"
SLACK: Final = 1024 * 1024
BYTES_PER_BLOCK: Final = 128

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """How to add a torrent. `searched`: what is on disk is looked through first. `empty`: there is
    nothing on disk.

    `blind`: there is something on disk, and no hash tree to look through it with.
    """

    parameters: lt.add_torrent_params
    searched: bool
    blind: bool
    empty: bool = False


def resume_path(artifact: Artifact, directory: Path) -> Path:
    return directory / f"{artifact.pieces_root}{SUFFIX}"


def largest(artifact: Artifact) -> int:
    """More bytes than resume data of this artifact can honestly have."""
    return SLACK + BYTES_PER_BLOCK * (artifact.length // BLOCK)


def start(
    artifact: Artifact, directory: Path, complete: bool = False, layer: PieceLayer | None = None
) -> Start:
    """Read what is on disk. Blocks. Raises FetchError, HostError or SpaceError.

    Damaged resume data is dropped with a warning; a file longer than signed is cut. A file that is
    said to be `complete` is hashed here, which is several times faster than libtorrent's search.
    With a `layer` the hashes of all pieces are known from the start.
    """
    present = _present(directory / artifact.pieces_root, artifact.length)
    kept = _read(artifact, directory)
    if kept is not None and present == artifact.length and _whole(kept, artifact):
        parameters = prepared(kept, artifact, directory)
        parameters.flags |= lt.torrent_flags.no_verify_files
        return Start(parameters, searched=False, blind=False)
    if complete and present == artifact.length:
        whole = _hashed(artifact, directory)
        if whole is not None:
            return Start(whole, searched=False, blind=False)
    if layer is not None:
        parameters = prepared(_taught(layer), artifact, directory)
    elif kept is None:
        parameters = fresh(artifact, directory)
    else:
        parameters = prepared(kept, artifact, directory)
        parameters.have_pieces = []
        parameters.verified_pieces = []
        parameters.unfinished_pieces = {}
    if present == 0:
        parameters.flags |= lt.torrent_flags.no_verify_files
    partial = 0 < present < artifact.length
    blind = partial and kept is None and layer is None
    return Start(parameters, searched=present > 0, blind=blind, empty=present == 0)


def _taught(layer: PieceLayer) -> lt.add_torrent_params:
    """A torrent that knows the hash of each of its pieces."""
    artifact = layer.artifact
    layers: Any = {}
    if artifact.pieces > 1:
        layers = {bytes.fromhex(artifact.pieces_root): layer.hashes}
    encoded: bytes = lt.bencode(layers)
    content = b"d4:info" + info_dictionary(artifact) + b"12:piece layers" + encoded + b"e"
    try:
        return lt.load_torrent_buffer(content)
    except RuntimeError as error:
        raise FetchError(
            f"artifact {artifact.sha256[:16]} cannot be a torrent: {error}", reason="bad-artifact"
        ) from error


def _hashed(artifact: Artifact, directory: Path) -> lt.add_torrent_params | None:
    """A complete torrent with the hash tree of the file; None where it is not the signed one."""
    torrent = lt.create_torrent(
        [lt.create_file_entry(artifact.pieces_root, artifact.length)],
        artifact.piece_length,
        lt.create_torrent.v2_only,
    )
    try:
        lt.set_piece_hashes(torrent, str(directory))
        made = lt.load_torrent_buffer(lt.bencode(torrent.generate()))
    except RuntimeError as error:
        raise HostError(f"cannot read {directory / artifact.pieces_root}: {error}") from error
    if made.ti is None or made.ti.info_hashes().v2 != torrent_info(artifact).info_hashes().v2:
        return None
    parameters = prepared(made, artifact, directory)
    parameters.have_pieces = [True] * artifact.pieces
    parameters.flags |= lt.torrent_flags.no_verify_files
    return parameters


def again(
    content: bytes, artifact: Artifact, directory: Path, layer: PieceLayer | None = None
) -> lt.add_torrent_params:
    """Parameters to add a torrent again that this very session has just removed."""
    kept = lt.read_resume_data(content)
    parameters = prepared(_taught(layer) if layer else kept, artifact, directory)
    parameters.have_pieces = kept.have_pieces
    parameters.flags |= lt.torrent_flags.no_verify_files
    return parameters


def save_whole(layer: PieceLayer, directory: Path) -> None:
    """Write resume data for a file that is complete, proved and synced: it is not looked through.

    Blocks. Raises FetchError, HostError or SpaceError.
    """
    artifact = layer.artifact
    parameters = prepared(_taught(layer), artifact, directory)
    parameters.have_pieces = [True] * artifact.pieces
    save(lt.write_resume_data_buf(parameters), artifact, directory)


def save(content: bytes, artifact: Artifact, directory: Path) -> None:
    """Write resume data durably. Blocks. Raises HostError or SpaceError."""
    write_durably(resume_path(artifact, directory), content)


def sync(artifact: Artifact, directory: Path) -> None:
    """Make the file and its name durable. Blocks. Raises HostError or SpaceError."""
    path = directory / artifact.pieces_root
    try:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        sync_directory(directory)
    except OSError as error:
        raise host_error(error, f"write {path} to the disk") from error


def _present(path: Path, length: int) -> int:
    try:
        size = path.stat().st_size
        if size > length:
            os.truncate(path, length)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise host_error(error, f"look at {path}") from error
    return min(size, length)


def _read(artifact: Artifact, directory: Path) -> lt.add_torrent_params | None:
    path = resume_path(artifact, directory)
    if not path.exists():
        return None
    try:
        parameters = lt.read_resume_data(read_bounded(path, largest(artifact)))
    except (RuntimeError, HostError) as error:
        log.warning("swarm.resume-dropped path=%s error=%s", path, error)
        return None
    if parameters.info_hashes.v2 != torrent_info(artifact).info_hashes().v2:
        log.warning("swarm.resume-dropped path=%s error=of another artifact", path)
        return None
    return parameters


def _whole(parameters: lt.add_torrent_params, artifact: Artifact) -> bool:
    have = parameters.have_pieces
    return len(have) == artifact.pieces and all(have)
