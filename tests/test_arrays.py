"""Arrays and tensors that share their memory."""

import numpy as np
import pytest
import torch

from weightaudit.arrays import as_array, as_tensor, is_tensor
from weightaudit.dtypes import DTYPES, Dtype

HELD = [dtype for dtype in DTYPES if not dtype.packed and hasattr(torch, dtype.name)]


@pytest.mark.parametrize("dtype", HELD, ids=lambda dtype: dtype.name)
def test_every_dtype_goes_there_and_back_in_place(dtype: Dtype) -> None:
    tensor = (torch.arange(12).reshape(3, 4) % 2 + 1).to(dtype.torch)  # some types have no zero
    array = as_array(tensor)
    assert array.dtype == dtype.numpy
    assert array.ctypes.data == tensor.data_ptr()
    assert np.array_equal(array.astype(np.complex128), tensor.to(torch.complex128).numpy())
    back = as_tensor(array)
    assert back.dtype == tensor.dtype
    assert back.data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_strided_views_stay_views(dtype: torch.dtype) -> None:
    tensor = torch.arange(24).reshape(4, 6).to(dtype).t()[1:, ::2]
    array = as_array(tensor)
    assert [stride // array.itemsize for stride in array.strides] == list(tensor.stride())
    assert as_tensor(array).stride() == tensor.stride()
    assert as_tensor(array).data_ptr() == tensor.data_ptr()


def test_only_tensors_are_tensors() -> None:
    assert is_tensor(torch.ones(1))
    assert not is_tensor(np.ones(1))
    assert not is_tensor([1.0])
