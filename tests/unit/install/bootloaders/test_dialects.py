"""What the variables of GRUB and U-Boot mean, where the contract suite does not come by."""

from collections.abc import Mapping

import pytest

from p2pupd.errors import BootControlError
from p2pupd.install.bootloaders.environment import Dialect
from p2pupd.install.bootloaders.grub import GrubDialect
from p2pupd.install.bootloaders.uboot import UbootDialect
from p2pupd.model.device import BootFacts


@pytest.mark.parametrize(
    ("dialect", "variables", "says"),
    [
        (GrubDialect(), {"ORDER": "A C"}, "ORDER='A C': set it to 'A B' or 'B A'"),
        (GrubDialect(), {"ORDER": "A"}, "ORDER='A'"),
        (GrubDialect(), {"A_OK": "yes"}, "A_OK='yes': it must be a number"),
        (GrubDialect(), {"p2pupd_armed": "C"}, "p2pupd_armed='C': set it to A, B, or nothing"),
        (UbootDialect(), {"BOOT_ORDER": "B B"}, "BOOT_ORDER='B B'"),
        (UbootDialect(), {"BOOT_A_LEFT": "many"}, "BOOT_A_LEFT='many'"),
    ],
)
def test_what_no_script_writes_is_an_error_that_says_what_to_set(
    dialect: Dialect, variables: Mapping[str, str], says: str
) -> None:
    with pytest.raises(BootControlError, match=says):
        dialect.facts(variables, "A")


@pytest.mark.parametrize(
    ("dialect", "variables", "facts"),
    [
        (GrubDialect(), {"ORDER": "B A", "B_OK": "0"}, BootFacts("A", "A", None)),
        (GrubDialect(), {"ORDER": "B A", "B_TRY": "1"}, BootFacts("A", "A", None)),
        (GrubDialect(), {"ORDER": "B A", "A_OK": "0", "B_OK": "0"}, BootFacts("A", "A", None)),
        (GrubDialect(), {"p2pupd_armed": "B"}, BootFacts("A", "A", "B", 1)),
        (UbootDialect(), {"BOOT_ORDER": "B A", "BOOT_B_LEFT": "0"}, BootFacts("A", "A", None)),
        (UbootDialect(), {"BOOT_ORDER": "B A"}, BootFacts("A", "B", None)),
    ],
)
def test_facts_are_what_the_documented_script_would_do(
    dialect: Dialect, variables: Mapping[str, str], facts: BootFacts
) -> None:
    assert dialect.facts(variables, "A") == facts


@pytest.mark.parametrize("tries", [0, 4])
def test_grub_cannot_count_beyond_three(tries: int) -> None:
    with pytest.raises(BootControlError, match="1 to 3 tries"):
        GrubDialect().armed("B", tries)
