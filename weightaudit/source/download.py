"""The download of a model's files into the Hugging Face cache, for those who want to keep it.

By the same requests and checks as a scan that streams. Not by the Hub's client: it makes paths of the ETag and the
commit that a server sends, and takes the token to whatever address its Xet headers name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from weightaudit.source.cache_writing import CacheFolder
from weightaudit.source.http.ranges import RemoteFile

FILES_AT_ONCE = 8


def download(
    model: str, commit: str, names: Sequence[str], open_file: Callable[[str], RemoteFile], give_up: Callable[[], None]
) -> None:
    """Bring ``names``, paths of files that the commit has, made of plain names, into the cache.

    ``open_file`` opens one at the Hub, and ``give_up`` ends those openings. Raises as `CacheFolder.keep`.
    """
    folder = CacheFolder(model)
    under_way: set[RemoteFile] = set()
    lock = Lock()

    def fetch(name: str) -> None:
        source = open_file(name)
        with lock:
            under_way.add(source)
        try:
            folder.keep(source, commit)
        finally:
            source.close()
            with lock:
                under_way.discard(source)

    with ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="weightaudit-get") as pool:
        try:
            list(pool.map(fetch, names))
        except BaseException:  # Ctrl-C too; raised again
            pool.shutdown(wait=False, cancel_futures=True)
            give_up()  # this and the next end what is still under way, for which leaving the pool waits
            with lock:
                left = list(under_way)
            for source in left:
                source.close()
            raise
