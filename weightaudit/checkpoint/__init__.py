"""Bytes → named tensors: the weight files of one model, their index and config.json.

`open_checkpoint` gives a `Checkpoint`: every tensor's name, shape and dtype, each read when asked for.
"""

from weightaudit.checkpoint.opening import open_checkpoint
from weightaudit.checkpoint.reader import Checkpoint, Reading, buffer_nbytes

__all__ = ["Checkpoint", "Reading", "buffer_nbytes", "open_checkpoint"]
