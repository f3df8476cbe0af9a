"""What `doctor` finds on devices that lack one thing each, and on one that runs."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from p2pupd import BUILD_TIME
from p2pupd.cli.app import run
from p2pupd.cli.examination import judge_clock
from p2pupd.host.settings import ClockTrust
from p2pupd.model.clock import WallClock
from tests.publishing import Publisher
from tests.serving import served
from tests.sticks import write_repository
from tests.support import eventually_sync, needs_root

Findings = dict[str, dict[str, Any]]


@dataclass
class Patient:
    """A device on a loopback address of its own; `says` is what doctor says about it."""

    directory: Path
    address: str
    capsys: pytest.CaptureFixture[str]
    code: int = 0

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    def configure(self, **sections: dict[str, Any]) -> None:
        settings: dict[str, dict[str, Any]] = {
            "device": {"state_dir": "state", "hardware": ["acme-gw2"]},
            "trust": {"root": "root.json"},
            "install": {"component": "gateway-os", "slot_a": "a.img", "slot_b": "b.img"},
            "peer": {"listen": [self.address], "port": 7830},
            "swarm": {"interfaces": [self.address]},
            "discovery": {"interfaces": [self.address]},
        }
        for section, changes in sections.items():
            settings.setdefault(section, {}).update(changes)
        self.config.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items())
                for section, keys in settings.items()
            )
        )

    def says(self, *arguments: str) -> Findings:
        command = ["doctor", "--config", str(self.config), "--listen", "0.3", *arguments]
        self.code = run([*command, "--json"])
        return {each["check"]: each for each in json.loads(self.capsys.readouterr().out)}

    def verdict(self, check: str, *arguments: str) -> tuple[str, str]:
        finding = self.says(*arguments)[check]
        return finding["verdict"], finding["says"]


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    publisher = Publisher(tmp_path_factory.mktemp("publisher"))
    return (publisher.directory / "metadata" / "1.root.json").read_bytes()


@pytest.fixture
def patient(tmp_path: Path, anchor: bytes, capsys: pytest.CaptureFixture[str]) -> Patient:
    """In good health, but its daemon is off."""
    made = Patient(
        tmp_path, f"127.{20 + secrets.randbelow(200)}.{secrets.randbelow(250)}.1", capsys
    )
    (tmp_path / "root.json").write_bytes(anchor)
    (tmp_path / "a.img").write_bytes(bytes(4096))
    made.configure()
    return made


@pytest.fixture
def daemon(patient: Patient) -> Iterator[None]:
    command = [sys.executable, "-m", "p2pupd", "daemon", "--config", str(patient.config)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        control = patient.directory / "state" / "control.sock"
        eventually_sync(control.exists, within=30)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_a_device_that_runs_is_well(patient: Patient, daemon: None) -> None:
    found = patient.says()
    verdicts = {check: each["verdict"] for check, each in found.items()}
    multicast = verdicts.pop("multicast lo")
    assert multicast in {"ok", "warn"}, "other hosts on loopback may or may not be there"
    assert set(verdicts.values()) == {"ok"}, found
    assert patient.code == 0
    assert "our daemon runs" in found["peer.port"]["says"]
    assert "boot.json is made when first needed" in found["boot environment"]["says"]
    assert "version" in found["daemon"]["says"]


def test_a_device_that_never_started_lacks_only_its_daemon(patient: Patient) -> None:
    found = patient.says()
    assert [check for check, each in found.items() if each["verdict"] == "fail"] == ["daemon"]
    assert patient.code == 1
    assert not (patient.directory / "state").exists(), "doctor changes nothing"
    assert "is made when first needed, with slot A" in found["boot environment"]["says"]
    assert "made at the first installation" in found["slots"]["says"]


def test_for_people_there_is_a_line_a_finding_and_what_to_do(patient: Patient) -> None:
    assert run(["doctor", "--config", str(patient.config), "--listen", "0.3"]) == 1
    text = patient.capsys.readouterr().out
    assert "ok    configuration          valid: " in text
    assert "fail  daemon                 no answer on " in text
    assert "-> systemctl status p2pupd" in text


def test_mistakes_of_the_configuration_are_all_that_is_said(patient: Patient) -> None:
    patient.configure(device={"rol": "seed", "role": "sead"})
    assert run(["doctor", "--config", str(patient.config)]) == 1
    text = patient.capsys.readouterr().out
    assert text.count("fail  configuration") == 2
    assert "did you mean `role`?" in text
    assert "trust anchor" not in text


def test_slots_that_are_not_set_are_a_mistake_of_the_configuration(patient: Patient) -> None:
    patient.configure(install={"slot_b": ""})
    verdict, says = patient.verdict("configuration")
    assert verdict == "fail"
    assert says.startswith(f"{patient.config}: install.slot_b is not set: give the block device")


def test_a_device_without_hardware_ids_fits_no_release(patient: Patient) -> None:
    patient.configure(device={"hardware": []})
    verdict, says = patient.verdict("configuration")
    assert verdict == "fail"
    assert "device.hardware is empty: name what this device is" in says


@needs_root
def test_a_spare_slot_that_cannot_be_written_is_told(patient: Patient) -> None:
    place = patient.directory / "slots"
    place.mkdir()
    patient.configure(install={"slot_b": str(place / "b.img")})
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", place], check=True)
    try:
        assert patient.verdict("slots") == (
            "fail",
            f"{place / 'b.img'} is the spare slot, and cannot be written",
        )
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_seed_needs_no_slots(patient: Patient) -> None:
    patient.configure(install={"component": ""})
    found = patient.says()
    assert found["slots"]["verdict"] == "ok"
    assert "boot environment" not in found


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"{}", "is not TUF metadata"), (b"\0" * 100, "is not TUF metadata")],
)
def test_an_anchor_that_is_no_root_is_told(
    patient: Patient, content: bytes | None, says: str
) -> None:
    anchor = patient.directory / "root.json"
    anchor.unlink()
    if content is not None:
        anchor.write_bytes(content)
    verdict, said = patient.verdict("trust anchor")
    assert verdict == "fail"
    assert says in said


def test_a_state_directory_that_is_a_file_is_told(patient: Patient) -> None:
    (patient.directory / "state").write_text("")
    verdict, says = patient.verdict("state directory")
    assert verdict == "fail"
    assert says.endswith("state is not a directory")


@needs_root
def test_a_directory_on_a_read_only_file_system_is_told(patient: Patient) -> None:
    store = patient.directory / "store"
    store.mkdir()
    patient.configure(store={"directory": str(store)})
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", store], check=True)
    try:
        assert patient.verdict("store directory") == ("fail", f"{store} is not writable")
    finally:
        subprocess.run(["umount", store], check=True)


def test_a_disk_without_room_beyond_the_reserve_is_told(patient: Patient) -> None:
    patient.configure(store={"reserve": "1000T"})
    verdict, says = patient.verdict("state directory")
    assert verdict == "warn"
    assert "are kept for others (store.reserve)" in says


def test_a_spare_slot_that_is_the_running_one_is_told(patient: Patient) -> None:
    os.link(patient.directory / "a.img", patient.directory / "b.img")
    verdict, says = patient.verdict("slots")
    assert verdict == "fail"
    assert "is the running slot" in says


def test_a_damaged_boot_state_is_told(patient: Patient) -> None:
    (patient.directory / "boot.json").write_text("{")
    patient.configure(install={"statefile": "boot.json"})
    verdict, says = patient.verdict("boot environment")
    assert verdict == "fail"
    assert "is damaged" in says


def test_a_bootloader_tool_that_is_missing_is_told(patient: Patient) -> None:
    patient.configure(install={"bootloader": "grub", "grub_editenv": "no-such-tool"})
    verdict, says = patient.verdict("boot environment")
    assert verdict == "fail"
    assert "no-such-tool" in says


@pytest.mark.parametrize(
    ("state", "verdict", "says"),
    [
        ({"primary": "A", "booted": "B", "armed": "B"}, "ok", "slot B is on trial, 0 tries left"),
        ({"primary": "A", "booted": "B"}, "warn", "slot B runs, but slot A is the one to boot"),
    ],
)
def test_what_boots_next_is_told(
    patient: Patient, state: dict[str, str], verdict: str, says: str
) -> None:
    (patient.directory / "boot.json").write_text(json.dumps(state))
    patient.configure(install={"statefile": "boot.json"})
    found = patient.verdict("boot environment")
    assert found[0] == verdict
    assert says in found[1]


@pytest.mark.parametrize(
    ("now", "trust", "verdict", "says"),
    [
        (WallClock(BUILD_TIME + 1.0, True), ClockTrust.ALWAYS, "ok", ", trusted: "),
        (WallClock(BUILD_TIME + 1.0, False), ClockTrust.NEVER, "ok", "not trusted (clock.trust)"),
        (WallClock(BUILD_TIME + 1.0, False), ClockTrust.SYNCHRONISED, "warn", "no time service"),
        (WallClock(0.0, True), ClockTrust.ALWAYS, "warn", "1970-01-01 00:00:00 UTC is before"),
    ],
)
def test_a_clock_is_judged_by_who_vouches_for_it(
    now: WallClock, trust: ClockTrust, verdict: str, says: str
) -> None:
    found = judge_clock(now, trust)
    assert found.verdict == verdict
    assert says in found.says


def test_a_port_that_another_program_holds_is_told(patient: Patient) -> None:
    with socket.socket() as other:
        other.bind((patient.address, 0))
        other.listen()
        port = other.getsockname()[1]
        found = patient.says("--set", f"peer.port={port}", "--set", f"swarm.port={port}")
    for check in ("peer.port", "swarm.port"):
        assert found[check]["verdict"] == "fail"
        assert found[check]["says"].endswith("is in use by another program")


def test_an_address_of_another_host_is_told(patient: Patient) -> None:
    verdict, says = patient.verdict("peer.port", "--set", 'peer.listen=["192.0.2.77"]')
    assert verdict == "fail"
    assert says == "cannot listen on 192.0.2.77 port 7830: EADDRNOTAVAIL"


def test_a_swarm_on_a_network_device_is_not_tried(patient: Patient) -> None:
    found = patient.says("--set", 'swarm.interfaces=["eth0"]', "--set", "swarm.port=7831")
    assert "swarm.port" not in found


def test_an_uplink_that_answers_or_does_not_is_told(patient: Patient, tmp_path: Path) -> None:
    write_repository(tmp_path / "far")
    with served(tmp_path / "far") as server:
        patient.configure(uplink={"url": server.url})
        verdict, says = patient.verdict("uplink")
        assert (verdict, says) == ("ok", f"{server.url} answers, its timestamp has version 1")
        patient.configure(uplink={"url": f"{server.url}/none"})
        verdict, says = patient.verdict("uplink")
        assert verdict == "fail"
        assert "answered 404" in says
    hour = (datetime.now().astimezone().hour + 2) % 24
    closed = f"{hour:02}:00-{hour:02}:01"
    patient.configure(uplink={"url": "http://127.0.0.1:1", "hours": [closed]})
    verdict, says = patient.verdict("uplink")
    assert verdict == "ok"
    assert "was not asked: the uplink is closed" in says
    (patient.directory / "none.pem").write_text("no certificate")
    patient.configure(uplink={"url": "https://127.0.0.1:1/", "ca_file": "none.pem"})
    verdict, says = patient.verdict("uplink")
    assert verdict == "fail"
    assert "uplink.ca_file" in says


def test_without_multicast_nothing_is_asked(patient: Patient) -> None:
    assert patient.verdict("multicast", "--set", "discovery.mdns=false") == (
        "ok",
        "discovery.mdns is off",
    )


def test_a_host_without_a_network_is_told(patient: Patient) -> None:
    verdict, says = patient.verdict("multicast", "--set", 'discovery.interfaces=["none0"]')
    assert (verdict, says) == ("fail", "no interface with an IPv4 address can multicast")


def test_it_names_the_configuration_file_however_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text('device.role = "seed"\ndiscovery.mdns = false\n')
    run(["doctor", "--config", "config.toml", "--json"])
    findings = {each["check"]: each for each in json.loads(capsys.readouterr().out)}
    assert findings["configuration"]["says"] == "valid: config.toml"
    Path("config.toml").unlink()
    monkeypatch.setenv("P2PUPD_SWARM__PORT", "0")
    run(["doctor", "--set", "discovery.mdns=false", "--json"])
    findings = {each["check"]: each for each in json.loads(capsys.readouterr().out)}
    assert findings["configuration"]["says"] == "valid: --set, environment P2PUPD_SWARM__PORT"
