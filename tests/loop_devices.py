"""Block devices for tests: files bound to loop devices. Needs root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def loop_device(backing: Path, size: int) -> Iterator[Path]:
    """A block device of `size` bytes over `backing`, detached at the end."""
    with backing.open("ab") as file:
        file.truncate(size)
    found = subprocess.run(
        ["losetup", "--find", "--show", str(backing)], check=True, capture_output=True, text=True
    )
    device = Path(found.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=True)


@contextmanager
def mounted(device: Path, point: Path) -> Iterator[None]:
    """`device` gets an ext4 file system, which is mounted during the block."""
    subprocess.run(["mkfs.ext4", "-q", "-F", str(device)], check=True)
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", str(device), str(point)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(point)], check=True)
