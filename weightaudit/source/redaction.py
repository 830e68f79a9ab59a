"""No signed address in any log: its query is as good as a key to the file.

The HTTP library logs every address it asks for (at level INFO) and every header of an answer (DEBUG), and the Hub's
client those of downloads that break (WARNING).
"""

from __future__ import annotations

import logging
import re

from weightaudit.source.hub_errors import HTTP

_CORE = HTTP.__name__.replace("httpx", "httpcore")  # the lower half of the same library
LOGGERS = (
    HTTP.__name__,
    *(f"{_CORE}.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    "huggingface_hub.utils._http",
    "huggingface_hub.file_download",
)
QUERY = re.compile(r"(https?://[^\s?'\"<>]*)\?[^\s'\"<>]*")


class _WithoutQueries(logging.Filter):
    """Passes every record, the queries of the addresses in it cut off."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if QUERY.search(message):
            record.msg, record.args = QUERY.sub(r"\1?…", message), None
        return True


_FILTER = _WithoutQueries()


def redact_logs() -> None:
    """Cut the queries off in what these libraries log from now on. Again and again does no harm."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
