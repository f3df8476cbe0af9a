"""Small file systems in memory, for what needs a full one or one that can be pulled. Needs root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes at `path`, empty at first."""
    path.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))
    subprocess.run(command, check=True)
    try:
        yield path
    finally:
        subprocess.run(("umount", "-l", str(path)), check=True)
