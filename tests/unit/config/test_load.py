"""Where settings come from, which one counts, and how mistakes are told."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from p2pupd.config.load import Config, find_control, load_config
from p2pupd.errors import ConfigError
from p2pupd.model.device import Role


def _load(
    file: Path, text: str, *overrides: str, environment: dict[str, str] | None = None
) -> Config:
    file.write_text(text)
    return load_config(file, overrides=overrides, environment=environment or {})


def _mistakes(
    file: Path,
    text: str,
    overrides: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(file, text, *overrides, environment=environment)
    return str(caught.value).splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_the_default_files_may_be_missing() -> None:
    loaded = load_config(environment={})
    assert loaded.settings.device.role is Role.PEER
    assert loaded.origins == {}


def test_a_named_file_must_be_there(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml: cannot be read: No such file"):
        load_config(file, environment={})


def test_a_file_that_may_not_be_read_is_a_mistake_and_no_traceback(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(file, environment={})


def test_what_is_not_toml_is_told_with_its_line(file: Path) -> None:
    assert _mistakes(file, "[device]\nrole = peer\n") == [
        f"{file}: is not TOML: Invalid value (at line 2, column 8)"
    ]


def test_what_is_not_text_is_not_toml(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(file, environment={})


def test_later_layers_win_and_every_origin_is_kept(file: Path) -> None:
    drop_ins = file.parent / "conf.d"
    drop_ins.mkdir()
    (drop_ins / "10-site.toml").write_text("[store]\nquota = '2G'\nmax_objects = 10\n")
    (drop_ins / "20-line.toml").write_text("[store]\nmax_objects = 20\nreserve = 5\n")
    loaded = _load(
        file,
        "[store]\nquota = '1G'\n[device]\nrole = 'seed'\n",
        "swarm.connections=7",
        "store.reserve=9",
        environment={"P2PUPD_STORE__RESERVE": "8", "P2PUPD_PEER__PORT": "7000", "HOME": "/"},
    )
    store = loaded.settings.store
    assert (store.quota, store.max_objects, store.reserve) == (2 << 30, 20, 9)
    assert loaded.settings.peer.port == 7000
    assert loaded.origins == {
        "store.quota": str(drop_ins / "10-site.toml"),
        "store.max_objects": str(drop_ins / "20-line.toml"),
        "store.reserve": "--set",
        "device.role": str(file),
        "peer.port": "environment P2PUPD_PEER__PORT",
        "swarm.connections": "--set",
    }


def test_the_real_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PUPD_STORE__MAX_OBJECTS", "11")
    assert load_config().settings.store.max_objects == 11


def test_lists_and_tables_can_be_given_in_one_line(file: Path) -> None:
    loaded = _load(
        file,
        "",
        'device.hardware=["line-a:1", "line-a:2"]',
        'health.exec=[{name = "unit", command = ["true"]}]',
        "device.factory_version=[1",
    )
    assert loaded.settings.device.hardware == ("line-a:1", "line-a:2")
    assert loaded.settings.health.exec[0].command == ("true",)
    assert loaded.settings.device.factory_version == "[1"


def test_relative_paths_start_at_the_file_that_sets_them(file: Path) -> None:
    (file.parent / "conf.d").mkdir()
    (file.parent / "conf.d" / "a.toml").write_text("[install]\nslot_b = 'b.img'\n")
    loaded = _load(file, "[install]\nslot_a = 'slots/a.img'\n", "trust.root=root.json")
    assert loaded.settings.install.slot_a == file.parent / "slots/a.img"
    assert loaded.settings.install.slot_b == file.parent / "conf.d" / "b.img"
    assert loaded.settings.trust.root == Path.cwd() / "root.json"


def test_the_state_directory_has_its_own_flag_and_moves_the_socket(tmp_path: Path) -> None:
    loaded = load_config(state_dir=tmp_path, environment={})
    assert loaded.settings.state_dir == tmp_path
    assert loaded.origins == {"device.state_dir": "--state-dir"}
    assert loaded.control_socket == tmp_path / "control.sock"


def test_the_socket_is_in_run_unless_something_is_moved(file: Path) -> None:
    assert load_config(environment={}).control_socket == Path("/run/p2pupd/control.sock")
    moved = _load(file, "[control]\nsocket = '/run/other.sock'\n")
    assert moved.control_socket == Path("/run/other.sock")


def test_a_socket_path_that_no_socket_can_have_is_told(file: Path) -> None:
    loaded = _load(file, f"[control]\nsocket = '/{'x' * 107}'\n")
    with pytest.raises(ConfigError, match=r"control\.socket: /x+ is longer than 107 bytes"):
        _ = loaded.control_socket


def test_every_mistake_is_told_at_once_with_its_place(file: Path) -> None:
    text = """
