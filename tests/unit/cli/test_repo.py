"""`p2pupd repo`, as a release engineer types it."""

import contextlib
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from p2pupd.cli.app import run

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_a_quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("P2PUPD_PASSPHRASE", raising=False)


@pytest.fixture
def acme(tmp_path: Path, capsys: Said) -> Path:
    assert run(["repo", "init", "acme", "--line", "gateway", "--no-passphrase"]) == 0
    capsys.readouterr()
    return tmp_path / "acme"


def image(name: str = "os.img", size: int = 50_000) -> str:
    Path(name).write_bytes(name.encode() * (size // len(name)))
    return name


def add(version: str, *more: str) -> int:
    described = ["--component", "os", "--version", version, "--hardware", "rev-a"]
    return run(["repo", "add", image(f"{version}.img"), "--repo", "acme", *described, *more])


def shown(path: str, capsys: Said) -> Any:
    capsys.readouterr()
    assert run(["repo", "show", "--json", path]) == 0
    return json.loads(capsys.readouterr().out)


def versions(path: str, capsys: Said) -> dict[str, int]:
    return {role: facts["version"] for role, facts in shown(path, capsys)["roles"].items()}


def test_init_says_where_the_anchor_and_the_keys_are(tmp_path: Path, capsys: Said) -> None:
    assert run(["repo", "init", "acme", "--line", "gateway", "--no-passphrase"]) == 0
    said = capsys.readouterr()
    assert "acme/metadata/1.root.json" in said.out
    assert str(tmp_path / "acme-keys") in said.out
    assert "one root key" not in said.err
    assert not list((tmp_path / "acme").rglob("*.key"))
    keys = sorted(each.name.rpartition("-")[0] for each in (tmp_path / "acme-keys").glob("*.key"))
    assert keys == ["gateway", "root", "root", "snapshot", "targets", "timestamp"]


def test_one_root_key_is_warned_about(capsys: Said) -> None:
    command = ["repo", "init", "acme", "--line", "a", "--threshold", "1", "--no-passphrase"]
    assert run(command) == 0
    assert "one root key alone" in capsys.readouterr().err


def test_there_may_be_more_root_keys_than_must_sign(capsys: Said) -> None:
    command = ["repo", "init", "acme", "--line", "a", "--root-keys", "3", "--no-passphrase"]
    assert run(command) == 0
    root = shown("acme", capsys)["roles"]["root"]
    assert root["threshold"] == 2
    assert len(root["keys"]) == 3


def test_init_needs_a_passphrase_or_a_plain_no(tmp_path: Path, capsys: Said) -> None:
    assert run(["repo", "init", "acme", "--line", "gateway"]) == 2
    assert "--no-passphrase" in capsys.readouterr().err
    assert not (tmp_path / "acme").exists()


def test_keys_may_not_be_inside_the_repository(capsys: Said) -> None:
    inside = ["--keys", "acme/keys", "--no-passphrase"]
    assert run(["repo", "init", "acme", "--line", "gateway", *inside]) == 2
    assert "must not be inside" in capsys.readouterr().err


def test_a_second_init_leaves_the_first_alone(acme: Path, capsys: Said) -> None:
    before = (acme / "metadata" / "1.root.json").read_bytes()
    assert run(["repo", "init", "acme", "--line", "gateway", "--no-passphrase"]) == 2
    assert "already" in capsys.readouterr().err
    assert (acme / "metadata" / "1.root.json").read_bytes() == before


def test_protected_keys_open_with_the_passphrase_only(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    told = ["--passphrase-file", str(secret)]
    assert run(["repo", "init", "acme", "--line", "gateway", *told]) == 0
    monkeypatch.setenv("P2PUPD_PASSPHRASE", "wrong horse")
    assert add("1.0") == 14
    assert "wrong passphrase" in capsys.readouterr().err
    monkeypatch.setenv("P2PUPD_PASSPHRASE", "correct horse")
    assert add("1.0") == 0
    assert b"correct" not in b"".join(each.read_bytes() for each in Path("acme-keys").iterdir())


@pytest.mark.usefixtures("acme")
def test_add_says_what_it_published(capsys: Said) -> None:
    more = ["--depends-on", "radio:3", "--depends-on", "modem", "--conflicts", "old-os"]
    rules = ["--min-release", "0", "--security-floor", "1", "--urgency", "security"]
    assert add("1.0", *more, *rules, "--kind", "security", "--notes", "Closes a hole.") == 0
    assert ".os-1.0.img.pack\n" in capsys.readouterr().out
    (release,) = shown("acme", capsys)["releases"]
    assert release["dependsOn"] == [
        {"componentId": "radio", "minRelease": 3},
        {"componentId": "modem", "minRelease": 0},
    ]
    assert release["notes"] == "Closes a hole."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--release", "0"], "range"),
        (["--depends-on", "radio:x"], "COMPONENT:RELEASE"),
        (["--depends-on", "RADIO"], "componentId"),
        (["--line", "tank"], "no product line 'tank'"),
        (["--notes", "schön"], "ASCII"),
        (["--kind", "magic"], "magic"),
        (["--conflicts", "A B"], "conflicts"),
        (["--installer", "rauc"], "slots"),
        (["--min-release", "1"], "release 1 of os would need release 1 first"),
        (["--min-release", "77"], "release 1 of os would need release 77 first"),
    ],
)
def test_what_cannot_be_published_is_told_and_nothing_changes(
    acme: Path, capsys: Said, arguments: list[str], said: str
) -> None:
    before = sorted(acme.rglob("*"))
    assert add("1.0", *arguments) == 2
    assert said in capsys.readouterr().err
    assert sorted(acme.rglob("*")) == before


@pytest.mark.usefixtures("acme")
def test_a_rollout_policy_is_signed_and_shown(capsys: Said, acme: Path) -> None:
    policy = ["--waves", "2.5%:90m, 25%:1d,100%", "--canary", "lab", "--canary-soak", "2h"]
    limits = ["--max-failures", "20%", "--max-concurrent", "2", "--window", "Mon-Fri 22:00-05:00"]
    assert add("1.0", *policy, *limits, "--deadline", "2027-01-31") == 0
    [release] = shown("acme", capsys)["releases"]
    assert release["rollout"] == {
        "waves": [
            {"permille": 25, "soakMinutes": 90},
            {"permille": 250, "soakMinutes": 1440},
            {"permille": 1000},
        ],
        "canary": {"groups": ["lab"], "soakMinutes": 120},
        "maxFailuresPermille": 200,
        "maxConcurrent": 2,
        "windows": ["Mon-Fri 22:00-05:00"],
        "deadline": 1801353600,
    }
    assert run(["repo", "show", "acme"]) == 0
    said = capsys.readouterr().out
    for line in (
        "canaries lab then 120 min",
        "waves 2.5 % then 90 min, 25 % then 1440 min, 100 %",
        "halts at 20 % failures",
        "2 at once",
        "only Mon-Fri 22:00-05:00",
        "deadline 2027-01-31 00:00 UTC",
    ):
        assert f"  {line}\n" in said


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--waves", "5%,100%"], "--waves and --canary need --max-failures"),
        (["--waves", "5%", "--max-failures", "10%"], "the last one must reach everybody"),
        (["--waves", "50%,20%,100%", "--max-failures", "10%"], "reach more devices than the one"),
        (["--waves", "5%,100%:2h", "--max-failures", "10%"], "it has no soakMinutes"),
        (
            ["--waves", "5,100%", "--max-failures", "1%"],
            "--waves: '5' is no share of the devices; write 5%",
        ),
        (
            ["--waves", "5%:2,100%", "--max-failures", "1%"],
            "--waves: '2' is no time to wait; write 90m, 2h or 1d",
        ),
        (["--max-failures", "0%"], "--max-failures: 0% is not within 0.1% to 100%"),
        (["--canary", "Lab", "--max-failures", "1%"], "canary.groups: each must match"),
        (["--canary-soak", "2h"], "there are no canaries"),
        (["--window", "at night"], "windows: one is no window of time: 'at night'"),
        (["--deadline", "soon"], "--deadline: 'soon' is no date; write 2027-01-31"),
        (["--max-concurrent", "0"], "maxConcurrent: must be a whole number from 1"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_told_and_not_signed(
    options: list[str], why: str, capsys: Said, acme: Path
) -> None:
    assert add("1.0", *options) == 2
    assert why in capsys.readouterr().err
    assert shown("acme", capsys)["releases"] == []


def test_a_missing_or_empty_image_is_told(capsys: Said) -> None:
    described = ["--repo", "acme", "--component", "os", "--version", "1", "--hardware", "a"]
    assert run(["repo", "add", "absent.img", *described]) != 0
    assert "absent.img" in capsys.readouterr().err
    Path("empty.img").touch()
    assert run(["repo", "add", "empty.img", *described]) == 2
    assert "empty.img is empty" in capsys.readouterr().err


@pytest.mark.usefixtures("acme")
def test_without_the_keys_nothing_can_be_added(tmp_path: Path, capsys: Said) -> None:
    assert add("1.0", "--keys", str(tmp_path / "elsewhere")) == 2
    assert "--keys" in capsys.readouterr().err


def test_a_place_that_is_no_repository_is_told(capsys: Said) -> None:
    for command in (["show"], ["export", "."], ["refresh"], ["rotate", "root"]):
        assert run(["repo", *command, *(["--no-passphrase"] if "rotate" in command else [])]) == 15
        assert "p2pupd repo init" in capsys.readouterr().err or command[0] != "refresh"


@pytest.mark.usefixtures("acme")
def test_refresh_raises_the_timestamp_and_nothing_else(capsys: Said) -> None:
    before = versions("acme", capsys)
    assert run(["repo", "refresh", "--repo", "acme", "--timestamp-days", "90"]) == 0
    assert "signed timestamp" in capsys.readouterr().out
    assert versions("acme", capsys) == {**before, "timestamp": before["timestamp"] + 1}


@pytest.mark.usefixtures("acme")
def test_refresh_warns_of_what_expires_while_its_keys_are_away(
    tmp_path: Path, capsys: Said
) -> None:
    for away in (tmp_path / "acme-keys").glob("targets-*"):
        away.rename(tmp_path / away.name)
    before = versions("acme", capsys)
    assert run(["repo", "refresh", "--repo", "acme", "--timestamp-days", "1000"]) == 0
    said = capsys.readouterr()
    assert "warning: targets expires on" in said.err
    assert "gateway" in said.out
    after = versions("acme", capsys)
    assert after["targets"] == before["targets"]
    assert after["gateway"] == before["gateway"] + 1


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp", "gateway"])
def test_rotate_replaces_a_key_and_keeps_the_realm(acme: Path, capsys: Said, role: str) -> None:
    assert add("1.0") == 0
    before = shown("acme", capsys)
    assert run(["repo", "rotate", role, "--repo", "acme", "--no-passphrase"]) == 0
    assert f"{role}: key" in capsys.readouterr().out
    after = shown("acme", capsys)
    assert after["realm"] == before["realm"]
    assert after["roles"][role]["keys"] != before["roles"][role]["keys"]
    assert after["roles"]["timestamp"]["version"] > before["roles"]["timestamp"]["version"]
    assert after["releases"] == before["releases"]
    assert add("1.1") == 0


@pytest.mark.usefixtures("acme")
def test_rotate_takes_the_named_key_only(capsys: Said) -> None:
    first, second = shown("acme", capsys)["roles"]["root"]["keys"]
    named = ["--key", second[:8], "--repo", "acme", "--no-passphrase"]
    assert run(["repo", "rotate", "root", *named]) == 0
    assert first in shown("acme", capsys)["roles"]["root"]["keys"]
    assert run(["repo", "rotate", "root", *named]) == 2


@pytest.mark.usefixtures("acme")
def test_rotate_names_the_roles_that_there_are(capsys: Said) -> None:
    assert run(["repo", "rotate", "king", "--repo", "acme", "--no-passphrase"]) == 2
    assert "gateway" in capsys.readouterr().err


def test_export_writes_a_stick_that_show_reads(acme: Path, tmp_path: Path, capsys: Said) -> None:
    assert add("1.0") == 0
    assert add("1.1") == 0
    (tmp_path / "stick").mkdir()
    assert run(["repo", "export", "stick", "--repo", str(acme)]) == 0
    said = capsys.readouterr().out
    assert "os 1.1 (release 2)" in said
    assert "os 1.0 (release 1)" not in said.split("bytes, sha256")[-1]
    assert "stick is ready" in said
    assert run(["repo", "show", "--repo", "stick"]) == 0
    assert run(["repo", "show", "stick"]) == 0
    listing = capsys.readouterr().out
    assert "bytes in a pack, 49994 unpacked, installed by slots  (file not here)" in listing
    assert "timestamp    version 3" in listing
    assert run(["repo", "export", "stick", "--repo", "acme"]) == 0
    assert "holds all of this already" in capsys.readouterr().out
    assert run(["repo", "export", "stick", "--repo", "acme", "--all"]) == 0
    assert "os 1.0 (release 1)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["2.gateway.json", "timestamp.json", "1.root.json"])
def test_what_was_tampered_with_is_shown_with_a_warning_and_not_exported(
    acme: Path, tmp_path: Path, capsys: Said, name: str
) -> None:
    assert add("1.0") == 0
    file = acme / "metadata" / name
    file.write_bytes(file.read_bytes().replace(b'"expires":"20', b'"expires":"21'))
    stick = tmp_path / "stick"
    stick.mkdir()
    assert run(["repo", "show", "acme"]) == 0
    said = capsys.readouterr()
    assert "os 1.0 (release 1)" in said.out
    assert "warning: devices would refuse this" in said.err
    assert shown("acme", capsys)["doubt"]
    assert run(["repo", "export", str(stick), "--repo", "acme"]) in (2, 14)
    assert list(stick.iterdir()) == []


@pytest.mark.usefixtures("acme")
def test_export_names_what_is_not_there(capsys: Said) -> None:
    assert run(["repo", "export", "absent", "--repo", "acme"]) == 2
    assert "where it is mounted" in capsys.readouterr().err
    assert run(["repo", "export", ".", "--repo", "acme", "--component", "tank"]) == 2
    assert "no release of tank" in capsys.readouterr().err


def test_the_passphrase_is_asked_for_where_nothing_is_drawn_over_it(
    tmp_path: Path, capsys: Said
) -> None:
    Path("secret").write_text("a passphrase")
    init = ["repo", "init", "acme", "--line", "gateway", "--passphrase-file", "secret"]
    assert run(init) == 0
    capsys.readouterr()
    described = ["--component", "os", "--version", "1.0", "--hardware", "rev-a", "--repo", "acme"]
    command = [sys.executable, "-m", "p2pupd", "repo", "add", image(), *described]
    child, screen = pty.fork()
    if child == 0:
        os.execv(sys.executable, command)
    shown = b""
    while b"Passphrase of" not in shown:
        shown += os.read(screen, 4096)
    before = shown
    os.write(screen, b"a passphrase\n")
    with contextlib.suppress(OSError):
        while more := os.read(screen, 4096):
            shown += more
    os.close(screen)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"\x1b[" not in before
    assert b"os 1.0 (release 1)" in shown


@pytest.mark.usefixtures("acme")
def test_add_packs_unless_it_is_told_not_to(capsys: Said) -> None:
    assert add("1.0") == 0
    assert "the pack has" in capsys.readouterr().out
    assert add("1.1", "--raw") == 0
    assert "the pack has" not in capsys.readouterr().out
    formats = {each["version"]: each["format"] for each in shown("acme", capsys)["releases"]}
    assert formats == {"1.0": "pack1", "1.1": "raw"}


@pytest.mark.usefixtures("acme")
def test_add_warns_of_what_is_compressed_as_a_whole(capsys: Said) -> None:
    Path("os.img.zst").write_bytes(b"\x28\xb5\x2f\xfd" + os.urandom(100_000))
    described = ["--repo", "acme", "--component", "os", "--version", "1", "--hardware", "a"]
    assert run(["repo", "add", "os.img.zst", *described]) == 0
    said = capsys.readouterr()
    assert "warning: os.img.zst is zstd" in said.err
    assert "carried as it is" in said.out


@pytest.mark.usefixtures("acme")
def test_show_tells_what_an_update_brings(capsys: Said) -> None:
    assert add("1.0") == 0
    assert add("1.1") == 0
    capsys.readouterr()
    assert run(["repo", "show", "acme", "--against", "1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("os 1.1 (release 2), for a device that has os 1.0 (release 1)\n")
    assert "on the wire" in said
    same = ["--against", "1.0.img", "--component", "os", "--release", "2", "--json"]
    assert run(["repo", "show", "acme", *same]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["against"] == "1.0.img"
    assert told["image"] == 49_994


@pytest.mark.usefixtures("acme")
def test_which_update_is_only_asked_with_an_older_release(capsys: Said) -> None:
    assert run(["repo", "show", "acme", "--component", "os"]) == 2
    assert "add --against OLD" in capsys.readouterr().err
    assert add("1.0") == 0
    assert run(["repo", "show", "acme", "--against", "9"]) == 2
    assert "no release 9 of os, only 1" in capsys.readouterr().err
    assert run(["repo", "show", "acme", "--against", "absent.img"]) == 1
    assert "absent.img" in capsys.readouterr().err
