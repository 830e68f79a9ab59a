"""A model on a web server and the same files in a directory give the same CSV, byte for byte, whatever the threads."""

from __future__ import annotations

from pathlib import Path

import pytest

import weightaudit as wa
from tests.support.trained import write
from tests.support.web import web_server

THREADS = (1, 3, 8)
"""None beside, fewer than there are matrices, and about as many."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("streamed") / "trained", lambda tensors: None)


def test_streamed_and_local_tables_are_the_same_bytes(model: Path) -> None:
    files = {f"/{model.name}/{path.name}": path for path in model.iterdir()}
    expected = wa.scan(str(model), threads=1, method="krylov", layers="0").to_csv()
    assert expected.count("\n") == 1 + 8, "the head, Q, K, V, O, QKV and three of the MLP"
    with web_server(files) as web:
        for threads in THREADS:
            asked = len(web.log)
            streamed = wa.scan(f"{web.url}/{model.name}/", threads=threads, method="krylov", layers="0")
            assert streamed.to_csv().encode() == expected.encode()
            assert len(web.log) > asked, "nothing was asked of the server"
