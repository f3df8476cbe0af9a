"""What an update will bring, told before it is made: `repo show --against`."""

from pathlib import Path
from typing import Any

from p2pupd.delta.files import opened
from p2pupd.delta.unpacking import header_of
from p2pupd.errors import ContentError, UsageError
from p2pupd.model.release import ArtifactFormat, Release
from p2pupd.publisher.forecast import METADATA, Forecast, against, whole
from p2pupd.publisher.packing import Older, held
from p2pupd.publisher.repository import Repository


def compare(
    repository: Repository, old: str, component: str | None, number: int | None
) -> dict[str, Any]:
    """The bytes that a device receives which has `old`, as JSON values.

    `old` is a release number of the component, or else the path of an image or a pack. It updates
    to release `number`, by default the latest. Raises UsageError where one of them is not known,
    ContentError where a file of the repository is missing, HostError, PackError.
    """
    new = _new(repository, component, number)
    older = _older(repository, new, old)
    forecast = _forecast(repository, new, older)
    return {
        "release": new.label,
        "against": older.name,
        "format": str(new.format),
        "image": forecast.image,
        "carried": forecast.carried,
        "reused": forecast.reused,
        "fetched": forecast.fetched,
        "header": forecast.header,
        "pieceLength": forecast.piece_length,
        "layer": forecast.layer,
        "messages": forecast.messages,
        "metadata": METADATA,
        "wire": forecast.wire,
        "share": round(forecast.share, 6),
    }


def _new(repository: Repository, component: str | None, number: int | None) -> Release:
    releases = repository.releases()
    names = sorted({each.component for each in releases})
    if component is None and len(names) != 1:
        raise UsageError(f"which component? --component is one of {', '.join(names) or 'none'}")
    wanted = [each for each in releases if each.component == (component or names[0])]
    if not wanted:
        raise UsageError(f"there is no release of {component}; there are {', '.join(names)}")
    return _numbered(wanted, number)


def _numbered(releases: list[Release], number: int | None) -> Release:
    if number is None:
        return max(releases, key=lambda each: each.release)
    found = [each for each in releases if each.release == number]
    if not found:
        known = ", ".join(str(each.release) for each in releases)
        raise UsageError(f"there is no release {number} of {releases[0].component}, only {known}")
    return found[-1]


def _older(repository: Repository, new: Release, old: str) -> Older:
    if not old.isdecimal():
        return Older(old, Path(old))
    same = [each for each in repository.releases() if each.component == new.component]
    older = _numbered(same, int(old))
    return Older(older.label, _file(repository, older))


def _forecast(repository: Repository, new: Release, older: Older) -> Forecast:
    path, length = _file(repository, new), new.artifact.piece_length
    with held(older) as had:
        if new.format is ArtifactFormat.RAW:
            return whole(new.image.length, new.artifact.length, 0, length)
        with opened(path) as file:
            return against(header_of(file), length, [had.source], lambda _: None)


def _file(repository: Repository, release: Release) -> Path:
    path = repository.file_of(release)
    if not path.is_file() or path.stat().st_size != release.artifact.length:
        raise ContentError(
            f"the file of {release.label} is missing or cut off: {path}; put it back"
        )
    return path
