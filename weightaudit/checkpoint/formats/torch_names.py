"""The Python names that PyTorch writes into a file of weights, and what they stand for here.

They are compared as text: nothing is imported or called because a file names it.
"""

from __future__ import annotations

STORAGES: dict[str, tuple[str, int]] = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "ComplexDoubleStorage": ("complex128", 16),
    "ComplexFloatStorage": ("complex64", 8),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
    "QInt8Storage": ("qint8", 1),
    "QUInt8Storage": ("quint8", 1),
    "QInt32Storage": ("qint32", 4),
    "QUInt4x2Storage": ("quint4x2", 1),
    "QUInt2x4Storage": ("quint2x4", 1),
}
"""torch's typed storages → (name of the data type, bytes of one element)."""
UNTYPED = "torch.storage.UntypedStorage"
ORDERED_DICT = "collections.OrderedDict"
COUNTER = "collections.Counter"
SIZE = "torch.Size"
DEVICE = "torch.device"
LAYOUT = "torch.serialization._get_layout"
ENCODE = "_codecs.encode"
BYTEARRAY, SET, COMPLEX = "builtins.bytearray", "builtins.set", "builtins.complex"

REBUILD = "torch._utils._rebuild_tensor"
REBUILD_V2 = "torch._utils._rebuild_tensor_v2"
REBUILD_V3 = "torch._utils._rebuild_tensor_v3"
PARAMETER = "torch._utils._rebuild_parameter"
PARAMETER_WITH_STATE = "torch._utils._rebuild_parameter_with_state"
WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
PLAIN_TYPES = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter"})

UNREADABLE: dict[str, str] = {
    "torch._utils._rebuild_sparse_tensor": "is sparse",
    "torch._utils._rebuild_qtensor": "is quantised by PyTorch",
    "torch._utils._rebuild_nested_tensor": "is nested",
    "torch._utils._rebuild_wrapper_subclass": "is of a tensor subclass",
    "torch._utils._rebuild_meta_tensor_no_storage": "has no data: it was saved from the meta device",
    "torch._utils._rebuild_device_tensor_from_numpy": "was saved from a device as a numpy array",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "was saved from a device by way of another tensor",
}
"""Tensors that are not a view of one storage, and what to say of them."""
TENSORS = frozenset({REBUILD, REBUILD_V2, REBUILD_V3, PARAMETER, PARAMETER_WITH_STATE, WITH_ATTRIBUTES, *UNREADABLE})
"""What makes a tensor."""

_DTYPES = (
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "complex32",
    "complex64",
    "complex128",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "bits8",
    "bits16",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "qint8",
    "quint8",
    "qint32",
    "quint4x2",
    "quint2x4",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8)),
)
_SCHEMES = (
    "per_tensor_affine",
    "per_tensor_symmetric",
    "per_channel_affine",
    "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)

NAMESPACES = frozenset({"argparse.Namespace", "types.SimpleNamespace"})
"""Classes that hold values by name: options of a training run."""
NUMPY_DTYPE, NUMPY_ARRAY = "numpy.dtype", "numpy.ndarray"
NUMPY_SCALARS = frozenset({"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"})
NUMPY_ARRAYS = frozenset({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"})
DEFAULT_DICT = "collections.defaultdict"
FACTORIES = frozenset(f"builtins.{kind}" for kind in ("dict", "list", "int", "float", "str", "tuple", "bool"))
"""What a defaultdict fills itself with; only named, never called."""
VERSION = "torch.torch_version.TorchVersion"
OPAQUE = frozenset(
    {*NAMESPACES, NUMPY_DTYPE, NUMPY_ARRAY, *NUMPY_SCALARS, *NUMPY_ARRAYS, DEFAULT_DICT, *FACTORIES, VERSION}
)
"""What trainers leave beside weights that ``weights_only=True`` refuses, and that runs nothing of the file's if it is
made: values, and containers of values. None of it is made here; it stays a note of what was asked for.
"""
FILLED = frozenset({*NAMESPACES, NUMPY_DTYPE, *NUMPY_ARRAYS})
"""Those of them whose values come as their state, which changes nothing else."""

HARMLESS = frozenset(
    {
        ORDERED_DICT,
        COUNTER,
        SIZE,
        DEVICE,
        LAYOUT,
        "torch.storage.TypedStorage",
        UNTYPED,
        ENCODE,
        BYTEARRAY,
        SET,
        COMPLEX,
        *PLAIN_TYPES,
        *TENSORS,
        *(f"torch.{name}" for name in (*STORAGES, *_DTYPES, *_SCHEMES)),
        *(f"torch.cuda.{name}" for name in STORAGES),
    }
)
"""What a pickle may name besides `OPAQUE`: all that torch itself allows with ``weights_only=True``, obsolete tensor
classes left out.
"""
