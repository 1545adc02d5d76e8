"""Every type of a safetensors file has one name and one numpy type."""
import ml_dtypes
import numpy as np
import pytest

from lmjax.interop.formats import elements


def test_names_and_types_are_one_to_one():
  assert {elements.NAMES[dtype]: dtype
          for dtype in elements.DTYPES.values()} == elements.DTYPES


def test_names_give_the_size_in_bits():
  for name, dtype in elements.DTYPES.items():
    bits = ''.join(filter(str.isdigit, name.partition('_')[0])) or '8'
    assert 8 * dtype.itemsize == int(bits), name


@pytest.mark.parametrize('dtype', [np.float16, ml_dtypes.bfloat16, bool])
def test_a_type_has_the_same_name_by_either_name(dtype):
  name = elements.NAMES[np.dtype(dtype)]
  assert elements.name_of(np.dtype(dtype).name) == name
  assert elements.name_of(name) == name


@pytest.mark.parametrize('dtype', ['Q4_1', 'complex128', 'object'])
def test_other_types_are_refused(dtype):
  with pytest.raises(ValueError, match=f"'{dtype}' should be one of U64, "):
    elements.name_of(dtype)
