"""A stand-in Hub by itself, to try things against by hand, and for benchmarks, whose interpreter it must not share.

    python -m tests.support.hub gpt2-xl=DIRECTORY org/name=OTHER [--latency 0.08] [--rate 30e6]

Prints its address as one line of JSON, serves until its standard input ends, and then prints what was asked of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.support.hub.hub import Hub, folder_files, serve


def summary(hub: Hub) -> dict[str, object]:
    """Requests, bytes of body and connections of each server."""
    return {
        server: {
            "requests": len(hub.asked(server)),
            "bytes": hub.sent(server),
            "connections": hub.accepted[server],
        }
        for server in ("hub", "cdn")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the Hugging Face Hub, on this machine only.")
    parser.add_argument("models", nargs="+", metavar="ID=DIRECTORY")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rate", type=float, help="bytes per second over all connections together")
    options = parser.parse_args()
    repos = {}
    for model in options.models:
        name, _, directory = model.partition("=")
        repos[name] = folder_files(Path(directory))
    with serve(repos, latency=options.latency, rate=options.rate) as hub:
        hub.prepare()
        print(json.dumps({"endpoint": hub.url, "cdn": hub.cdn_url}), flush=True)
        sys.stdin.read()
        print(json.dumps(summary(hub)), flush=True)


if __name__ == "__main__":
    main()
