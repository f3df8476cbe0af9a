from dataclasses import fields

import pytest

from p2pupd.health.settings import ExecProbeSettings, HttpProbeSettings
from p2pupd.model.setting import CHECK


def test_url_must_be_a_web_address() -> None:
    check = {each.name: each.metadata[CHECK] for each in fields(HttpProbeSettings)}["url"]
    assert check("https://127.0.0.1/health") is None
    assert check("ftp://127.0.0.1") == "is not an http:// or https:// URL"


@pytest.mark.parametrize("value", ["", ()])
def test_command_and_name_must_not_be_empty(value: object) -> None:
    checks = {each.name: each.metadata[CHECK] for each in fields(ExecProbeSettings)}
    assert checks["name"](value) == checks["command"](value) == "is empty"