state_dir = "/var"
[device]
rol = "seed"
role = "sead"
least_battery = 101
[stroe]
quota = 1
[install]
slot_a = 5
[[health.exec]]
name = "unit"
comand = ["true"]
"""
    found = _mistakes(
        file, text, ["device.consent=perhaps", "nonsense"], {"P2PUPD_STORE__QUOTA": "many"}
    )
    assert sorted(found) == sorted(
        [
            f"{file}: state_dir stands outside of any [section]",
            f"{file}: device.rol is not a setting; did you mean `role`?",
            f"{file}: device.role must be one of seed, peer, leech, not 'sead'",
            f"{file}: device.least_battery is not within 0 to 100",
            f"{file}: stroe.quota is in no known section; did you mean `store`?",
            f"{file}: install.slot_a must be a path, not 5",
            f"{file}: health.exec[0].comand is not a setting; did you mean `command`?",
            f"{file}: health.exec[0].command is missing and has no default",
            "--set: device.consent must be true or false, not 'perhaps'",
            "--set nonsense: write section.key=value",
            "environment P2PUPD_STORE__QUOTA: store.quota must be a size such as 1048576 or "
            "\"64M\", not 'many'",
        ]
    )


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("peer.listen", "[]", "names no address to listen on"),
        ("peer.listen", '["eth0"]', "is no list of IP addresses: 'eth0' does not appear to be"),
        ("install.installer", "rauc", "is not an installer of this version: `slots`"),
        ("health.http", '[{name = "x", url = "ftp://x"}]', "is not an http:// or https:// URL"),
        ("health.http", '[{name = "x", url = "http://"}]', "is not an http:// or https:// URL"),
        ("health.http", '[{name = "x", url = "http://x:y"}]', "is not an http:// or https:// URL"),
        ("device.reboot_command", "[]", "is empty"),
        ("device.hardware", '["a b"]', "is 'a b', which does not match"),
        ("install.component", "Bad Name", "is 'Bad Name', which does not match"),
        ("install.line", "BAD", "is 'BAD', which does not match"),
        ("device.state_dir", "~nobodyhere/x", "begins with a user who is not known here"),
        ("device.state_dir", "a\0b", "holds what no system takes"),
        ("device.state_dir", "a\udc80b", "holds what no system takes"),
        ("device.factory_version", "a\0b", "holds what no system takes"),
    ],
)
def test_a_value_that_makes_no_sense_is_told(file: Path, key: str, value: str, wrong: str) -> None:
    (mistake,) = _mistakes(file, "", [f"{key}={value}"])
    assert wrong in mistake


def test_what_does_not_go_together_is_told_with_everything_else(file: Path) -> None:
    text = """
[install]
component = "os"
slot_a = "x.img"
slot_b = "x.img"
[health]
settle = "10m"
[[health.exec]]
name = "a"
command = ["true"]
[[health.http]]
name = "a"
url = "http://x/"
status_from = 299
status_to = 200
[uplink]
url = "https://x/"
ca_file = "none.pem"
[limits]
dscp = 99
"""
    place = file.parent
    assert sorted(_mistakes(file, text)) == sorted(
        [
            "device.hardware is empty: name what this device is, as releases do",
            f"{file}: install.slot_b is {place}/x.img, and so is slot_a",
            "health has two probes that are named 'a'",
            f"{file}: health.http[0].status_to is below status_from (299)",
            f"{file}: health.settle (600 s) is not below deadline (300 s)",
            f"{file}: uplink.ca_file ({place}/none.pem) cannot be read: No such file or directory",
            f"{file}: limits.dscp is not within 0 to 63",
        ]
    )


def test_what_stands_in_for_a_mistake_makes_no_second_one(file: Path) -> None:
    text = "[install]\ncomponent = 'os'\nslot_a = '/a'\nslot_b = '/b'\n[device]\nhardware = 1\n"
    assert _mistakes(file, text) == [f"{file}: device.hardware must be a list, not 1"]


def test_directories_of_media_begin_at_their_file_too(file: Path) -> None:
    text = '[media]\ndirectories = ["in", "/abs"]\nmount_points = ["mnt"]\n'
    media = _load(file, text).settings.media
    assert media.directories == (file.parent / "in", Path("/abs"))
    assert media.mount_points == (file.parent / "mnt",)
    (mistake,) = _mistakes(file, '[media]\ndirectories = [""]\n')
    assert "media.directories has an empty path" in mistake


def test_drop_ins_that_cannot_be_listed_are_a_mistake(file: Path) -> None:
    drop_ins = file.parent / "conf.d"
    drop_ins.symlink_to(drop_ins)
    assert _mistakes(file, "") == [f"{drop_ins}: cannot be read: Too many levels of symbolic links"]
    assert not find_control(file, environment={}).certain


def test_the_daemon_is_found_whatever_else_is_wrong(file: Path, tmp_path: Path) -> None:
    file.write_text('[device]\nstate_dir = "state"\n[limits]\ndscp = 99\n[nothing]\na = 1\n')
    found = find_control(file, environment={})
    assert found.socket == tmp_path / "state" / "control.sock"
    assert found.certain
    assert len(found.mistakes.splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    ["[device\n", "control = 1\n", "[device]\nstate_dir = 1\n", "[control]\nsocket = []\n"],
)
def test_where_the_daemon_is_may_be_what_is_wrong(file: Path, text: str) -> None:
    file.write_text(text)
    found = find_control(file, environment={})
    assert not found.certain
    assert found.mistakes


def test_a_flag_that_cannot_be_read_may_have_said_where_the_daemon_is(file: Path) -> None:
    file.write_text("")
    assert find_control(file, environment={}).mistakes == ""
    assert not find_control(file, overrides=["control.socket"], environment={}).certain
