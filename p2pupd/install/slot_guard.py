"""Nothing that is in use is ever opened for writing."""

import os
import stat
from pathlib import Path
from typing import Final

from p2pupd.errors import InstallError
from p2pupd.host import mounts

LOOPS: Final = Path("/sys/block")


def refuse_unless_spare(spare: Path, running: Path) -> None:
    """Raises InstallError unless `spare` is a slot of its own that nothing uses.

    It must be a block device that is not mounted, or a regular file (which may not exist yet) that
    no loop device is bound to, and by no name the same thing as `running`. A block device that is
    in use in a way not seen here is refused by the kernel when it is opened exclusively.
    """
    if os.path.realpath(spare) == os.path.realpath(running) or _same(spare, running):
        raise InstallError(f"the spare slot {spare} is the running slot {running}", reason="in-use")
    try:
        status = os.stat(spare)
    except FileNotFoundError:
        _refuse_unless_creatable(spare)
        return
    except OSError as error:
        raise InstallError(f"cannot look at the slot {spare}: {error.strerror}") from error
    if stat.S_ISBLK(status.st_mode):
        _refuse_mounted(spare, status.st_rdev)
    elif stat.S_ISREG(status.st_mode):
        _refuse_loop_backing(spare)
    else:
        raise InstallError(f"the slot {spare} is neither a block device nor a regular file")


def _same(one: Path, two: Path) -> bool:
    try:
        first, second = os.stat(one), os.stat(two)
    except OSError:
        return False
    if stat.S_ISBLK(first.st_mode) and stat.S_ISBLK(second.st_mode):
        return first.st_rdev == second.st_rdev
    return os.path.samestat(first, second)


def _refuse_unless_creatable(spare: Path) -> None:
    parent = Path(os.path.realpath(spare.parent))
    if parent == Path("/dev") or Path("/dev") in parent.parents:
        raise InstallError(f"there is no device {spare}: check the partitions of this device")
    if not parent.is_dir():
        raise InstallError(f"the directory of the slot {spare} is missing: make it")


def _refuse_mounted(spare: Path, device: int) -> None:
    number = f"{os.major(device)}:{os.minor(device)}"
    for mount in mounts.parse(mounts.MOUNTINFO.read_bytes()):
        if mount.device == number:
            raise InstallError(
                f"the spare slot {spare} is mounted on {mount.point}: unmount it", reason="in-use"
            )


def _refuse_loop_backing(spare: Path) -> None:
    path = os.path.realpath(spare)
    for backing in LOOPS.glob("loop*/loop/backing_file"):
        try:
            bound = backing.read_text("utf-8", "replace").rstrip("\n")
        except OSError:
            continue  # it was detached just now
        if bound == path:
            raise InstallError(
                f"the spare slot {spare} is bound to /dev/{backing.parts[-3]}: "
                "configure that device as the slot, or detach it",
                reason="in-use",
            )
