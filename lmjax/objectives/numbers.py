"""Regression of texts to one number each, by a head on a backbone."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.objectives import labels as labels_lib

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
class SquaredError:
  """The squared difference of each row's number and its label.

  Its minimum is at the mean of the label given the text. Labels should be of
  order 1, such as standardised labels.
  """

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    A batch has the fields of `labels.classify`, with numbers as `labels`, [B].
    'loss' is the mean over the rows' `weights`, in the labels' squared unit.
    """
    def objective(params, batch, rng=None):
      error_B = predictions(model, params, batch, rng) - batch['labels']
      return {'loss': metrics.Mean.of(jnp.square(error_B), batch['weights'])}
    return objective


def predictions(model: nn.Module, params: Any, batch: Batch,
                rng: jax.Array | None = None) -> jax.Array:
  """Returns the number of each row, float32 [B]; with a key, under dropout."""
  return labels_lib.logits(model, params, batch, rng)[:, 0]
