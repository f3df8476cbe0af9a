"""Kills a publisher at each of its durable writes: python -m tests.killed_publisher DIR WHAT.

DIR holds `template`, made by tests.publishing.Publisher. For every rename that the operation WHAT
makes, DIR/1, DIR/2, ... is a copy in which the operation was killed by SIGKILL just before it; the
last one, printed, is where it came to its end.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from p2pupd.publisher.authority import refresh, rotate
from tests.publishing import DAY, Publisher


def operate(publisher: Publisher, what: str) -> None:
    """`add`, `refresh` or the name of a role to rotate."""
    if what == "add":
        publisher.add(2, later=DAY)
    elif what == "refresh":
        refresh(publisher.directory, publisher.signing(DAY), 3000 * DAY)
    else:
        rotate(publisher.directory, what, None, publisher.signing(DAY), publisher.sealer)


def die_at(renames: int) -> None:
    """SIGKILL to this process when it is about to rename for the nth time."""
    left = renames

    def count(event: str, _: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "os.rename":
            left -= 1
        if event == "os.rename" and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def killed(directory: Path, what: str, renames: int) -> bool:
    """Whether the operation was killed before it came to its end."""
    shutil.copytree(directory / "template", directory / str(renames))
    child = os.fork()
    if child == 0:
        die_at(renames)
        operate(Publisher.at(directory / str(renames)), what)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert status == 0, f"{what} failed by itself"
    return False


def main() -> None:
    """See above."""
    directory, what = Path(sys.argv[1]), sys.argv[2]
    renames = 1
    while killed(directory, what, renames):
        renames += 1
    sys.stdout.write(f"{renames}\n")


if __name__ == "__main__":
    main()
