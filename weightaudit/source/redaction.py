"""No signed address in any log, nor the password of a mirror or a proxy.

The HTTP library logs every address it asks for (at level INFO) and every header of an answer (DEBUG), and the Hub's
client those of downloads that break (WARNING).
"""

from __future__ import annotations

import logging

from weightaudit.redact import without_secrets
from weightaudit.source.hub_errors import HTTP

_CORE = HTTP.__name__.replace("httpx", "httpcore")  # the lower half of the same library
LOGGERS = (
    HTTP.__name__,
    *(f"{_CORE}.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    "huggingface_hub.utils._http",
    "huggingface_hub.file_download",
)


class _WithoutQueries(logging.Filter):
    """Passes every record, the queries and passwords of the addresses in it cut off."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        safe = without_secrets(message)
        if safe != message:
            record.msg, record.args = safe, None
        return True


_FILTER = _WithoutQueries()


def redact_logs() -> None:
    """Cut them off in what these libraries log from now on. Again and again does no harm."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
