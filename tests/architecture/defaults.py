"""Each class at its configuration class's own sizes, whole: what our map says of it, which should be nothing.

python -m tests.architecture.defaults [MODEL_TYPE ...] prints what it says.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator

import transformers

from tests.architecture.deletions import saved_at
from tests.architecture.inventories import built_types, classes_of
from weightaudit.architecture import map_model
from weightaudit.errors import WeightauditError


def accusations(model_type: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(class, what is said of it) of each class that can be built at the configuration class's own sizes."""
    for cls in classes_of(model_type):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                config, tensors = saved_at(cls, cls.config_class())
        except Exception:  # of a config that names no sizes, or of a class of another config
            continue
        try:
            yield cls.__name__, tuple(one.says for one in map_model(config, tensors).discrepancies)
        except WeightauditError as error:
            yield cls.__name__, (str(error),)


def main() -> None:
    transformers.utils.logging.set_verbosity_error()
    for model_type in sys.argv[1:] or built_types():
        started = time.process_time()
        for name, says in accusations(model_type):
            for one in says:
                print(f"{model_type} {name}: {one[:300]}", flush=True)
        seconds = time.process_time() - started
        if seconds > 10:
            print(f"{model_type}: {seconds:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
