"""Settings of what updates are made of, beyond what is fetched."""

from dataclasses import dataclass
from pathlib import Path

from p2pupd.model.setting import setting


def _are_absolute(paths: tuple[Path, ...]) -> str | None:
    wrong = [str(each) for each in paths if not each.is_absolute()]
    return f"has no absolute path: {', '.join(wrong)}" if wrong else None


@dataclass(frozen=True, slots=True)
class DeltaSettings:
    """`[delta]`: beside the packs in the store and the slot that runs."""

    sources: tuple[Path, ...] = setting(
        (),
        "Files or block devices with older images, or packs of them, whose unchanged parts are not "
        "fetched again; one that is missing or cannot be read is left out",
        check=_are_absolute,
    )
