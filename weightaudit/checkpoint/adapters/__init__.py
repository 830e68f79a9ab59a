"""Adapters: stored factors → logical tensors that are called as the base's, of ΔW = s·B·A."""

from weightaudit.checkpoint.adapters.gguf import gguf_adapter as gguf_adapter
from weightaudit.checkpoint.adapters.peft import AdapterTensors as AdapterTensors
from weightaudit.checkpoint.adapters.peft import adapter_tensors as adapter_tensors
from weightaudit.checkpoint.adapters.peft_config import ADAPTER_CONFIG as ADAPTER_CONFIG
from weightaudit.checkpoint.adapters.peft_config import PeftConfig as PeftConfig
from weightaudit.checkpoint.adapters.peft_config import read_peft_config as read_peft_config
