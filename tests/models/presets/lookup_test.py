"""Sizes are found by name; a wrong name raises with the nearest one."""
import pytest

from lmjax.core import errors
from lmjax.models.presets import decoders
from lmjax.models.presets import lookup


def test_a_size_is_found_by_its_name():
  assert lookup.named('gpt2_xl') == decoders.gpt2(1600, 48, 25)


def test_a_wrong_name_raises_with_the_nearest_name():
  with pytest.raises(errors.InputError, match="'bert_bas'.*mean 'bert_base'"):
    lookup.named('bert_bas')
