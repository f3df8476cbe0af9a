"""The formats of image: how each is made of a tree, so that equal files become equal bytes."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.images.commands import run
from scenarios.images.releases import EPOCH

UUID: Final = "6f1d4f0e-3a62-4c3b-9d56-0b6f2f6f7a11"
EXT4_SIZE: Final = 512 << 20
FIXED_TIME: Final = {"SOURCE_DATE_EPOCH": str(EPOCH), "E2FSPROGS_FAKE_TIME": str(EPOCH)}
CARELESS_EPOCH: Final = EPOCH + 86400

Maker = Callable[[Path, Path, Path], None]
"""(tree, its tar archive, image to be written)."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to make an image; `careless` ones are there to show what to avoid."""

    name: str
    programs: tuple[str, ...]
    make: Maker
    careless: bool = False


def _ext4(tree: Path, archive: Path, image: Path) -> None:
    _mke2fs(tree, image, uuid=UUID, time=FIXED_TIME)
    script = image.with_suffix(".debugfs")
    script.write_text("".join(f"{each}\n" for each in _times(image)))
    run(["debugfs", "-w", "-f", script, image], more=FIXED_TIME)
    script.unlink()


def _ext4_careless(tree: Path, archive: Path, image: Path) -> None:
    _mke2fs(tree, image, uuid="random", time={})


def _mke2fs(tree: Path, image: Path, *, uuid: str, time: dict[str, str]) -> None:
    with image.open("wb") as file:
        file.truncate(EXT4_SIZE)
    seed = f",hash_seed={uuid}" if uuid == UUID else ""
    extended = f"root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0{seed}"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-U", uuid, "-E", extended]
    run([*command, "-d", tree, image], more=time)


def _times(image: Path) -> Iterator[str]:
    """Commands for debugfs: mke2fs copies the times of change and access, which are the build's."""
    said = run(["dumpe2fs", image])
    per_group = int(re.findall(r"^Inodes per group:\s+(\d+)", said, re.MULTILINE)[0])
    count = int(re.findall(r"^Inode count:\s+(\d+)", said, re.MULTILINE)[0])
    free: set[int] = set()
    for line in re.findall(r"^\s+Free inodes: (.*)$", said, re.MULTILINE):
        for part in line.split(", "):
            first, _, last = part.strip().partition("-")
            if first:
                free.update(range(int(first), int(last or first) + 1))
    assert per_group > 0
    for inode in (2, *range(11, count + 1)):
        if inode not in free:
            for field in ("atime", "ctime"):
                yield f"sif <{inode}> {field} @{EPOCH}"


def _squashfs(tree: Path, archive: Path, image: Path) -> None:
    _mksquashfs(tree, image, "-comp", "zstd")


def _squashfs_careless(tree: Path, archive: Path, image: Path) -> None:
    """Blocks of 1 MiB, and the time of the build on every file."""
    _mksquashfs(tree, image, "-comp", "zstd", "-b", "1M", "-all-time", str(_day(image)))


def _mksquashfs(tree: Path, image: Path, *more: str) -> None:
    image.unlink(missing_ok=True)
    fixed = ("-noappend", "-no-progress", "-quiet", "-reproducible", "-mkfs-time", str(EPOCH))
    run(["mksquashfs", tree, image, *fixed, *more])


def _erofs(tree: Path, archive: Path, image: Path) -> None:
    _mkfs_erofs(tree, image, "-zlz4")


def _erofs_plain(tree: Path, archive: Path, image: Path) -> None:
    _mkfs_erofs(tree, image)


def _mkfs_erofs(tree: Path, image: Path, *more: str) -> None:
    image.unlink(missing_ok=True)
    run(["mkfs.erofs", "--quiet", "-U", UUID, f"-T{EPOCH}", *more, image, tree])


def _tar(tree: Path, archive: Path, image: Path) -> None:
    image.unlink(missing_ok=True)
    os.link(archive, image)


def _tar_careless(tree: Path, archive: Path, image: Path) -> None:
    """Every file as young as the build."""
    order = ("--sort=name", "--numeric-owner", f"--mtime=@{_day(image)}", "--one-file-system")
    run(["tar", *order, "-C", tree, "-cf", image, "."])


def _tar_zst(tree: Path, archive: Path, image: Path) -> None:
    run(["zstd", "-q", "-f", "-T1", "-9", archive, "-o", image])


def _tar_zst_rsyncable(tree: Path, archive: Path, image: Path) -> None:
    run(["zstd", "-q", "-f", "-T2", "-9", "--rsyncable", archive, "-o", image])


def _day(image: Path) -> int:
    """A time that is another one for each release."""
    return CARELESS_EPOCH + sum(image.parent.name.encode()) * 86400


_EXT4: Final = ("mke2fs", "debugfs", "dumpe2fs")
FORMATS: Final = (
    Format("ext4", _EXT4, _ext4),
    Format("squashfs", ("mksquashfs",), _squashfs),
    Format("erofs", ("mkfs.erofs",), _erofs),
    Format("tar", ("tar",), _tar),
    Format("tar.zst", ("zstd",), _tar_zst, careless=True),
    Format("tar.rsyncable.zst", ("zstd",), _tar_zst_rsyncable, careless=True),
    Format("ext4-random", _EXT4, _ext4_careless, careless=True),
    Format("squashfs-1M", ("mksquashfs",), _squashfs_careless, careless=True),
    Format("erofs-plain", ("mkfs.erofs",), _erofs_plain),
    Format("tar-dated", ("tar",), _tar_careless, careless=True),
)
BY_NAME: Final = {each.name: each for each in FORMATS}
