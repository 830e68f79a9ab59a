"""The towers of a multimodal model, run by themselves on a few patches of an image or a few frames of sound."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch

from tests.architecture.proving import attend_plainly
from tests.architecture.tracing import Trace, traced

_WORDS = {
    "vision": (
        "vision_tower|vision_model|visual|image_tower|vision_encoder|image_encoder|img_processor",
        "vit|encoder",
    ),
    "video": ("video_tower",),
    "audio": ("audio_tower",),
}
"""Names of such towers; later ones are other things, too, and count where no earlier one is there."""
SIDE = 2
"""Patches of an image in each direction: so few that the proof tells one from the other."""


def run_tower(model: Any, stack: str) -> Trace:
    """The trace of the tower on random input of its own kind."""
    attend_plainly(model)
    tower = model.encoder if model.config.model_type == "pix2struct" else _tower(model, stack)
    torch.manual_seed(1)
    given = _inputs(tower)
    with traced(tower) as trace:
        tower(**given)
    return trace


def _tower(model: Any, stack: str) -> Any:
    """The outermost module whose name is that of such a tower."""
    modules = [name for name, _ in model.named_modules()]
    for words in _WORDS[stack]:
        if named := [name for name in modules if re.fullmatch(rf"(?:.*\.)?(?:{words})", name)]:
            return model.get_submodule(min(named, key=len))
    raise LookupError(f"{model.config.model_type}: no module is called like a {stack} tower")


def _inputs(tower: Any) -> dict[str, Any]:
    """Arguments of the tower's ``forward``, by the names that transformers gives them."""
    names = inspect.signature(tower.forward).parameters
    config = tower.config
    if "flattened_patches" in names:  # the row and the column of each, then its pixels
        pixels = tower.embeddings.patch_projection.in_features
        return {"flattened_patches": torch.rand(1, SIDE * SIDE, 2 + pixels)}
    if "input_values" in names:
        return {"input_values": torch.randn(1, 1, 800)}
    if "input_features" in names:
        return _sound(config, names)
    patch = config.patch_size if isinstance(config.patch_size, int) else config.patch_size[0]
    channels = next((getattr(config, key) for key in ("in_channels", "in_chans") if hasattr(config, key)), 3)
    frames = next(
        (getattr(config, key) for key in ("temporal_patch_size", "patch_temporal") if hasattr(config, key)), 1
    )
    flat = torch.randn(SIDE * SIDE, channels * frames * patch**2)
    grid = {"grid_thw": torch.tensor([[1, SIDE, SIDE]])}
    if "hidden_states" in names:
        return {"hidden_states": flat, **grid}
    if "merge_sizes" in names:
        return {"pixel_values": flat, **grid, "merge_sizes": torch.tensor([1])}
    if "grid_thw" in names:
        if type(config).__name__.startswith("Muse"):  # it adds one; at position 0 nothing is turned
            grid["position_ids"] = torch.full((SIDE * SIDE, 2), -1)
        five = type(config).__name__.startswith("PaddleOCR")
        return {"pixel_values": flat.reshape(1, -1, channels, patch, patch) if five else flat, **grid}
    if "target_sizes" in names:
        row = torch.randn(1, channels, patch, SIDE * SIDE * patch)
        return {"pixel_values": row, "target_sizes": torch.tensor([[SIDE, SIDE]]), "use_vit_merger": False}
    if "pixel_position_ids" in names:
        side = config.pooling_kernel_size
        places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        return {"pixel_values": torch.rand(1, side**2, channels * patch**2), "pixel_position_ids": places[None]}
    if "spatial_shapes" in names:
        mask = torch.ones(1, SIDE * SIDE, dtype=torch.long)
        shapes = torch.tensor([[SIDE, SIDE]])
        return {"pixel_values": flat[None], "pixel_attention_mask": mask, "spatial_shapes": shapes}
    given: dict[str, Any] = {"pixel_values": torch.randn(1, channels, SIDE * patch, SIDE * patch)}
    if "image_sizes" in names:
        given["image_sizes"] = torch.tensor([[SIDE * patch, SIDE * patch]])
    if "interpolate_pos_encoding" in names:
        given["interpolate_pos_encoding"] = True
    if "patch_attention_mask" in names:
        given["patch_attention_mask"] = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    return given


def _sound(config: Any, names: Any) -> dict[str, Any]:
    windows = hasattr(config, "n_window") and "input_features_mask" in names  # cut into chunks of two windows
    frames = 2 * (config.n_window if windows else getattr(config, "max_source_positions", 4))
    features = torch.randn(1, config.num_mel_bins, frames)
    if "feature_lens" in names:
        given = {"input_features": features[0], "feature_lens": torch.tensor([frames])}
        return given | ({"aftercnn_lens": torch.tensor([frames // 2])} if "aftercnn_lens" in names else {})
    mask = {"input_features_mask": torch.ones(1, frames, dtype=torch.long)} if "input_features_mask" in names else {}
    return {"input_features": features, **mask}
