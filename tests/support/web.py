"""A web server of files on 127.0.0.1, plain or with TLS, whose log counts the bytes that it sent.

    with web_server({"/tiny/model.safetensors": path}) as web:
        weightaudit("scan", f"{web.url}/tiny/model.safetensors")

It answers as nginx does: ranges, an ETag and Last-Modified, 404 for what is not there, no listing. ``web.faults`` are
those of `tests.support.hub.faults`, at ``Where(server="web")``; ``web.query`` is what an address must carry, as signed
ones do; ``web.moved`` are redirects, from a path to an address.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.hub.answers import Answer, Request, file_answer, plain, redirect
from tests.support.hub.content import Content
from tests.support.hub.faults import Fault, Where
from tests.support.hub.server import Pace, Server

WEB = Where(server="web")
WEIGHTS = Where(server="web", suffix=".safetensors", min_bytes=2)
"""Requests for parts of weights; where a file is, is asked for by its first byte."""


class Web:
    """What `web_server` gives."""

    def __init__(self, files: Mapping[str, bytes | Path], tls: tuple[Path, Path] | None) -> None:
        self.files = {path: Content(data) for path, data in files.items()}
        self.log: list[Request] = []
        self.faults: list[Fault] = []
        self.moved: dict[str, str] = {}
        self.query = ""
        self.etags = True
        self._lock = threading.Lock()
        self._server = Server("web", self._said, Pace(None))
        self._scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._server.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def put(self, path: str, data: bytes | Path) -> None:
        """Replace a file, or add it."""
        self.files[path] = Content(data)

    def asked(self, suffix: str = "") -> list[Request]:
        """Requests for paths that end so, in their order."""
        return [request for request in self.log if request.path.endswith(suffix)]

    def sent(self, suffix: str = "") -> int:
        """Bytes of bodies that were sent of them."""
        return sum(request.sent for request in self.asked(suffix))

    def stop(self) -> None:
        self._server.stop()

    def answer(self, request: Request) -> Answer:
        """What a healthy server says."""
        if request.path in self.moved:
            return redirect(302, self.moved[request.path])
        if self.query and not request.target.endswith(f"?{self.query}"):
            return plain(403, b"<Error><Code>AccessDenied</Code></Error>")
        content = self.files.get(request.path)
        if content is None:
            return plain(404, b"not found")
        etag = content.sha256[:32] if self.etags else ""
        date = {"Last-Modified": f"Mon, 06 Jan 2025 09:{int(content.sha256[:4], 16) % 60:02d}:00 GMT"}
        return file_answer(request, content, etag, {"Content-Type": "application/octet-stream", **date})

    def _said(self, request: Request) -> Answer:
        with self._lock:
            self.log.append(request)
        answer = self.answer(request)
        for fault in list(self.faults):
            if (changed := fault(request, answer)) is not None:
                return changed
        return answer


@contextmanager
def web_server(files: Mapping[str, bytes | Path], *, tls: tuple[Path, Path] | None = None) -> Iterator[Web]:
    """A running one with the files of these paths, stopped on leaving. ``tls`` is from `certificate`."""
    server = Web(files, tls)
    try:
        yield server
    finally:
        server.stop()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key, as PEM files in ``folder``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


def folder_paths(directory: Path, prefix: str) -> dict[str, bytes | Path]:
    """The files of a directory, for `web_server`, below ``prefix``."""
    return {
        f"{prefix}/{path.relative_to(directory).as_posix()}": path for path in directory.rglob("*") if path.is_file()
    }
