"""Settings of the feeds that read a file system: sticks and directories."""

from dataclasses import dataclass
from pathlib import Path

from p2pupd.model.setting import NO_PATH, Bytes, Seconds, at_least, setting, within


def _none_empty(value: tuple[Path, ...]) -> str | None:
    return "has an empty path" if NO_PATH in value else None


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """`[media]`: which file systems are looked at, and how much is read from them."""

    mount_points: tuple[Path, ...] = setting(
        (Path("/media"), Path("/run/media"), Path("/mnt")),
        "A file system that is mounted at or below one of these is taken for a stick",
        check=_none_empty,
    )
    removable: bool = setting(
        True, "So is one on a removable or USB device, wherever it is mounted"
    )
    ignored_filesystems: tuple[str, ...] = setting(
        (
            "9p",
            "afs",
            "autofs",
            "ceph",
            "cifs",
            "devpts",
            "devtmpfs",
            "fuse.gvfsd-fuse",
            "fuse.sshfs",
            "nfs",
            "nfs4",
            "overlay",
            "proc",
            "smb3",
            "sysfs",
        ),
        "Kinds of file system that are never a stick: reading one that is on the network can hang",
    )
    directories: tuple[Path, ...] = setting(
        (),
        "Directories that are looked at besides: a repository that appears there is taken in",
        check=_none_empty,
    )
    poll: Seconds = setting(
        Seconds(1.0), "How often those directories are looked at", check=at_least(0.01)
    )
    results: bool = setting(
        True, "Write what is known of the floor, as signed, to sticks that can be written"
    )
    metadata_file: Bytes = setting(
        Bytes(512 * 1024), "One metadata file may be so large", check=at_least(1024)
    )
    directory_entries: int = setting(
        4096, "A metadata directory may have so many entries", check=within(16, 1_000_000)
    )
