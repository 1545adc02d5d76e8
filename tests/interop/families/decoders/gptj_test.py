"""GPT-J rotates a number of dimensions, where lmjax has a fraction of them."""
from lmjax.interop import families
from tests.reference import families as references


def test_the_number_of_rotated_dimensions_is_exact():
  # 30 / 44 * 44 is less than 30 in floating point.
  family = families.FAMILIES['gptj']
  found = family.config(references.FAMILIES['gptj'].size | dict(
      n_head=16, n_embd=44 * 16, rotary_dim=30))
  assert int(found.positions.fraction * 44) == 30
  assert family.fields(found)['rotary_dim'] == 30
