"""The stand-in Hub: models, commits, who may see what, and the routes that huggingface_hub's client takes."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.support.hub.answers import Answer, Request, as_json, compressed, file_answer, plain, redirect
from tests.support.hub.content import Content
from tests.support.hub.server import Pace, Server

SHA = "0123456789abcdef0123456789abcdef01234567"
SMALL = (".json", ".txt", ".md", ".py", ".gitattributes")
"""How the names of files end that are kept in git; all others are large files, which the CDN has."""

Files = Mapping[str, bytes | Path]
Fault = Callable[[Request, Answer], Answer | None]


class Repo:
    """Commits of one model (commit → name → content) and the names of some of them."""

    def __init__(self, files: Files) -> None:
        self.commits = {SHA: contents(files)}
        self.refs = {"main": SHA, "v1": SHA}

    def at(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit means."""
        return self.refs.get(revision, revision if revision in self.commits else None)


def contents(files: Files) -> dict[str, Content]:
    return {name: Content(data) for name, data in sorted(files.items())}


class Hub:
    """Two running servers on this machine; see the package's docstring for what they do and how to use them.

    A data set is a repository whose id begins with "datasets/"; its large files can be downloaded, not listed.
    ``legacy`` maps ids of one word to the ids they are redirected to. ``gated`` and ``private`` are sets of ids, opened
    by ``token``; ``stranger`` is a good token that opens neither, and any other token is refused everywhere.
    ``cdn_etags`` says which ETag the CDN sends: "own" (another than the Hub's, as in life), "linked" or "none".
    """

    def __init__(self, repos: Mapping[str, Files], *, legacy: Mapping[str, str] | None = None) -> None:
        self.sha = SHA
        self.repos = {name: Repo(files) for name, files in repos.items()}
        self.legacy = dict(legacy or {})
        self.gated: set[str] = set()
        self.private: set[str] = set()
        self.token = "hf_secret"
        self.stranger = "hf_stranger"
        self.cdn_etags = "own"
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self._lock = threading.Lock()
        self._signatures: dict[str, tuple[str, str, str]] = {}  # signature → (model, commit, name)
        self._numbers = itertools.count(1)
        self._pace = Pace(None)
        self._hub = Server("hub", self._said, self._pace)
        self._cdn = Server("cdn", self._said, self._pace)

    # Running it

    @property
    def url(self) -> str:
        """What HF_ENDPOINT should be."""
        return self._hub.url

    @property
    def cdn_url(self) -> str:
        return self._cdn.url

    @property
    def latency(self) -> float:
        """Seconds before each answer."""
        return self._hub.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._hub.latency = self._cdn.latency = seconds

    @property
    def rate(self) -> float | None:
        """Bytes of body per second over all connections together; None is without limit."""
        return self._pace.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._pace.rate = rate

    @property
    def accepted(self) -> dict[str, int]:
        """Connections that each server has accepted so far."""
        return {"hub": self._hub.accepted, "cdn": self._cdn.accepted}

    def start(self) -> None:
        self._hub.start()
        self._cdn.start()

    def stop(self, server: str = "") -> None:
        """End every connection to that server ("hub", "cdn" or, by default, both); later ones are refused."""
        for one in (self._hub, self._cdn):
            if server in ("", one.kind):
                one.stop()

    # What tests do to it and ask of it

    def asked(self, server: str = "", method: str = "", suffix: str = "") -> list[Request]:
        """The requests so far to that server, by that method, of paths that end so; of all of them by default."""
        with self._lock:
            log = list(self.log)
        return [
            request
            for request in log
            if server in ("", request.server) and method in ("", request.method) and request.path.endswith(suffix)
        ]

    def sent(self, server: str = "", method: str = "", suffix: str = "") -> int:
        """Bytes of body that went out in answer to those requests."""
        return sum(request.sent for request in self.asked(server, method, suffix))

    def put(self, model: str, name: str, data: bytes | Path) -> None:
        """Change a file without a new commit, which the real Hub never does: every name of its commit sees it."""
        repo = self.repos[model]
        repo.commits[repo.refs["main"]][name] = Content(data)

    def push(self, model: str, files: Files) -> str:
        """Make a commit with exactly these files, move ``main`` to it, and return it. The old one stays."""
        repo = self.repos[model]
        commit = hashlib.sha1(f"{model} {len(repo.commits)}".encode()).hexdigest()
        repo.commits[commit] = contents(files)
        repo.refs["main"] = commit
        return commit

    def prepare(self) -> None:
        """Work out now what the first request for a large file would have to wait for."""
        for repo in self.repos.values():
            for files in repo.commits.values():
                for content in files.values():
                    _ = content.sha256

    def expire(self) -> None:
        """No signed address given out so far is good any longer."""
        with self._lock:
            self._signatures.clear()

    # Answering

    def _said(self, request: Request) -> Answer:
        with self._lock:
            self.log.append(request)
        answer = self.answer(request)
        for fault in list(self.faults):
            changed = fault(request, answer)
            if changed is not None:
                return changed
        return answer

    def answer(self, request: Request) -> Answer:
        """What a healthy server says."""
        return self._from_cdn(request) if request.server == "cdn" else self._from_hub(request)

    def _from_cdn(self, request: Request) -> Answer:
        if request.token is not None:
            return _xml(400, "InvalidArgument", "Only one auth mechanism allowed")
        with self._lock:
            found = self._signatures.get(request.query.get("X-Signature", ""))
        if found is None or not request.path.startswith(f"/repos/{found[0]}/") or not request.path.endswith(found[2]):
            return _xml(403, "AccessDenied", "Request has expired")
        model, commit, name = found
        content = self.repos[model].commits[commit].get(name)
        if content is None:
            return _xml(404, "NoSuchKey", "The specified key does not exist.")
        etag = {"own": content.cdn_etag, "linked": content.sha256, "none": ""}[self.cdn_etags]
        more = {"Content-Type": "application/octet-stream", "Last-Modified": "Mon, 06 Jan 2025 09:00:00 GMT"}
        return file_answer(request, content, etag, more)

    def _from_hub(self, request: Request) -> Answer:
        if request.token not in (None, self.token, self.stranger):
            return _refusal(401, "", "Invalid credentials in Authorization header")
        raw = urlsplit(request.target).path
        if raw == "/api/agent-harnesses":
            return as_json({"standardEnvVars": [], "harnesses": {}})
        if raw == "/api/whoami-v2" and request.token is not None:
            return as_json({"name": "somebody", "auth": {"accessToken": {"displayName": "own", "role": "read"}}})
        if raw.startswith("/api/resolve-cache/models/"):
            organisation, name, commit, *file = raw.removeprefix("/api/resolve-cache/models/").split("/")
            return self._small(request, f"{organisation}/{name}", commit, unquote("/".join(file)))
        api = raw.startswith("/api/models/")
        words = raw.removeprefix("/api/models/" if api else "/").split("/")
        for count in (1, 2):
            if (old := "/".join(words[:count])) in self.legacy:
                rest = "/".join([self.legacy[old], *words[count:]])
                query = urlsplit(request.target).query
                location = f"{'/api/models/' if api else '/'}{rest}{'?' if query else ''}{query}"
                return redirect(307, location)
        for count in (3, 2, 1):  # data sets are at /datasets/organisation/name
            model = "/".join(words[:count])
            if model in self.repos and (model not in self.private or request.token == self.token):
                verb, tail = (words[count:] or [""])[0], words[count + 1 :]
                return self._api(request, model, verb, tail) if api else self._resolve(request, model, verb, tail)
        if request.token is None:
            return _refusal(401, "RepoNotFound", "Invalid username or password.")
        return _refusal(404, "RepoNotFound", "Repository not found")

    def _api(self, request: Request, model: str, verb: str, rest: list[str]) -> Answer:
        repo = self.repos[model]
        revision = unquote(rest[0]) if rest else "main"
        commit = repo.at(revision)
        if commit is None:
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repo.commits[commit]
        if verb in ("", "revision"):
            blobs = request.query.get("blobs", "").lower() == "true"
            siblings = [{"rfilename": name, **(_blob(name, file) if blobs else {})} for name, file in files.items()]
            return as_json(
                {
                    "id": model,
                    "modelId": model,
                    "sha": commit,
                    "private": model in self.private,
                    "gated": "auto" if model in self.gated else False,
                    "lastModified": "2025-01-06T09:00:00.000Z",
                    "tags": [],
                    "siblings": siblings,
                }
            )
        if verb == "tree":
            recursive = request.query.get("recursive", "").lower() == "true"
            folder = "/".join(map(unquote, rest[1:]))
            return as_json(_tree(files, folder, recursive))
        return _refusal(404, "", "Sorry, we can't find the page you are looking for.")

    def _resolve(self, request: Request, model: str, verb: str, rest: list[str]) -> Answer:
        repo = self.repos[model]
        if verb != "resolve" or len(rest) < 2:
            return _refusal(404, "", "Sorry, we can't find the page you are looking for.")
        if model in self.gated and request.token != self.token:
            status = 401 if request.token is None else 403
            return _refusal(status, "GatedRepo", f"Access to model {model} is restricted.")
        revision, name = unquote(rest[0]), unquote("/".join(rest[1:]))
        commit = repo.at(revision)
        if commit is None:
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        content = repo.commits[commit].get(name)
        if content is None:
            return _refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "X-Linked-Size": str(content.size)}
        if not name.endswith(SMALL):
            headers["X-Linked-ETag"] = f'"{content.sha256}"'
            headers["ETag"] = f'"{content.pointer_blob}"'  # the redirect's own, which names no bytes of the file
            return redirect(302, self._signed(model, commit, name, content), headers)
        if "/" not in model:
            return self._small(request, model, commit, name)
        query = quote(f'=&etag="{content.blob}"', safe="=&")
        location = f"/api/resolve-cache/models/{model}/{commit}/{quote(name)}?{quote(request.path, safe='')}{query}"
        return redirect(307, location, {**headers, "ETag": f'"{content.blob}"'})

    def _small(self, request: Request, model: str, commit: str, name: str) -> Answer:
        repo = self.repos.get(model)
        content = repo.commits.get(commit, {}).get(name) if repo is not None else None
        if content is None or (model in self.gated | self.private and request.token != self.token):
            return _refusal(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "Content-Type": "text/plain; charset=utf-8"}
        return compressed(request, file_answer(request, content, content.blob, headers))

    def _signed(self, model: str, commit: str, name: str, content: Content) -> str:
        with self._lock:
            signature = hashlib.sha256(f"{next(self._numbers)} {content.sha256}".encode()).hexdigest()[:40]
            self._signatures[signature] = (model, commit, name)
        path = quote(f"/repos/{model}/{content.sha256}/{name}")
        return f"{self.cdn_url}{path}?X-Signature={signature}&Expires=4102444800&Key-Pair-Id=K0STANDIN"


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    said = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return as_json({"error": message}, status, said)


