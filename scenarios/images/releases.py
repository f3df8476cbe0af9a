"""The releases of an imagined gateway: what is done to each one's root file system."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

EPOCH: Final = 1767225600
"""SOURCE_DATE_EPOCH of all releases: nothing in an image is younger."""

SUITE: Final = "bookworm"

BASE: Final = (
    *("systemd-sysv", "udev", "dbus", "openssh-server", "ca-certificates", "iproute2", "nftables"),
    *("linux-image-cloud-amd64", "python3", "nginx-light", "sudo", "curl", "git", "vim", "perl"),
    *("tcpdump", "rsync", "e2fsprogs", "kmod"),
)

OLD_KERNELS: Final = ("-o", "APT::Protect-Kernels=false")
"""So that a kernel goes when the next one has come."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release: the first one is debootstrap's, the others are made from the one before.

    `upgrade` names packages to bring to their newest version; `everything` upgrades all.
    `lines` are appended to files of the root file system, as an administrator would.
    """

    name: str
    install: tuple[str, ...] = ()
    upgrade: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    everything: bool = False
    lines: tuple[tuple[str, str], ...] = ()

    def commands(self) -> list[list[str]]:
        """What is run inside of the root file system, in order."""
        apt = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0"]
        steps = [[*apt, "update"]]
        if self.remove:
            steps.append([*apt, "purge", *self.remove])
        if self.upgrade:
            steps.append([*apt, "install", "--only-upgrade", *self.upgrade])
        if self.everything:
            steps.append([*apt, "dist-upgrade"])
        if self.install:
            steps.append([*apt, "install", *self.install])
        return [*steps, [*apt, "autoremove", "--purge", *OLD_KERNELS], [*apt, "clean"]]


RELEASES: Final = (
    Release("base", install=BASE),
    Release(
        "small",
        upgrade=("openssl", "libssl3"),
        install=("chrony",),
        lines=(
            ("etc/ssh/sshd_config", "PasswordAuthentication no\n"),
            ("etc/gateway.conf", "release = 2\nline = north\n"),
        ),
    ),
    Release(
        "medium",
        everything=True,
        install=("mosquitto", "snmpd"),
        lines=(("etc/gateway.conf", "release = 3\n"),),
    ),
    Release(
        "large",
        remove=("vim", "git", "nginx-light"),
        install=("apache2", "nodejs", "php-cli", "postgresql-client"),
        lines=(("etc/gateway.conf", "release = 4\n"),),
    ),
)
"""In order; an update leads from each to the next and is called by the name of the newer one."""

UPDATES: Final = tuple((older.name, newer.name) for older, newer in pairwise(RELEASES))
