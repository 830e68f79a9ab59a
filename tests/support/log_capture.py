"""pytest's log capture, for the tests that ask for it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

NAME = "logging-plugin"


class OnRequest:
    """Captures the log of tests that use ``caplog``. For each that does not, too, pytest would go six times through
    all loggers, of which torch and transformers have some thousand.
    """

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        return (yield from self._capture.pytest_runtest_setup(item)) if _asks(item) else (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        return (yield from self._capture.pytest_runtest_call(item)) if _asks(item) else (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        return (yield from self._capture.pytest_runtest_teardown(item)) if _asks(item) else (yield)


def _asks(item: pytest.Item) -> bool:
    return "caplog" in getattr(item, "fixturenames", ())


def on_request(config: pytest.Config) -> None:
    """Have pytest capture logs on request only, unless it is told to write or show them."""
    if config.getini("log_cli") or any(map(config.getoption, ("--log-file", "--log-level", "--log-cli-level"))):
        return
    if (capture := config.pluginmanager.unregister(name=NAME)) is not None:
        config.pluginmanager.register(OnRequest(capture), NAME)
