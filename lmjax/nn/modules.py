"""Checks that a model is a module, rather than the config that builds it."""
import dataclasses
from typing import Any

import flax.linen as nn

from lmjax.core import errors


def check(model: Any) -> None:
  """Raises InputError if a model is a config, which is easily mistaken for it.
  """
  if dataclasses.is_dataclass(model) and not isinstance(model, nn.Module):
    raise errors.InputError(
        'model should be a module, but this is its config, '
        f'{type(model).__name__}: give config.build().')
