"""No password and no signature of an address is shown, in messages, logs or reports, whatever it looks like."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.support.covering import in_turn
from tests.support.hub import pointed_at
from tests.support.impatience import shorten_pauses
from weightaudit.batches.job import Job
from weightaudit.batches.log import Log
from weightaudit.batches.model_list import read_model_list
from weightaudit.config import AuditConfig
from weightaudit.errors import ModelUnavailable, UsageError
from weightaudit.redact import shown, without_secrets
from weightaudit.source import open_repository
from weightaudit.source.hub_errors import HTTP, endpoint
from weightaudit.source.redaction import redact_logs

PASSWORDS = [
    "secret",
    "p@secret",
    "p@@secret@",
    "p:secret",
    "p%40secret",
    "p'secret",
    'p"secret',
    "p<secret>",
    "@secret",
]
BROKEN = ["p/secret", "p?secret", "p#secret", "p/@secret", "p?x@secret", "p\\/secret"]
"""What stands in a password only as %2F and the like; no address then, but somebody may try it."""


@pytest.mark.parametrize("scheme", ["https", "http", "HTTPS", "socks5h"])
@pytest.mark.parametrize("password", [*PASSWORDS, *BROKEN])
def test_passwords(password: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{scheme}://some.body:{password}@hub.example:8080/a/path"
    bare = f"{scheme}://hub.example:8080/a/path"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    assert endpoint() == bare
    assert without_secrets(address) == bare
    assert without_secrets(f"a {address} b <{address}>, '{address}'") == f"a {bare} b <{bare}>, '{bare}'"
    assert without_secrets(f"{address},{address}") == f"{bare},{bare}"


def test_a_password_with_a_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://somebody:p secret@hub.example")
    assert endpoint() == "https://hub.example"


@pytest.mark.parametrize(
    ("address", "bare"),
    [
        ("https://cdn.example/a/b?X-Sig=secret&x=%2F", "https://cdn.example/a/b?…"),
        ("https://cdn.example?token=secret", "https://cdn.example?…"),
        ("https://cdn.example/a?b=c?d=secret", "https://cdn.example/a?…"),
        ("https://cdn.example/a#access_token=secret", "https://cdn.example/a?…"),
        ("https://cdn.example/a?next=https://u:secret@x/?y=secret", "https://cdn.example/a?…https://x/?…"),
        ("https://cdn.example/a?mail=a@secret", "https://cdn.example/a?…"),
        ("https://[::1]:8080/a?secret", "https://[::1]:8080/a?…"),
        ("https://cdn.example/a?name=UTF-8''a.bin&sig=secret", "https://cdn.example/a?…"),
        ('https://cdn.example/a?name="a.bin"&sig=secret', "https://cdn.example/a?…"),
        ("https://cdn.example/a?x=<y>&sig=secret", "https://cdn.example/a?…"),
    ],
)
def test_queries(address: str, bare: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(address) == bare or "next=" in address
    assert without_secrets(f"GET {address} (b'Location', b'{address}')") == f"GET {bare} (b'Location', b'{bare}')"


@pytest.mark.parametrize(
    "text",
    [
        "https://hub.example/org/name/resolve/main/a@b.safetensors",
        "https://hub.example:8080/@org/name",
        "mail somebody@hub.example? no: ask",
        "a://",
        "C://x",
    ],
)
def test_what_holds_none_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("name", [HTTP.__name__, "huggingface_hub.file_download"])
def test_logs_of_libraries(name: str, caplog: pytest.LogCaptureFixture) -> None:
    redact_logs()
    with caplog.at_level(logging.DEBUG, logger=name):
        logging.getLogger(name).info('Request: %s %s "200"', "GET", "https://u:p@secret@hub.example/x?X-Sig=secret")
    assert caplog.messages == ['Request: GET https://hub.example/x?… "200"']


@pytest.mark.parametrize("password", PASSWORDS)
def test_the_log_of_a_batch(password: str) -> None:
    log = Log(Job(0, "org/tiny", "", "org/tiny", AuditConfig(), directory="x", folder="y", key="", run=""))
    reason = log.failed(RuntimeError(f"no https://u:{password}@hub.example/x?X-Sig=secret"))
    assert reason == "RuntimeError: no https://hub.example/x?…"
    assert "secret" not in log.text().decode()


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A Hub that cannot be reached, and the environment to be changed before the first request."""
    shorten_pauses(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pointed_at("https://hub.invalid", tmp_path / "home"):
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield monkeypatch
        huggingface_hub.close_session()


@pytest.mark.parametrize(("password", "variable"), in_turn(PASSWORDS, ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"]))
def test_the_password_of_a_proxy(
    password: str, variable: str, away: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away.setenv(variable, f"http://somebody:{password}@127.0.0.1:1")
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ModelUnavailable, match=r"hub\.invalid cannot be reached") as told,
    ):
        open_repository("org/tiny", max_wait=5)
    for text in (str(told.value), caplog.text):
        assert "secret" not in text


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("HTTPS_PROXY", f"http://somebody:{password}@127.0.0.1:1") for password in BROKEN),
        ("HTTPS_PROXY", "http://somebody:secret@127.0.0.1:port"),
        ("HTTPS_PROXY", "bad://somebody:secret@127.0.0.1:1"),
        ("ALL_PROXY", "http://[::1"),
    ],
)
def test_a_proxy_that_cannot_be_used(
    variable: str, value: str, away: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away.setenv(variable, value)
    with caplog.at_level(logging.DEBUG), pytest.raises(ModelUnavailable, match=r"proxies .* cannot be used") as told:
        open_repository("org/tiny", max_wait=5)
    error: BaseException | None = told.value
    assert error is not None
    assert (error.__cause__, error.__context__) == (None, None)  # whose texts --debug would show
    for text in (str(error), caplog.text):
        assert "secret" not in text


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("password", BROKEN)
def test_an_endpoint_that_is_no_address(loaded: bool, password: str, away: pytest.MonkeyPatch) -> None:
    """The Hub's client cannot be imported with it, and is not; one that has been asks nothing by it."""
    value = f"https://somebody:{password}@hub.invalid"
    if loaded:
        away.setattr(constants, "ENDPOINT", value)
    else:
        away.setenv("HF_ENDPOINT", value)
        Path("list.txt").write_text("org/tiny\n")
        with pytest.raises(UsageError, match="line 1: org/tiny: HF_ENDPOINT is not the address of a server"):
            read_model_list("list.txt", AuditConfig())
    with pytest.raises(ModelUnavailable, match="HF_ENDPOINT is not the address of a server") as told:
        open_repository("org/tiny", max_wait=5)
    assert "secret" not in str(told.value)


def test_a_password_that_begins_like_a_port(away: pytest.MonkeyPatch) -> None:
    """Before the slash it looks like a host with its port, which must not be asked."""
    away.setenv("HF_ENDPOINT", "https://somebody:12/secret@hub.invalid")
    with pytest.raises(ModelUnavailable, match="HF_ENDPOINT is not the address of a server") as told:
        open_repository("org/tiny", max_wait=5)
    assert "somebody" not in str(told.value)
