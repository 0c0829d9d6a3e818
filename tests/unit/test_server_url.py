"""A server's address as users paste it: what is base, what is notebook, and what is never shown."""

from __future__ import annotations

import pytest

from memprobe import config
from memprobe.errors import UsageError
from memprobe.targets.server_url import chosen_token, is_url, parsed

PASTED = [
    ("http://127.0.0.1:8888/", "http://127.0.0.1:8888", ""),
    ("http://127.0.0.1:8888/lab?token=abc", "http://127.0.0.1:8888", ""),
    ("http://h:1/lab/tree/team/etl.ipynb", "http://h:1", "team/etl.ipynb"),
    ("http://h:1/lab/workspaces/auto-X/tree/etl.ipynb", "http://h:1", "etl.ipynb"),
    ("http://h:1/notebooks/a%20b/etl.ipynb#x", "http://h:1", "a b/etl.ipynb"),
    ("http://h:1/tree/team", "http://h:1", "team"),
    ("https://hub.example.org/user/ada/lab/tree/etl.ipynb", "https://hub.example.org/user/ada",
     "etl.ipynb"),
    ("https://hub.example.org/user/ada/api/kernels/5b0c", "https://hub.example.org/user/ada",
     "5b0c"),
    ("http://[::1]:8888/doc/tree/etl.ipynb", "http://[::1]:8888", "etl.ipynb"),
]  # fmt: skip


@pytest.mark.parametrize(("pasted", "base", "rest"), PASTED)
def test_base_and_notebook_are_among_the_candidates(pasted: str, base: str, rest: str) -> None:
    assert (base, rest) in parsed(pasted).candidates()


def test_secrets_are_not_part_of_what_is_shown() -> None:
    address = parsed("https://ada:pass4711@hub.example.org/user/ada/lab?token=tok4711&x=1")
    assert address.token == "tok4711"
    assert address.shown == "https://hub.example.org/user/ada/lab"
    assert "4711" not in repr(address)


@pytest.mark.parametrize("wrong", ["http://?token=tok4711", "http://h:port/?token=tok4711",
                                   "http://[::1/?token=tok4711"])  # fmt: skip
def test_wrong_address_is_refused_without_its_token(wrong: str) -> None:
    with pytest.raises(UsageError) as raised:
        parsed(wrong)
    assert "tok4711" not in "\n".join(raised.value.lines())


def test_token_of_the_address_then_the_environment_then_the_configuration() -> None:
    bare, full = parsed("http://h/"), parsed("http://h/?token=one")
    environment = {"JUPYTER_TOKEN": "two"}
    assert chosen_token(full, "three", environment) == "one"
    assert chosen_token(bare, "three", environment) == "two"
    assert chosen_token(bare, "three", {}) == "three"
    assert chosen_token(bare, "", {}) == ""


def test_token_that_would_break_a_header_is_refused_unseen() -> None:
    with pytest.raises(UsageError) as raised:
        chosen_token(parsed("http://h/"), "", {"JUPYTER_TOKEN": "tok4711\r\nX: y"})
    assert "4711" not in "\n".join(raised.value.lines())


def test_configured_token_is_not_shown(tmp_path: object) -> None:
    settings = config.load(environment={"MEMPROBE_JUPYTER_TOKEN": "tok4711"})
    assert settings.jupyter_token == "tok4711"
    assert "4711" not in repr(settings)
    with pytest.raises(UsageError) as raised:
        config.load(environment={}, jupyter_token=["tok4711"])
    assert "4711" not in "\n".join(raised.value.lines())


def test_only_http_is_a_servers_address() -> None:
    assert is_url("HTTP://h/")
    assert not is_url("databricks:CLUSTER")
    assert not is_url("etl.ipynb")
    assert not is_url(None)
