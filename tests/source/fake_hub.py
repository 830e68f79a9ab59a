"""Stand-ins for the Hugging Face Hub: a cache folder as its client lays it out, and a small server."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

SHA = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(cache: Path, model: str, files: dict[str, bytes], *, sha: str = SHA, ref: str = "main") -> Path:
    """Lay ``files`` of ``model`` into ``cache`` as the Hub's client does, links to blobs."""
    folder = cache / f"models--{model.replace('/', '--')}"
    snapshot = folder / "snapshots" / sha
    for part in (snapshot, folder / "blobs", folder / "refs"):
        part.mkdir(parents=True, exist_ok=True)
    if ref:
        (folder / "refs" / ref).write_text(sha)
    for name, content in files.items():
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


class Hub(ThreadingHTTPServer):
    """A Hub on this machine with the models in ``repos``; ``requests`` are (method, path, has a token)."""

    daemon_threads = True

    def __init__(self, repos: dict[str, dict[str, bytes]]) -> None:
        self.repos = repos
        self.requests: list[tuple[str, str, bool]] = []
        self.gated: set[str] = set()
        self.broken: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve(repos: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """A running `Hub`, stopped on leaving."""
    hub = Hub(repos)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet; `Hub.requests` is the log."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path, "Authorization" in self.headers))
        api = path.startswith("/api/models/")
        path = path.removeprefix("/api/models/").removeprefix("/")
        model = next((name for name in self.server.repos if path.startswith(name + "/") or path == name), None)
        if model is None:
            return self._fail(404, "RepoNotFound")
        if model in self.server.broken:
            return self._fail(500, "")
        files = self.server.repos[model]
        verb, _, rest = path.removeprefix(model).removeprefix("/").partition("/")
        revision, _, name = rest.partition("/")
        if (revision or "main") not in ("main", "v1", SHA):
            return self._fail(404, "RevisionNotFound")
        if api and verb == "tree":
            tree = [{"type": "file", "path": n, "size": len(c), "oid": _etag(c)} for n, c in files.items()]
            return self._send(json.dumps(tree).encode())
        if api:
            siblings = [{"rfilename": name} for name in files]
            return self._send(json.dumps({"id": model, "sha": SHA, "siblings": siblings}).encode())
        if model in self.server.gated:
            return self._fail(403, "GatedRepo")
        if name not in files:
            return self._fail(404, "EntryNotFound")
        return self._send(files[name], etag=_etag(files[name]))

    def _send(self, content: bytes, etag: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", SHA)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