def _xml(status: int, code: str, message: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return plain(status, body.encode(), kind="application/xml")


def _blob(name: str, content: Content) -> dict[str, Any]:
    if name.endswith(SMALL):
        return {"size": content.size, "blobId": content.blob}
    large = {"sha256": content.sha256, "size": content.size, "pointerSize": len(content.pointer)}
    return {"size": content.size, "blobId": content.pointer_blob, "lfs": large}


def _tree(files: Mapping[str, Content], folder: str, recursive: bool) -> list[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    prefix = f"{folder}/" if folder else ""
    for name, content in files.items():
        if not name.startswith(prefix):
            continue
        inner = name.removeprefix(prefix).split("/")
        for depth in range(1, len(inner) if recursive else min(len(inner), 2)):
            path = prefix + "/".join(inner[:depth])
            oid = hashlib.sha1(path.encode()).hexdigest()
            entries.setdefault(path, {"type": "directory", "oid": oid, "size": 0, "path": path})
        if recursive or len(inner) == 1:
            large = not name.endswith(SMALL)
            oid = content.pointer_blob if large else content.blob
            entries[name] = {"type": "file", "oid": oid, "size": content.size, "path": name}
            if large:
                pointer = {"oid": content.sha256, "size": content.size, "pointerSize": len(content.pointer)}
                entries[name]["lfs"] = pointer
    return list(entries.values())


@contextmanager
def serve(
    repos: Mapping[str, Files],
    *,
    legacy: Mapping[str, str] | None = None,
    latency: float = 0.0,
    rate: float | None = None,
) -> Iterator[Hub]:
    """A running `Hub` with these models, stopped on leaving."""
    hub = Hub(repos, legacy=legacy)
    hub.latency, hub.rate = latency, rate
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def folder_files(directory: Path) -> dict[str, Path]:
    """The files of a directory, for `serve`: names relative to it, with slashes."""
    return {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
