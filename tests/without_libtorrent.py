"""The real daemon on a device where libtorrent is not installed.

    python -m tests.without_libtorrent PID daemon --config FILE

It ends when process PID does.
"""

import sys

from p2pupd.cli.app import main
from p2pupd.host.processes import end_with

if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    sys.modules["libtorrent"] = None  # type: ignore[assignment]  # an import of it fails
    main()
