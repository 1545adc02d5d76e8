"""The objective of a choice: a softmax over the options of each question."""
from collections.abc import Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.objectives import labels

_FIELDS = 'inputs', 'positions', 'segments', 'types'
_NEVER = -1e9  # The logit of an option that a question does not have.


@dataclasses.dataclass(frozen=True)
class Choosing:
  """Cross-entropy of the right option among the options of a question.

  With s_k the score of option k, which the model reads with its context, the
  loss is log sum_k exp(s_k) - s_gold. Questions may have different numbers of
  options.

  References:
    Radford et al., Improving Language Understanding by Generative
    Pre-Training, 2018, section 3.3. Zellers et al., SWAG, arXiv:1808.05326.
  """

  def build(self, model: nn.Module) -> labels.Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    A batch has the fields of `scores`, `labels`, the index of the right option,
    [B], and `weights`, [B].
    """
    def objective(params, batch, rng=None):
      return labels.means(scores(model, params, batch, rng), batch)
    return objective


def prefix(option: int) -> str:
  """Returns the prefix of the fields of an option in a batch."""
  return f'option_{option}_'


def scores(model: nn.Module, params: Any, batch: Mapping[str, jax.Array],
           rng: jax.Array | None = None) -> jax.Array:
  """Returns the score of each option, float32 `scores_BK`.

  Args:
    model: A module of `models.heads` with one output.
    params: Its parameters.
    batch: `options`, the number of options of each question, [B]; and, for each
      of K options, its rows as `option_0_inputs` and so on, [B, T]. The score
      of an option that a question does not have is -1e9.
    rng: Key for dropout; None evaluates, without dropout.
  """
  size = sum(name.endswith('_inputs') for name in batch)
  rows = {name: jnp.concatenate(
      [batch[prefix(k) + name] for k in range(size)]) for name in _FIELDS}
  found_KB = labels.logits(model, params, rows, rng).reshape(size, -1)
  return jnp.where(jnp.arange(size)[None] < batch['options'][:, None],
                   found_KB.T, _NEVER)
