"""The piece layer of an artifact, kept beside its file as `<pieces root>.layer`.

Read and written by whoever works in that directory; deleted with it. It is never believed: a layer
proves itself by the signed pieces root each time that it is read.
"""

import logging
import os
from pathlib import Path
from typing import Final

from p2pupd.core.piece_layer import LayerBuilder, PieceLayer, layer_length
from p2pupd.errors import ContentError, HostError
from p2pupd.host.files import host_error, read_bounded, write_durably
from p2pupd.model.release import Artifact

SUFFIX: Final = ".layer"
CHUNK: Final = 1024 * 1024
"""Bytes read at once."""

log = logging.getLogger(__name__)


def kept_layer(artifact: Artifact, directory: Path) -> PieceLayer | None:
    """The layer that is kept there; None where there is none, or it is damaged. Blocks."""
    path = _path(artifact, directory)
    try:
        return PieceLayer.proved(artifact, read_bounded(path, layer_length(artifact)))
    except HostError:
        return None
    except ContentError as error:
        log.warning("layer.damaged path=%s error=%s", path, error)
        return None


def keep_layer(layer: PieceLayer, directory: Path) -> None:
    """Write it durably. Blocks. Raises HostError or SpaceError."""
    write_durably(_path(layer.artifact, directory), layer.hashes)


def layer_of_file(artifact: Artifact, directory: Path) -> PieceLayer:
    """The layer of the complete file there, computed. Blocks as long as reading the file takes.

    Raises HostError, or ContentError where the file is not what the pieces root says.
    """
    path = directory / artifact.pieces_root
    builder = LayerBuilder(artifact.piece_length)
    buffer = memoryview(bytearray(CHUNK))
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", 0) as file:
            while count := file.readinto(buffer):
                builder.update(buffer[:count])
    except OSError as error:
        raise host_error(error, f"read {path}") from error
    try:
        return PieceLayer.proved(artifact, builder.layer())
    except ValueError as error:
        raise ContentError(f"{path} is empty") from error


def _path(artifact: Artifact, directory: Path) -> Path:
    return directory / f"{artifact.pieces_root}{SUFFIX}"
