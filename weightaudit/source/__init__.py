"""Where bytes live: a local directory or file, the Hugging Face cache, the Hub.

`open_repository` turns what a user typed into a `Repository`; its `open` gives a `ByteSource`.
"""

from weightaudit.source.base import ByteSource, Repository, safe_name
from weightaudit.source.resolve import open_repository

__all__ = ["ByteSource", "Repository", "open_repository", "safe_name"]
