"""`python -m scenarios.bench.web DIRECTORY PORT`: a plain web server, by sendfile(2)."""

import sys
from pathlib import Path

from aiohttp import web


def main() -> None:
    """Serve until ended."""
    application = web.Application()
    application.router.add_static("/", Path(sys.argv[1]))
    web.run_app(application, port=int(sys.argv[2]), print=None, access_log=None)


if __name__ == "__main__":
    main()
