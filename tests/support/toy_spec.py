"""A made-up family: Llama under other names, as a spec of a user's own describes it, and a config of it."""

from __future__ import annotations

TOY = """
# Toy: Llama under other names, Q, K and V in one tensor.
# Origin: this test.
name = "toy"
model_types = ["toy"]
origin = "a test"
prefixes = ["net."]
vectors = true
[dimensions]
hidden = { keys = ["width"] }
layers = { keys = ["depth"] }
heads = { keys = ["heads"] }
kv_heads = { keys = ["kv_heads"], rule = "heads" }
head_dim = { keys = ["head_dim"], rule = "hidden/heads" }
ff = { keys = ["wide"] }
vocab = { keys = ["tokens"] }
[[fused]]
roles = ["Q", "K", "V"]
packing = "contiguous"
names = ["{prefix}blocks.{layer}.mix.all"]
rows = ["heads*head_dim", "kv_heads*head_dim", "kv_heads*head_dim"]
cols = "hidden"
[[matrix]]
role = "O"
names = ["{prefix}blocks.{layer}.mix.out"]
rows = "hidden"
cols = "heads*head_dim"
[[matrix]]
role = "GATE"
names = ["{prefix}blocks.{layer}.feed.gate"]
rows = "ff"
cols = "hidden"
[[matrix]]
role = "M1"
names = ["{prefix}blocks.{layer}.feed.up"]
rows = "ff"
cols = "hidden"
[[matrix]]
role = "M2"
names = ["{prefix}blocks.{layer}.feed.down"]
rows = "hidden"
cols = "ff"
[[matrix]]
role = "EMBED"
names = ["{prefix}words"]
rows = "vocab"
cols = "hidden"
[[matrix]]
role = "HEAD"
names = ["score"]
rows = "vocab"
cols = "hidden"
"""
CONFIG = {
    "model_type": "toy",
    "width": 8,
    "depth": 1,
    "heads": 2,
    "wide": 12,
    "tokens": 9,
    "tie_word_embeddings": False,
}
