"""A window that a file of Mistral does not say is the first version's."""
from lmjax.interop import families
from tests.reference import families as references


def test_a_window_is_missing_or_null():
  family = families.FAMILIES['mistral']
  size = dict(references.FAMILIES['mistral'].size)
  later = family.config(size | {'sliding_window': None})
  assert later.block.mixer.window is None
  del size['sliding_window']
  assert family.config(size).block.mixer.window == 4096
