"""Each class at its configuration class's own sizes, whole: what our map says of it, which should be nothing.

python -m tests.architecture.defaults [MODEL_TYPE ...] prints what it says.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import transformers

from tests.architecture.deletions import saved_at
from tests.architecture.inventories import built_types, classes_of
from weightaudit.architecture import map_model
from weightaudit.errors import WeightauditError


def accusations(model_type: str, **values: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(class, what is said of it) of each class that can be built at the defaults of the configuration class, but for
    ``values``. Of the one with the language model's head that is also what is not mapped.
    """
    for cls in classes_of(model_type):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                config, tensors = saved_at(cls, transformers.CONFIG_MAPPING[model_type](**values), whole=True)
        except Exception:  # of a config that names no sizes, or of a class of another config
            continue
        try:
            model_map = map_model(config, tensors)
        except WeightauditError as error:
            yield cls.__name__, (str(error),)
            continue
        unmapped = [entry.tensor for entry in model_map.coverage if entry.status == "unmapped"]
        left = [f"unmapped: {unmapped[0]} and {len(unmapped) - 1} more"] if unmapped else []
        told = (one.says for one in model_map.discrepancies)
        yield cls.__name__, (*told, *(left if cls is classes_of(model_type)[0] else ()))


def main() -> None:
    transformers.utils.logging.set_verbosity_error()
    for model_type in sys.argv[1:] or built_types():
        for name, says in accusations(model_type):
            for one in says:
                print(f"{model_type} {name}: {one[:300]}", flush=True)


if __name__ == "__main__":
    main()
