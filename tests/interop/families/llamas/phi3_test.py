"""The scaling of rotary positions of Phi-3 has had several names."""
import pytest

from lmjax.interop import families
from lmjax.nn import rotary
from tests.reference import families as references


@pytest.mark.parametrize('name', ['su', 'yarn', 'longrope'])
def test_the_older_names_of_long_rope_are_read(name):
  found = families.FAMILIES['phi3'].config(
      references.FAMILIES['phi3'].size | {'rope_scaling': {
          'type': name, 'short_factor': [1.0] * 4, 'long_factor': [2.0] * 4}})
  assert found.positions.scaling == rotary.LongRopeScaling(
      (1.0,) * 4, (2.0,) * 4, 8.0, 128)
