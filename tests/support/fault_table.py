"""The faults of networks, CDNs and Hubs that pass: what reads through them must end as if there had been none."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.hub import Hub, faults
from tests.support.hub.faults import API, HEADS, HUB, Fault, Where

Making = Callable[[Hub, int], Fault]
DATE = "Mon, 06 Jan 2025 09:00:00 GMT"


def longer(nbytes: int) -> Where:
    """Answers of the CDN with more bytes of body than these."""
    return Where(min_bytes=nbytes + 1)


# What it is → the fault, of a Hub and of how many bytes "in mid-body" means.
PASSING: dict[str, Making] = {
    "no answer": lambda hub, n: faults.hang_up(times=3),
    "reset instead of an answer": lambda hub, n: faults.hang_up(reset=True, times=3),
    "no answer of the hub": lambda hub, n: faults.hang_up(where=HUB, times=3),
    "drop in mid-body": lambda hub, n: faults.drop_after(n, where=longer(n), times=4),
    "drop in mid-body, with a reset": lambda hub, n: faults.drop_after(n, where=longer(n), times=4, reset=True),
    "drop before the body": lambda hub, n: faults.drop_after(0, times=3),
    "stall in mid-body": lambda hub, n: faults.stall(5.0, after=n, where=longer(n)),
    "stall before the answer": lambda hub, n: faults.stall(5.0, after=None, skip=1),
    "stall of the hub's listing": lambda hub, n: faults.stall(5.0, after=None, where=API),
    "stall in the hub's listing": lambda hub, n: faults.stall(5.0, after=10, where=API),
    "drop in the hub's listing": lambda hub, n: faults.drop_after(10, where=API, times=2),
    "short 206": lambda hub, n: faults.short(5, where=longer(n)),
    "short 206 that says so": lambda hub, n: faults.short(5, honest=True, where=longer(n)),
    "200 ignoring the range": lambda hub, n: faults.ignore_range(times=2),
    "wrong Content-Range": lambda hub, n: faults.wrong_range(1, skip=1, times=2),
    "wrong Content-Range, earlier": lambda hub, n: faults.wrong_range(-1, skip=1),
    "wrong Content-Range, of another size": lambda hub, n: faults.wrong_range(0, total=5),
    "no Content-Range": lambda hub, n: faults.alter({"Content-Range": None}),
    "nonsense in Content-Range": lambda hub, n: faults.alter({"Content-Range": "bytes */*"}),
    "compressed": lambda hub, n: faults.gzipped(),
    "400": lambda hub, n: faults.status(400),
    "401": lambda hub, n: faults.status(401),
    "403": lambda hub, n: faults.status(403),
    "404": lambda hub, n: faults.status(404),
    "410": lambda hub, n: faults.status(410),
    "416": lambda hub, n: faults.status(416),
    "408": lambda hub, n: faults.status(408, times=3),
    "429": lambda hub, n: faults.status(429, times=3),
    "429 with Retry-After": lambda hub, n: faults.status(429, {"Retry-After": "0.01"}, times=3),
    "429 with Retry-After, a date": lambda hub, n: faults.status(429, {"Retry-After": DATE}),
    "429 of the listing": lambda hub, n: faults.status(429, {"Retry-After": "0.01"}, where=API, times=3),
    "429 of HEAD": lambda hub, n: faults.status(429, {"RateLimit": '"resolvers";r=0;t=0'}, where=HEADS, times=3),
    "500": lambda hub, n: faults.status(500, times=4),
    "502": lambda hub, n: faults.status(502, times=4),
    "503": lambda hub, n: faults.status(503, times=4),
    "504": lambda hub, n: faults.status(504, times=4),
    "503 in the midst": lambda hub, n: faults.status(503, where=longer(n), times=4),
    "503 of the listing": lambda hub, n: faults.status(503, where=API, times=4),
    "500 of HEAD": lambda hub, n: faults.status(500, where=HEADS, times=4),
    "addresses that expire at once": lambda hub, n: faults.expire_after(1, times=2),
    "an expiry told as 410": lambda hub, n: faults.expire_after(2, code=410),
    "redirect of a range": lambda hub, n: faults.redirect_to(hub.url + "/", times=2),
}
