"""Where passphrases come from: a file, the environment, a terminal; and where keys are."""

import os
import pty
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from p2pupd.cli.signing import Secrets, keys_beside, signing
from p2pupd.errors import HostError, UsageError
from p2pupd.publisher.keys import KeyRing, create
from tests.publishing import NOW, SETTINGS
from tests.support import ROOT

FILE = Path("root.key")


def test_keys_are_beside_the_repository_never_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "acme"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert keys_beside(Path()) == tmp_path / "acme-keys"
    assert keys_beside(tmp_path / "acme") == tmp_path / "acme-keys"


def test_a_repository_that_cannot_be_looked_up_has_its_keys_beside_it_all_the_same(
    tmp_path: Path,
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert keys_beside(loop) == tmp_path / "loop-keys"


def test_a_key_directory_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.symlink_to(keys)
    ring = KeyRing((keys,), lambda *_: None)
    with pytest.raises(HostError, match=f"cannot read the keys in {keys}: Too many levels"):
        ring.open(["00"], least=1, role="root")


def test_named_key_directories_come_instead_and_new_keys_go_to_the_first(tmp_path: Path) -> None:
    secrets = Secrets(None, None, unprotected=True)
    named = signing(tmp_path, (tmp_path / "usb", tmp_path / "disk"), secrets, threshold=3)
    assert named.ring.directory == tmp_path / "usb"
    assert named.settings.threshold == 3
    assert signing(tmp_path / "acme", (), secrets).ring.directory == tmp_path / "acme-keys"


def test_the_end_of_a_line_belongs_to_no_passphrase(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    for line in (b"two words", b"two words\n", b"two words\r\n"):
        file.write_bytes(line)
        assert Secrets(file, None, unprotected=False).ask()(FILE, 0) == b"two words"


def test_the_file_comes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(b"from the file\n")
    assert Secrets(file, "from outside", unprotected=False).ask()(FILE, 0) == b"from the file"
    assert Secrets(None, "from outside", unprotected=False).ask()(FILE, 0) == b"from outside"


def test_a_stated_passphrase_is_tried_once(tmp_path: Path) -> None:
    assert Secrets(None, "wrong", unprotected=False).ask()(FILE, 1) is None


def test_without_a_terminal_nobody_is_asked() -> None:
    assert Secrets(None, None, unprotected=False).ask()(FILE, 0) is None
    with pytest.raises(UsageError, match="--no-passphrase"):
        Secrets(None, None, unprotected=False).sealer(SETTINGS)


def test_a_missing_passphrase_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="absent"):
        Secrets(tmp_path / "absent", None, unprotected=False).sealer(SETTINGS)


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        Secrets(None, "", unprotected=False).sealer(SETTINGS)


def test_unprotected_keys_are_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    Secrets(None, None, unprotected=True).sealer(SETTINGS)
    assert "not protected" in capsys.readouterr().err


def test_what_one_run_seals_another_opens(tmp_path: Path) -> None:
    secrets = Secrets(None, "correct horse", unprotected=False)
    made = create(tmp_path, "root", secrets.sealer(SETTINGS), NOW)
    ring = KeyRing((tmp_path,), secrets.ask())
    (opened,) = ring.open([made.public_key.keyid], least=1, role="root")
    assert opened.sign(b"x") == made.sign(b"x")


ASKING = """
from pathlib import Path
from p2pupd.cli.signing import Secrets
from p2pupd.publisher.keys import KeyRing, create
from tests.publishing import NOW, SETTINGS
secrets = Secrets(None, None, unprotected=False)
place = Path({place!r})
made = create(place, "root", secrets.sealer(SETTINGS), NOW)
KeyRing((place,), secrets.ask()).open([made.public_key.keyid], least=1, role="root")
print("opened")
"""


def test_a_terminal_is_asked_twice_for_new_keys_and_again_after_a_wrong_answer(
    tmp_path: Path,
) -> None:
    answers = ["typo", "right", "right", "right", "wrong", "right"]
    said = _at_a_terminal(ASKING.format(place=str(tmp_path)), answers)
    assert "do not match" in said
    assert said.count("Passphrase of") == 2
    assert "opened" in said
    assert "right" not in said


def _at_a_terminal(program: str, answers: list[str]) -> str:
    """What is shown when `program` runs and every question gets the next answer."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # EIO: the program has closed the terminal
        while select.select([ours], [], [], 30)[0] and (chunk := os.read(ours, 4096)):
            said += chunk
            if said.endswith(b": ") and answers:
                os.write(ours, f"{answers.pop(0)}\n".encode())
    os.close(ours)
    assert process.wait(30) == 0, said
    return said.decode()
