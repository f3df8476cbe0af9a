"""A root file system: by debootstrap, then by apt inside of it. Needs root and the network.

Which mirror, which suites: what this machine's own apt is configured for.
"""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.images.commands import ImagesError, need, run
from scenarios.images.releases import EPOCH, SUITE, Release

PROGRAMS: Final = ("apt-get", "debootstrap", "unshare", "chroot", "tar", "find")
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
QUIET: Final = "#!/bin/sh\nexit 101\n"
"""Says that no service may be started: policy-rc.d(8)."""

LEFT_OVERS: Final = (
    *("var/lib/apt/lists", "var/cache/apt", "var/cache/debconf", "var/log", "tmp", "run"),
    *("var/lib/dpkg/lock*", "var/lib/dpkg/*-old", "var/cache/ldconfig/aux-cache", "var/tmp"),
)
"""Emptied: what is other on every machine and in every run."""

NOT_ON_A_DEVICE: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
INITRD: Final = "boot/initrd.img-*"
"""The slot is mounted by the kernel itself. An initial RAM disk would be solid compression within
the image: all of it is new with every new kernel."""

UNIQUE: Final = ("etc/machine-id", "etc/resolv.conf", "usr/sbin/policy-rc.d")
KEYS: Final = "etc/ssh/ssh_host_*"


@dataclass(frozen=True, slots=True)
class Source:
    """A line of apt's sources: where, which suite, which component."""

    uri: str
    suite: str
    component: str

    def __str__(self) -> str:
        return f"deb [signed-by={KEYRING}] {self.uri} {self.suite} {self.component}"


def sources() -> list[Source]:
    """Debian's of this machine, for the suite and its updates. Raises ImagesError."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN) $(CREATED_BY)"
    said = run(["apt-get", "indextargets", "--format", form])
    return chosen(said)


def chosen(said: str) -> list[Source]:
    """The sources in what `apt-get indextargets` says. Raises ImagesError."""
    found: dict[Source, None] = {}
    for line in said.splitlines():
        uri, suite, component, *rest = line.split()
        ours = suite == SUITE or suite.startswith(f"{SUITE}-")
        if rest == ["Debian", "Packages"] and component == "main" and ours:
            found[Source(uri, suite, component)] = None
    if not any(each.suite == SUITE for each in found):
        raise ImagesError(f"apt knows no Debian {SUITE}: add it to its sources, apt-get update")
    return sorted(found, key=lambda each: each.suite)


def bootstrap(tree: Path, release: Release) -> None:
    """The first release: debootstrap, then its packages as the suite had them at its last point
    release, so that there is something to upgrade."""
    need(PROGRAMS, "building a root file system")
    base = next(each for each in sources() if each.suite == SUITE)
    options = ("--variant=minbase", f"--keyring={KEYRING}", "--merged-usr")
    run(["debootstrap", *options, SUITE, tree, base.uri])
    _inside(tree, release, [base])


def update(tree: Path, release: Release) -> None:
    """Turn the release before this one into this one."""
    need(PROGRAMS, "updating a root file system")
    _inside(tree, release, sources())


def _inside(tree: Path, release: Release, known: list[Source]) -> None:
    (tree / "etc/apt/sources.list").write_text("".join(f"{each}\n" for each in known))
    (tree / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    (tree / "usr/sbin/policy-rc.d").write_text(QUIET)
    (tree / "usr/sbin/policy-rc.d").chmod(0o755)
    mounts = f"mount -t proc proc {shlex.quote(str(tree / 'proc'))}"
    for command in release.commands():
        line = f"{mounts} && exec chroot {shlex.quote(str(tree))} {shlex.join(command)}"
        environment = {"DEBIAN_FRONTEND": "noninteractive", "SOURCE_DATE_EPOCH": str(EPOCH)}
        run(["unshare", "--mount", "--fork", "sh", "-c", line], more=environment)
    for name, text in release.lines:
        with (tree / name).open("a") as file:
            file.write(text)
    clean(tree)


def clean(tree: Path) -> None:
    """Take out what differs from build to build, and let nothing be younger than the epoch."""
    for pattern in (*LEFT_OVERS, *NOT_ON_A_DEVICE):
        for path in tree.glob(pattern):
            inside = [path] if not path.is_dir() else sorted(path.iterdir())
            run(["rm", "-rf", *inside])
    run(["find", tree, "-xdev", "-name", "__pycache__", "-prune", "-exec", "rm", "-rf", "{}", "+"])
    for path in [*(tree / each for each in UNIQUE), *tree.glob(KEYS), *tree.glob(INITRD)]:
        path.unlink(missing_ok=True)
    (tree / "etc/machine-id").touch()
    settle(tree)


def settle(tree: Path) -> None:
    """Set the time of all that is younger than the epoch to the epoch."""
    stamp = f"@{EPOCH}"
    young: list[str | Path] = ["find", tree, "-xdev", "-depth", "-newermt", stamp]
    run([*young, "-exec", "touch", "--no-dereference", "--date", stamp, "{}", "+"])


def save(tree: Path, archive: Path) -> None:
    """The same bytes for the same tree: sorted, no names of users, times of the files alone."""
    unfinished = archive.with_suffix(".part")
    order = ("--sort=name", "--format=posix", "--numeric-owner", "--xattrs", "--one-file-system")
    plain = "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"
    run(["tar", *order, plain, "-C", tree, "-cf", unfinished, "."])
    os.replace(unfinished, archive)


def restore(archive: Path, tree: Path) -> None:
    """A tree as it was saved."""
    tree.mkdir(parents=True)
    run(["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", archive, "-C", tree])
