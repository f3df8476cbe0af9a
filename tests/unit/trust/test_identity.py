from pathlib import Path

import pytest
from nacl.signing import SigningKey

from p2pupd.errors import HostError
from p2pupd.model.ids import DeviceId
from p2pupd.trust.identity import ALPHABET, device_id, display, load_or_create
from p2pupd.wire.messages import DEVICE_PATTERN

ID = device_id(SigningKey(bytes(32)).verify_key)


def test_a_device_makes_its_key_once_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "device.key"
    first = load_or_create(path)
    assert load_or_create(path).id == first.id
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert DEVICE_PATTERN.fullmatch(first.id)
    assert load_or_create(tmp_path / "other.key").id != first.id


def test_the_private_key_is_not_in_its_printed_form(tmp_path: Path) -> None:
    identity = load_or_create(tmp_path / "device.key")
    assert "Key" not in repr(identity)


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), bytes(100)])
def test_a_damaged_key_never_makes_another_device(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(content)
    with pytest.raises(HostError):
        load_or_create(path)
    assert path.read_bytes() == content


def test_people_read_groups_of_seven_with_a_check_character() -> None:
    groups = display(ID).split("-")
    assert [len(group) for group in groups] == [8] * 7 + [4]
    assert "".join(group[:-1] for group in groups) == ID


def test_one_wrong_letter_in_a_group_always_changes_its_check_character() -> None:
    right = display(ID).split("-")[0]
    for place in range(7):
        for letter in ALPHABET:
            typed = ID[:place] + letter + ID[place + 1 :]
            if typed != ID:
                assert display(DeviceId(typed)).split("-")[0][-1] != right[-1]
