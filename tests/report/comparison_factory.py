"""Made-up models for the comparison page: sizes of known families, profiles like those of real ones."""

from __future__ import annotations

import math
import random

from tests.support.factory import HOSTILE as HOSTILE
from weightaudit.report.comparison import ModelEntry
from weightaudit.report.comparison.columns import RANKED_ROLES

FAMILIES = {
    "gpt2": ((12, 768), (24, 1024), (36, 1280), (48, 1600)),
    "gpt_neox": ((6, 512), (12, 768), (24, 1024), (32, 2560), (36, 5120)),
    "llama": ((22, 2048), (16, 2048), (32, 4096), (80, 8192)),
    "bert": ((6, 384), (12, 768), (24, 1024)),
    "opt": ((12, 768), (24, 2048), (32, 4096)),
    "qwen2": ((24, 896), (28, 1536), (28, 3584)),
    "gptj": ((28, 4096),),
    "mixtral": ((32, 4096),),
    "bloom": ((24, 1024), (30, 2560)),
    "falcon": ((32, 4544),),
}
ROLES = (*RANKED_ROLES, "GATE")


def model(number: int, *, seed: int = 0) -> ModelEntry:
    """A finished model, the same for the same number."""
    rng = random.Random(1000 * seed + number)
    family = list(FAMILIES)[number % len(FAMILIES)]
    layers, hidden = rng.choice(FAMILIES[family])
    name = f"org-{number % 7}/{family}-{layers}x{hidden}-{number:04}"
    profiles: dict[str, dict[str, list[tuple[float, float]]]] = {}
    ranks: dict[str, float] = {}
    spread = []
    for role in ROLES if family in ("llama", "mixtral", "qwen2") else RANKED_ROLES:
        level = rng.uniform(0.01, 0.12) * hidden
        slope, norm = rng.gauss(0, 0.7), rng.uniform(0.6, 1.5) * math.sqrt(hidden) * 1.6
        ys, ns = [], []
        for layer in range(layers):
            x = layer / (layers - 1)
            ys.append(max(1.0, level * math.exp(slope * (x - 0.5) + rng.gauss(0, 0.12) - 2.2 * math.exp(-12 * x))))
            ns.append(norm * (1 + 0.25 * x + rng.gauss(0, 0.02)))
        depths = [layer / (layers - 1) for layer in range(layers)]
        profiles[role] = {
            "stable_rank": list(zip(depths, ys, strict=True)),
            "frobenius_norm": list(zip(depths, ns, strict=True)),
        }
        ranks[role] = len(ys) / sum(1 / y for y in ys)
        if role in ("QKV", "M1", "M2"):
            spread.append(ns[layers // 2])
    parameters = 12 * layers * hidden**2 + 50257 * hidden
    findings = {} if rng.random() < 0.6 else {"warning": rng.randint(1, 3), "info": rng.randint(0, 2)}
    if rng.random() < 0.06:
        findings["error"] = 1
    return ModelEntry(
        name=name,
        revision=f"{rng.getrandbits(160):040x}",
        status="done",
        link=f"{name.replace('/', '--')}/report.html",
        log=f"{name.replace('/', '--')}/log.txt",
        family=family,
        guessed=rng.random() < 0.04,
        metrics={
            "layers": layers,
            "hidden": hidden,
            "parameters": parameters,
            "parameters_analysed": int(0.9987 * parameters),
            "share_analysed": 0.9987,
            "matrices": len(profiles) * layers + 2,
            "dtypes": rng.choice(["float32", "float16", "bfloat16;float32"]),
            "stable_rank": len(ranks) / sum(1 / rank for rank in ranks.values()),
            **{f"stable_rank_{role}": ranks.get(role) for role in RANKED_ROLES},
            "norm_preservation_median": max(spread) / min(spread),
            "norm_preservation_max": 1.2 * max(spread) / min(spread),
            "nonfinite": 0,
            "zeros": rng.choice([0, 0, 0, 3, 512]),
            "not_converged": 0,
        },
        profiles=profiles,
        findings=findings,
        rules=7,
    )


def failed(number: int, reason: str) -> ModelEntry:
    """One that could not be read."""
    name = f"org/broken-{number}"
    return ModelEntry(name, "", "failed", reason, log=f"org--broken-{number}/log.txt")


REASONS = (
    "model.safetensors: the header names bytes beyond the file's end. Download it again",
    "org/broken-1 on the Hub: it is gated, and your account has no access. Ask for it on its page, then give a token",
    "org/broken-2: there is no such model on the Hub. Check the spelling",
)


def models(count: int, failures: int = 0) -> list[ModelEntry]:
    """``count`` models, of which ``failures`` failed."""
    broken = [failed(i, REASONS[i % len(REASONS)]) for i in range(failures)]
    return [*(model(i) for i in range(count - failures)), *broken]


def hostile() -> list[ModelEntry]:
    """Names, families, roles, reasons and addresses that try to break out."""
    points = [(0.0, 2.0), (0.5, math.nan), (1.0, 3.0)]
    bad = {HOSTILE: {"stable_rank": points, "frobenius_norm": points}}
    return [
        ModelEntry(
            HOSTILE + str(i),
            HOSTILE,
            "done",
            link="javascript:document.title='pwned'",
            log="//example.invalid/x",
            family=HOSTILE,
            metrics={"dtypes": HOSTILE, "stable_rank": math.inf, "layers": 3},
            profiles=bad,
            findings={"error": 1},
        )
        for i in range(3)
    ] + [ModelEntry("bidi\u202eevil\x07", "", "failed", "</script><script>document.title='pwned'</script>", log='a"b')]
