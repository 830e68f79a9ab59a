"""A stand-in for the Hugging Face Hub and its CDN: two HTTP servers on 127.0.0.1, for tests without a network.

    with serve({"org/name": {"config.json": b"{}", "model.safetensors": path}}) as hub, \\
            pointed_at(hub.url, tmp_path):
        huggingface_hub.hf_hub_download("org/name", "model.safetensors")
        assert hub.sent("cdn") == path.stat().st_size

What it does as the real one does:

- Files of the endings in `hub.SMALL` are answered by the Hub itself, after a relative redirect (307) to
  ``/api/resolve-cache/…``, in gzip unless the client asks for "identity"; all others by a redirect (302) to a signed
  address on the CDN, which is another origin. That redirect alone carries X-Repo-Commit, X-Linked-Size and
  X-Linked-ETag (the sha256); the CDN sends none of them, and an ETag of its own, as long and different.
- The CDN takes ranges (206, 416, If-Range, …), refuses addresses whose signature has expired (403), and requests that
  bring an access token (400), as S3 does.
- Ids of one word are redirected (``legacy={"gpt2": "openai-community/gpt2"}``), relatively, API and files alike.
- A private or unknown model is 401 to the nameless and 404 to others; a gated one shows its listing, but 401 or 403 for
  its files; an unknown token is 401 everywhere. X-Error-Code says why.
- Connections are kept alive; ``hub.accepted`` counts them.

``hub.log`` is the log, `Hub.asked` and `Hub.sent` look into it. ``hub.latency`` (seconds before each answer) and
``hub.rate`` (bytes of body per second, over all connections) slow it down; `tests.support.hub.faults` makes it fail.

There are two ways to point the real client at it:

- `pointed_at(hub.url, home)` patches the settings of huggingface_hub in this process: some milliseconds, and what most
  tests should use (`test_client.py` shows that both ways ask the same).
- `run(words, environment(hub.url, home), cwd)` runs the command line as a process of its own, some seconds each: where
  files, environment, exit codes or output are what is tested.

`python -m tests.support.hub org/name=DIRECTORY` runs it by itself.
"""

from tests.support.hub.answers import Answer, Request
from tests.support.hub.client import environment, pointed_at, run
from tests.support.hub.hub import SHA, Hub, folder_files, serve

__all__ = ["SHA", "Answer", "Hub", "Request", "environment", "folder_files", "pointed_at", "run", "serve"]
