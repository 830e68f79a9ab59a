"""Every default, once, with its unit beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Method = Literal["auto", "exact", "krylov"]
METHODS: tuple[Method, ...] = ("auto", "exact", "krylov")


@dataclass(frozen=True)
class AuditConfig:
    """What a scan is asked to do. ``AuditConfig()`` is the default scan.

    The options that change numbers or findings (``method, tol, delta, seed, ignore, device``) are written into every
    JSON report.
    """

    revision: str | None = None
    """Branch, tag or commit of a Hub model; None is the default branch."""
    token: str | None = field(default=None, repr=False)
    """Hub access token; None lets huggingface_hub find one. Never written anywhere."""
    offline: bool = False
    """Read only local paths and the local Hugging Face cache."""
    download: bool = False
    """Whether a Hub model is downloaded into the Hugging Face cache first; else its bytes are streamed and not kept."""
    max_wait: float = 120.0
    """Seconds that the network may keep a scan waiting without progress, all retries included."""
    memory: int | None = None
    """Bytes of weights held at once; None is twice the largest tensor and some 128 MB."""
    roles: tuple[str, ...] | None = None
    """Roles to analyse, e.g. ("Q", "K"); None is all."""
    layers: tuple[int, ...] | None = None
    """Layer numbers to analyse, from 0; None is all, and matrices outside the layers too."""
    method: Method = "auto"
    """How the spectral norm is computed; "auto" takes the cheaper route by shape."""
    tol: float = 1e-2
    """Relative width of the certified interval on σ₁² (dimensionless)."""
    delta: float = 1e-6
    """Probability, per matrix, that the certified upper end is too low."""
    seed: int = 0
    """Seed of the random starts; each matrix draws from (seed, its own name, its own entries)."""
    spectrum: bool = False
    """Whether leading singular values, density and effective ranks are wanted too, from the same passes."""
    ignore: tuple[str, ...] = ()
    """Ids of rules that are not checked, e.g. ("untrained", "pickle")."""
    device: str = "cpu"
    """torch device that computes: "cpu", "cuda", "cuda:1"."""
    threads: int | None = None
    """Compute threads; None leaves torch's own choice."""


DEFAULTS = AuditConfig()
