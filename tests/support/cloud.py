"""Cloud storage on 127.0.0.1: moto's S3, and as much of Google's JSON interface as reading needs.

    with s3_server({"models/tiny/model.safetensors": data}) as s3, pointed(s3, tmp_path):
        weightaudit("scan", "s3://models/tiny")
        assert s3.sent("model.safetensors") < len(data)

Needs what the extras `remote` and `dev` install; tests skip without.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest

from tests.support.authorities import trust_few

KEY, SECRET = "AKIASTANDIN", "standin-secret-key"
_CLEAN = ("AWS_", "FSSPEC_", "GOOGLE_", "GCSFS_", "STORAGE_EMULATOR_HOST", "CLOUDSDK_")
App = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass
class Asked:
    """One request: its path without quoting, the Range that it asked for, and the bytes of body that went out."""

    method: str
    path: str
    range: str
    sent: int = 0


class Cloud:
    """A running server. ``refuse`` may give a status in place of an answer."""

    def __init__(self, app: App, environment: Mapping[str, str], put: Callable[[str, bytes], None]) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, type: str, message: str, *args: Any) -> None:
                """Tests are quiet."""

        self.log: list[Asked] = []
        self.refuse: Callable[[Asked], int | None] = lambda asked: None
        self.put = put
        self._app = app
        self._environment = environment
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """What a program needs to ask it."""
        return {name: value.format(url=self.url) for name, value in self._environment.items()}

    def sent(self, suffix: str) -> int:
        """Bytes of bodies that went out for paths that end so."""
        return sum(asked.sent for asked in self.log if asked.path.endswith(suffix) and asked.method == "GET")

    def stop(self) -> None:
        """From now on nobody answers."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = Asked(environ["REQUEST_METHOD"], unquote(environ["PATH_INFO"]), environ.get("HTTP_RANGE", ""))
        self.log.append(asked)
        if (status := self.refuse(asked)) is not None:
            start_response(f"{status} no", [("Content-Type", "application/xml"), ("Content-Length", "0")])
            return [b""]
        body = list(self._app(environ, start_response))
        asked.sent = sum(map(len, body))
        return body


@contextmanager
def pointed(cloud: Cloud, home: Path) -> Iterator[pytest.MonkeyPatch]:
    """Within the block this process asks ``cloud``, and finds nothing else that could say who it is."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(_CLEAN)]:
            patch.delenv(name)
        for name, value in cloud.environment().items():
            patch.setenv(name, value)
        trust_few(patch)
        if "SSL_CERT_FILE" in os.environ:  # the libraries load their own authorities for each client else
            patch.setenv("AWS_CA_BUNDLE", os.environ["SSL_CERT_FILE"])
        patch.setenv("HOME", str(home))
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield patch


@contextmanager
def s3_server(objects: Mapping[str, bytes]) -> Iterator[Cloud]:
    """A running S3 of moto's with these objects, "bucket/key"."""
    import boto3
    from botocore.config import Config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    said = {
        "AWS_ENDPOINT_URL": "{url}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def put(key: str, data: bytes) -> None:
        bucket, _, name = key.partition("/")
        client.put_object(Bucket=bucket, Key=name, Body=data)

    cloud = Cloud(DomainDispatcherApplication(create_backend_app), said, put)
    remembering = pytest.MonkeyPatch()
    try:
        _remember_definitions(remembering)
        client = boto3.client(
            "s3",
            endpoint_url=cloud.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(proxies={}),
        )
        for bucket in sorted({key.partition("/")[0] for key in objects}):
            client.create_bucket(Bucket=bucket)
        for key, data in objects.items():
            put(key, data)
        cloud.log.clear()
        yield cloud
    finally:
        remembering.undo()
        cloud.stop()


def _remember_definitions(patch: pytest.MonkeyPatch) -> None:
    """Have botocore read its definitions of S3 once, and not with each new session: they are most of its time."""
    from botocore.loaders import JSONFileLoader

    read = cache(JSONFileLoader().load_file)
    patch.setattr(JSONFileLoader, "load_file", lambda self, path: read(path))


@contextmanager
def gs_server(objects: Mapping[str, bytes]) -> Iterator[Cloud]:
    """A stand-in for Google's storage with these objects, "bucket/key"."""
    kept = dict(objects)

    def resource(bucket: str, name: str, data: bytes) -> dict[str, Any]:
        generation = str(int(hashlib.sha256(data).hexdigest()[:12], 16))
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "size": str(len(data)),
            "generation": generation,
            "contentType": "application/octet-stream",
            "etag": generation,
            "updated": "2025-01-06T09:00:00.000Z",
            "timeCreated": "2025-01-06T09:00:00.000Z",
        }

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def say(status: str, body: bytes, kind: str = "application/json", **more: str) -> Iterable[bytes]:
            headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
            start_response(status, headers + [(name.replace("_", "-"), value) for name, value in more.items()])
            return [body]

        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        path = environ.get("RAW_URI") or environ.get("REQUEST_URI") or quote(environ["PATH_INFO"])
        found = re.fullmatch(r"(/download)?/storage/v1/b/([^/?]+)(?:/o(?:/(.+?))?)?", path.partition("?")[0])
        buckets = {key.partition("/")[0] for key in kept}
        if found is None or unquote(found[2]) not in buckets:
            return say("404 Not Found", b'{"error": {"code": 404, "message": "no such bucket"}}')
        bucket, name = unquote(found[2]), unquote(found[3] or "")
        if name:
            data = kept.get(f"{bucket}/{name}")
            if data is None:
                return say("404 Not Found", b'{"error": {"code": 404, "message": "no such object"}}')
            if found[1] is None and query.get("alt") != "media":
                return say("200 OK", json.dumps(resource(bucket, name, data)).encode())
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", environ.get("HTTP_RANGE", ""))
            if asked is None:
                return say("200 OK", data, "application/octet-stream")
            start, stop = int(asked[1]), min(int(asked[2]) + 1, len(data))
            said = f"bytes {start}-{stop - 1}/{len(data)}"
            return say("206 Partial Content", data[start:stop], "application/octet-stream", Content_Range=said)
        if not path.partition("?")[0].endswith("/o"):
            return say("200 OK", json.dumps({"kind": "storage#bucket", "name": bucket, "id": bucket}).encode())
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        items, prefixes = [], set()
        for key, data in sorted(kept.items()):
            of, _, inner = key.partition("/")
            if of != bucket or not inner.startswith(prefix):
                continue
            rest = inner.removeprefix(prefix)
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                items.append(resource(bucket, inner, data))
        listing = {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}
        return say("200 OK", json.dumps(listing).encode())

    cloud = Cloud(app, {"STORAGE_EMULATOR_HOST": "{url}"}, kept.__setitem__)
    try:
        yield cloud
    finally:
        cloud.stop()
