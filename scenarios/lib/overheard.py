"""Listens on the switch of a floor: how many bytes of the wire each host spends on a kind of call.

    python -m scenarios.lib.overheard SECONDS PATH      (in the switch's namespace)

Prints {address: bytes sent and received} for all TCP packets of calls to PATH: Ethernet, IP and TCP
headers, handshakes and acknowledgements included. A connection's packets count for the call that
was made on it last, those before its first call for that one.
"""

import json
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

ETHERTYPE_IPV4 = 0x0800
EVERYTHING = 3  # ETH_P_ALL: a bridge takes frames before the handlers of their own protocol
TCP = 6
BUFFER = 64 * 1024 * 1024
METHODS = (b"GET ", b"POST ", b"HEAD ")


@dataclass
class Call:
    """What one connection has carried since its last call began."""

    wanted: bool | None = None
    before: int = 0


@dataclass
class Tally:
    path: bytes
    spent: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    connections: dict[tuple[str, int, str, int], Call] = field(default_factory=dict)

    def saw(self, frame: bytes) -> None:
        """One frame, as it came in at a port of the switch."""
        if int.from_bytes(frame[12:14], "big") != ETHERTYPE_IPV4 or frame[23] != TCP:
            return
        start = 14 + (frame[14] & 15) * 4
        source, target = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
        ports = (
            int.from_bytes(frame[start : start + 2]),
            int.from_bytes(frame[start + 2 : start + 4]),
        )
        text = frame[start + (frame[start + 12] >> 4) * 4 :]
        forth, back = (source, ports[0], target, ports[1]), (target, ports[1], source, ports[0])
        key = back if back in self.connections else forth
        call = self.connections.setdefault(key, Call())
        if key == forth and text.startswith(METHODS):
            first = call.wanted is None
            call.wanted = text.split(b" ", 2)[1] == self.path
            if call.wanted:
                self.calls[source] += 1
                self._count(key, call.before if first else 0)
        if call.wanted is None:
            call.before += len(frame)
        elif call.wanted:
            self._count(key, len(frame))

    def _count(self, key: tuple[str, int, str, int], amount: int) -> None:
        self.spent[key[0]] += amount
        self.spent[key[2]] += amount


def main(seconds: float, path: str) -> None:
    tally = Tally(path.encode())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING)) as heard:
        heard.setsockopt(socket.SOL_SOCKET, 33, BUFFER)  # SO_RCVBUFFORCE
        print("listening", flush=True)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            heard.settimeout(left)
            try:
                frame, origin = heard.recvfrom(65536)
            except TimeoutError:
                break
            if origin[2] != socket.PACKET_OUTGOING and origin[0] != "br0":
                tally.saw(frame)
    print(json.dumps({"spent": tally.spent, "calls": tally.calls}))


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
