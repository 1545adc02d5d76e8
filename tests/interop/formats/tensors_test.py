"""Tensors are read only when they are asked for."""
import numpy as np

from lmjax.interop.formats import tensors


def test_an_array_in_memory_is_a_tensor():
  array = np.arange(6, dtype=np.float32).reshape(2, 3)
  tensor = tensors.Tensor.of(array)
  assert (tensor.shape, tensor.dtype, tensor.size) == ((2, 3), 'float32', 6)
  assert tensor.read() is array


def test_a_scalar_has_one_element():
  assert tensors.Tensor.of(np.float32(3)).size == 1
