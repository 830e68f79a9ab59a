"""The log of one model: what was done, where and how long it took; or why it failed, and where in the code."""

from __future__ import annotations

import platform
import socket
import time
import traceback
from collections.abc import Iterator

from weightaudit.batches.job import Job
from weightaudit.errors import WeightauditError
from weightaudit.records import ScanResult
from weightaudit.redact import without_secrets
from weightaudit.text import printable


class Log:
    """Lines, kept until the model ends."""

    def __init__(self, job: Job) -> None:
        from huggingface_hub import get_token

        self._token = job.config.token or get_token()
        options = without_secrets(" ".join(f"{name}={value}" for name, value in job.config.result_options().items()))
        self._lines = [
            f"{_now()} {printable(job.title)} on {socket.gethostname()}, {platform.platform()}",
            f"weightaudit {job.version}, Python {platform.python_version()}; {printable(options, 1000)}",
        ]

    def scanned(self, report: ScanResult, seconds: float) -> None:
        """A scan that went well."""
        versions = " ".join(f"{name}={value}" for name, value in report.versions.items())
        threads = report.options["threads"]
        self._lines += [
            f"{_now()} scanned in {seconds:.3f} s with {threads} threads: {len(report.rows)} matrices",
            f"from {printable(report.identity.location, 1000)}; {versions}",
            *(f"note: {printable(note, 2000)}" for note in report.notes),
        ]

    def failed(self, error: Exception) -> str:
        """A scan that did not; the reason in one line, for people."""
        reason = _safe(_reason(error), self._token)
        self._lines += [f"{_now()} failed: {reason}", *(_safe(line, self._token) for line in _trace(error))]
        return reason

    def text(self) -> bytes:
        """The whole log, UTF-8."""
        return ("\n".join(self._lines) + "\n").encode("utf-8", "backslashreplace")


def reason_of(error: Exception, token: str | None) -> str:
    """Why work on a model failed, in one line, for people. ``token`` is the access token, if not this machine's own."""
    from huggingface_hub import get_token

    return _safe(_reason(error), token or get_token())


def _safe(text: str, token: str | None) -> str:
    """``text`` without what opens doors: the access token, and passwords and signatures in addresses."""
    text = without_secrets(text)
    return text.replace(token, "…") if token else text


def _reason(error: Exception) -> str:
    if isinstance(error, WeightauditError):
        return printable(str(error), limit=1000)
    if isinstance(error, MemoryError):
        return "out of memory. Scan it alone, fewer roles at a time, or on a larger machine"
    return f"{type(error).__name__}: {printable(str(error), limit=500)}"


def _trace(error: BaseException) -> Iterator[str]:
    """The traceback, causes first, a line each. Of what lies beneath our own errors only the type is told: the texts of
    network libraries repeat addresses and headers.
    """
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    told = not any(isinstance(one, WeightauditError) for one in chain)
    for one in reversed(chain):
        yield "Traceback (most recent call last):"
        for frame in traceback.extract_tb(one.__traceback__):
            yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
            if frame.line:
                yield f"    {printable(frame.line)}"
        ours = isinstance(one, WeightauditError)
        text = printable(str(one), limit=1000) if ours or told else "…"
        yield f"{type(one).__name__}: {text}"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S%z")
