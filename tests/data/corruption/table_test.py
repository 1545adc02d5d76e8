"""The table of corruptions, as a config names them."""
import typing

import pytest

from lmjax.core import config as config_lib
from lmjax.core.flags import overrides
from lmjax.data import corruption
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import spans


@pytest.mark.parametrize('kind', typing.get_args(corruption.Config))
def test_each_survives_json_and_flags(kind):
  assert issubclass(kind, corrupted.Corruption)
  tree = config_lib.to_dict(kind())
  assert config_lib.freeze(corruption.Config, tree) == kind()
  changed = overrides.override(
      kind(), {'kind': 'SpanCorruption', 'rate': '0.3'}, corruption.Config)
  assert isinstance(changed, spans.SpanCorruption) and changed.rate == 0.3
