"""From what a program holds (a module, a transformers or PEFT model, a state dict) to the files it would be saved in.

What `save_pretrained` would write is what is read, so that a scan of a model and one of its saved checkpoint say the
same. No library is imported: where nobody has imported it, nothing is its model.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from weightaudit.arrays import is_tensor
from weightaudit.errors import UsageError
from weightaudit.source.held import HeldModel
from weightaudit.text import printable

_WRAPPERS = ("OptimizedModule", "DistributedDataParallel", "DataParallel", "DeepSpeedEngine")
_WRAPPED_AS = ("_orig_mod", "module")
"""Where these keep the model."""
_EMBEDDINGS = {"embed_tokens", "lm_head"}
"""What PEFT saves whole where an adapter changes it."""
_WHAT = "Give a path, a Hub id, a module, a state dict or an open checkpoint"


def held_model(model: object, model_config: object = None) -> HeldModel:
    """``model`` as files: an `nn.Module`, a transformers or PEFT model, or a state dict.

    ``model_config`` says what config.json would: a mapping or a transformers config. Without it a transformers model's
    own is taken, and any other is mapped by the names of its tensors alone. Of a model with a PEFT adapter it is the
    adapter, as it is of what such a model saves.

    Raises UsageError for what is no model, or has tensors without numbers (on the meta device, sharded).
    """
    if isinstance(model, Mapping):
        return HeldModel("state dict", model, _config(model_config))
    if not callable(getattr(model, "state_dict", None)):
        raise UsageError("model", f"a {type(model).__name__} is no model", _WHAT)
    module: Any = unwrapped(model)
    if getattr(module, "peft_config", None):
        return _adapter(module, model_config)
    state = {name: value for name, value in module.state_dict().items() if is_tensor(value)}  # and no extra state
    own = getattr(module, "config", None)
    if not hasattr(own, "to_json_string"):
        return HeldModel(type(module).__name__, state, _config(model_config))
    said = _config(own if model_config is None else model_config)
    if said is not None and model_config is None:
        said["architectures"] = [type(module).__name__]
    return HeldModel(_name(own, type(module).__name__), _as_saved(module, state), said)


def _name(config: Any, otherwise: str) -> str:
    """What the model was loaded by: a Hub id, or the name of a folder here, without the way to it."""
    called = str(getattr(config, "_name_or_path", "") or "")
    path = called.startswith((".", "~")) or os.path.isabs(called) or os.path.exists(called)
    return (os.path.basename(os.path.normpath(called)) if called and path else called) or otherwise


def unwrapped(module: Any) -> Any:
    """The model itself within torch.compile's and the wrappers for data-parallel training."""
    while type(module).__name__ in _WRAPPERS:
        inner = next((getattr(module, name) for name in _WRAPPED_AS if hasattr(module, name)), None)
        if inner is None:
            break
        module = inner
    return module


def _config(said: object) -> dict[str, Any] | None:
    """What config.json would say; UsageError for what can say nothing."""
    if said is None:
        return None
    if isinstance(said, Mapping):
        return dict(said)
    if hasattr(said, "to_json_string"):
        config: dict[str, Any] = json.loads(said.to_json_string())
        return config
    raise UsageError("model_config", f"a {type(said).__name__} is no config", "Give a dict, or a transformers config")


def _as_saved(module: Any, state: dict[str, Any]) -> dict[str, Any]:
    """``state`` under the names that transformers saves it by, which may split what is one tensor in memory."""
    for name in getattr(module, "_keys_to_ignore_on_save", None) or ():
        state.pop(name, None)
    modeling, loading = (sys.modules.get(f"transformers.{name}") for name in ("modeling_utils", "core_model_loading"))
    if untie := getattr(modeling, "remove_tied_weights_from_state_dict", None):
        state = untie(state, module)
    if revert := getattr(loading, "revert_weight_conversion", None):
        state = revert(module, state)
    return dict(state)


def _adapter(module: Any, model_config: object) -> HeldModel:
    """The one active adapter of a model, as PEFT saves it."""
    import peft

    active = getattr(module, "active_adapters", None)
    names = active() if callable(active) else list(active or module.peft_config)
    if len(names) != 1:
        cause = f"{len(names)} of its adapters are active ({printable(', '.join(map(str, names)))})"
        raise UsageError("model", cause, "Activate the one that is meant: model.set_adapter(name)")
    own = dict(module.peft_config[names[0]].to_dict())
    said, targets = own if model_config is None else _config(model_config), own.get("target_modules")
    # Left to itself PEFT asks the Hub for the base, to see whether tokens were added.
    whole = isinstance(targets, (set, list, tuple)) and not _EMBEDDINGS.isdisjoint(targets)
    state = peft.get_peft_model_state_dict(module, adapter_name=names[0], save_embedding_layers=whole)
    config = None if said is None else {key: _plain(value) for key, value in said.items()}
    return HeldModel(f"adapter {names[0]}", state, config, adapter=True)


def _plain(value: Any) -> Any:
    """A value of PEFT's config as its JSON has it: a set is a sorted list, an enumeration its value."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return getattr(value, "value", value)
