"""What tests of named sizes measure of a config."""
import dataclasses

import jax
import numpy as np

from lmjax.core import trees
from lmjax.models import cost


def parameters(config):
  """Returns how many parameters a model has; no array is made."""
  # Scanned, one block is traced instead of dozens.
  return trees.count(cost.shapes(dataclasses.replace(config, scan=True)))


def logits_error(config, params, ids, want_TV):
  """Returns the largest error of a row's logits, over their deviation."""
  got_BTV, _ = jax.jit(config.build().apply)({'params': params}, ids[None])
  return np.abs(got_BTV[0] - want_TV).max() / want_TV.std()
