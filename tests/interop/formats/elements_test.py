"""Every type of a safetensors file has one name and one numpy type."""
import numpy as np

from lmjax.interop.formats import elements


def test_names_and_types_are_one_to_one():
  assert {elements.NAMES[dtype]: dtype
          for dtype in elements.DTYPES.values()} == elements.DTYPES


def test_names_give_the_size_in_bits():
  for name, dtype in elements.DTYPES.items():
    bits = ''.join(filter(str.isdigit, name.partition('_')[0])) or '8'
    assert 8 * dtype.itemsize == int(bits), name


def test_an_array_finds_the_name_of_its_type():
  assert elements.NAMES[np.zeros(1, np.float16).dtype] == 'F16'
