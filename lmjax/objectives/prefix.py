"""Prefix language modelling: a text continued from a prefix read both ways."""
from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.nn import masks
from lmjax.nn import modules
from lmjax.objectives import lm
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]
Scores = Callable[[Any, Batch], tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PrefixLM:
  """Next-token cross-entropy behind a prefix whose tokens see each other.

  A single decoder takes the place of an encoder-decoder: the prefix is the
  source. Rows come from `data.corruption`, with `joined=True`: PrefixLM,
  SpanCorruption, Bart or UL2. Without a prefix the model is causal, and its
  likelihood exact; it is only trained for that if prefixes may be empty.

  Attributes:
    label_smoothing: Share of the target spread evenly over the vocabulary.
    z_loss: Weight of the squared log-normaliser, which keeps logits near 0.

  References:
    Liu et al., Generating Wikipedia by Summarizing Long Sequences,
    arXiv:1801.10198; Raffel et al., T5, arXiv:1910.10683, section 3.2.1; Tay
    et al., UL2, arXiv:2205.05131, section 3.
  """
  label_smoothing: ranges.Rate = 0.0
  z_loss: ranges.NonNegative = 0.0

  likelihood = 'exact'  # Kind of `scores`.
  row_fields = ('prefix',)

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    The batch has `inputs`, `targets`, `weights`, `positions`, `segments` and
    `prefix`, [B, T].

    Raises:
      InputError: If the model is not causal, or has no attention.
    """
    del tokenizer  # The data path has put the special ids in their places.
    check(model)

    def objective(params, batch, rng=None):
      check_batch(batch)
      logits_BTV, _ = model.apply(
          {'params': params}, batch['inputs'], masks.prefix(
              batch['positions'], batch['segments'], batch['prefix']),
          train=rng is not None, rngs=None if rng is None else {'dropout': rng})
      return losses.token_means(
          logits_BTV, batch['targets'], batch['weights'],
          label_smoothing=self.label_smoothing, z_loss=self.z_loss)
    return objective

  def scores(self, model: nn.Module, tokenizer: Any = None) -> Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`.

    Scores have no prefix: a target sees all tokens before it and none after.
    """
    del tokenizer
    check(model)
    return functools.partial(lm.token_scores, model)

  def row_scores(self, model: nn.Module) -> Scores:
    """Returns `scores(params, batch)` of rows as in training.

    The batch has `row_fields` beside the fields of a plain window.

    Raises:
      InputError: If the model is not causal, or has no attention.
    """
    check(model)
    return functools.partial(row_scores, model)


def row_scores(model: nn.Module, params: Any, batch: Batch
               ) -> tuple[jax.Array, jax.Array]:
  """Returns `nll_BT` in nats and `correct_BT` of rows with a prefix.

  Both may be 0 where the weight is 0.
  """
  x_BTD, _ = model.apply(
      {'params': params}, batch['inputs'], masks.prefix(
          batch['positions'], batch['segments'], batch['prefix']),
      method='hidden')
  return lm.scores_of(model, params, x_BTD, batch['targets'], batch['weights'])


def check(model: nn.Module) -> None:
  """Checks that the model can read a prefix both ways and the rest one way.

  Raises:
    InputError: If the model is not causal, or has no attention.
  """
  modules.check(model)
  if model.config.traits.reads_source:
    raise errors.InputError(
        'PrefixLM trains a decoder without an encoder: choose '
        '--config.objective.kind=Seq2Seq for this model, or '
        '--config.model.kind=DecoderConfig.')
  lm.check_causal(model)
  if not model.config.traits.attends:
    raise errors.InputError(
        f'PrefixLM needs attention, to read a prefix both ways, and '
        f'{type(model).__name__} as configured reads one way: choose '
        '--config.model.kind=DecoderConfig with '
        '--config.model.block.mixer.kind=AttentionConfig; for this model, '
        'choose --config.objective.kind=Causal.')


def check_batch(batch: Batch) -> None:
  """Checks that the batch has a `prefix`."""
  if 'prefix' not in batch:
    raise errors.InputError(
        'PrefixLM needs batches with a prefix, which plain rows lack: choose '
        '--config.data.corruption.kind=PrefixLM, SpanCorruption, Bart or UL2, '
        'and --config.data.corruption.joined=True.')
