"""The whole error tree: one root, branches by who is to blame.

    UpdateError
    ├── UsageError              2   the command line, or a request to the control API
    ├── ConfigError             3   the configuration files
    ├── NothingToDo             4   asked for what is already so
    ├── DaemonUnreachable       5   no daemon answers on the control socket
    ├── NotAllowed              5   the control API does not serve this caller
    ├── TrustError             14   bytes that claim to be a release, and are not
    │   ├── SignatureError     14   missing, wrong or too few signatures
    │   ├── MetadataError      14   malformed, over a limit, or contradicting its parent
    │   ├── ExpiredError       12   signed once, but too long ago
    │   ├── DowngradeError    102   older than what this device has already accepted
    │   ├── HardwareError      14   signed, but not for this hardware
    │   ├── NotARepository     15   no p2pupd repository there at all
    │   └── RecordError        14   a signed message about the floor that does not count
    ├── ContentError           14   payload bytes that are not what was signed
    │   ├── UnsafeMedia        14   symlink, traversal, device, sparse or endless file
    │   └── PackError          14   a chunk pack whose table or chunks are not in order
    ├── ProtocolError          13   a neighbour that does not keep to the protocol
    ├── FetchError             13   bytes that could not be had
    │   ├── SourceGone         13   the stick was pulled, the neighbour left; comes back
    │   └── NeighbourBusy      13   a neighbour that wants to be asked again later
    ├── SpaceError             60   the disk, or the store's quota, has no room
    ├── InstallError            1   the slot or the bootloader refused
    │   └── BootControlError    1   the boot environment cannot be read or written
    ├── HealthError           110   the new release did not prove itself
    └── HostError               1   the operating system failed us (I/O, process, socket)
        └── SwarmError          1   the BitTorrent session cannot listen

The number is the exit code of the command line (docs/cli.md). `reason` is a stable slug for logs,
`status --json` and tests; the message is for people: what is wrong, where, and what to do.
A bug is not in this tree: it ends the program with a traceback.
"""

from typing import ClassVar


class UpdateError(Exception):
    """Root of every expected failure. `code` is the exit code, `reason` a stable slug."""

    code: ClassVar[int] = 1
    default_reason: ClassVar[str] = "failed"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason


class UsageError(UpdateError):
    code = 2
    default_reason = "usage"


class ConfigError(UpdateError):
    code = 3
    default_reason = "configuration"


class NothingToDo(UpdateError):
    code = 4
    default_reason = "nothing-to-do"


class DaemonUnreachable(UpdateError):
    code = 5
    default_reason = "daemon-unreachable"


class NotAllowed(UpdateError):
    code = 5
    default_reason = "not-allowed"


class TrustError(UpdateError):
    code = 14
    default_reason = "untrusted"


class SignatureError(TrustError):
    default_reason = "bad-signature"


class MetadataError(TrustError):
    default_reason = "bad-metadata"


class ExpiredError(TrustError):
    code = 12
    default_reason = "expired"


class DowngradeError(TrustError):
    code = 102
    default_reason = "downgrade"


class HardwareError(TrustError):
    default_reason = "wrong-hardware"


class NotARepository(TrustError):
    code = 15
    default_reason = "not-a-repository"


class RecordError(TrustError):
    """`reason` is what it is counted under: `forged`, `other-realm`, `future-dated`, ..."""

    default_reason = "malformed"


class ContentError(UpdateError):
    code = 14
    default_reason = "wrong-content"


class UnsafeMedia(ContentError):
    default_reason = "unsafe-media"


class PackError(ContentError):
    default_reason = "bad-pack"


class ProtocolError(UpdateError):
    code = 13
    default_reason = "protocol"


class FetchError(UpdateError):
    code = 13
    default_reason = "fetch-failed"


class SourceGone(FetchError):
    default_reason = "source-gone"


class NeighbourBusy(FetchError):
    """`after`: the seconds that it wants to be left alone for."""

    default_reason = "neighbour-busy"

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class SpaceError(UpdateError):
    code = 60
    default_reason = "no-space"


class InstallError(UpdateError):
    default_reason = "install-failed"


class BootControlError(InstallError):
    default_reason = "boot-control"


class HealthError(UpdateError):
    code = 110
    default_reason = "unhealthy"


class HostError(UpdateError):
    default_reason = "host"


class SwarmError(HostError):
    default_reason = "swarm"
