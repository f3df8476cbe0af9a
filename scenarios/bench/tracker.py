"""`python -m scenarios.bench.tracker PORT`: the least tracker that a BitTorrent swarm needs.

It answers every announcement with all that it has heard of (BEP 3, BEP 23); nothing is forgotten.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, urlsplit

INTERVAL_SECONDS: Final = 10


class Announcement(BaseHTTPRequestHandler):
    """One GET of a client. All of them belong to one swarm."""

    swarm: Final[dict[bytes, None]] = {}

    def do_GET(self) -> None:
        """Remember the caller, and tell it of the others."""
        query = parse_qs(urlsplit(self.path).query)
        port = int(query["port"][0])
        caller = ip_address(self.client_address[0]).packed + port.to_bytes(2, "big")
        others = b"".join(each for each in self.swarm if each != caller)
        self.swarm[caller] = None
        body = b"d8:intervali%de5:peers%d:%se" % (INTERVAL_SECONDS, len(others), others)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Announcement).serve_forever()
