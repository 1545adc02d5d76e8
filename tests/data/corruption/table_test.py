"""The table of corruptions, as a config names them."""
import typing

import pytest

from lmjax.core import config as config_lib
from lmjax.data import corruption
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import spans


@pytest.mark.parametrize('kind', typing.get_args(corruption.Config))
def test_each_survives_editable_flags_and_freeze(kind):
  assert issubclass(kind, corrupted.Corruption)
  tree = config_lib.editable(kind(), corruption.Config)
  assert config_lib.freeze(corruption.Config, tree) == kind()
  tree.kind = 'SpanCorruption'
  tree.rate = 0.3
  changed = config_lib.freeze(corruption.Config, tree)
  assert isinstance(changed, spans.SpanCorruption) and changed.rate == 0.3
