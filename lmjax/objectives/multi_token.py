"""Multi-token prediction: predict several of the next tokens at once."""
from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.nn import masks
from lmjax.objectives import lm
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class MultiToken:
  """The sum of the losses of the next token and of the tokens after it.

  Tokens near the end of a document predict only the tokens that remain. The
  likelihood is the likelihood of the next token alone.

  Attributes:
    weight: Weight of the losses of the further tokens; 1 in the paper.

  References:
    Gloeckle et al., Better & Faster Large Language Models via Multi-token
    Prediction, arXiv:2404.19737, eq. 2.
  """
  weight: Annotated[float, ranges.Range(
      0, above=True, note='For the next token alone choose '
      '--config.objective.kind=Causal.')] = 1.0

  likelihood = 'exact'  # Kind of `scores`.

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    The metrics are 'loss', the sum, per next token; 'nll' and 'accuracy' of the
    next token; 'nll_2', 'nll_3', ... of the tokens further ahead.

    Raises:
      InputError: If the model has no heads for further tokens.
    """
    del tokenizer  # Needs no special ids.
    _check(model)

    def objective(params, batch, rng=None):
      mask = masks.make(batch['positions'], batch['segments'])
      trunk, heads = (None, None) if rng is None else (
          {'dropout': key} for key in jax.random.split(rng))
      x_BTD, _ = model.apply(
          {'params': params}, batch['inputs'], mask, train=rng is not None,
          rngs=trunk, method='hidden')
      further = model.apply(
          {'params': params}, x_BTD, mask, train=rng is not None, rngs=heads,
          method='ahead')
      out = {}
      for distance, x_BTD in enumerate([x_BTD, *further], 1):
        targets_BT, weights_BT = shifted(batch, distance - 1)
        logits_BTV = model.apply({'params': params}, x_BTD, method='logits')
        nll_BT, _ = losses.cross_entropy(logits_BTV, targets_BT)
        nll = metrics.Mean.of(nll_BT, weights_BT)
        if distance == 1:
          correct_BT = losses.is_best(logits_BTV, targets_BT)
          out = {'loss': nll, 'nll': nll,
                 'accuracy': metrics.Mean.of(correct_BT, weights_BT)}
        else:
          out[f'nll_{distance}'] = nll
          out['loss'] = out['loss'].replace(
              total=out['loss'].total + self.weight * nll.total)
      return out
    return objective

  def scores(self, model: nn.Module, tokenizer: Any = None) -> lm.Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`."""
    del tokenizer
    _check(model)
    return functools.partial(lm.token_scores, model)


def shifted(batch: Batch, by: int) -> tuple[jax.Array, jax.Array]:
  """Returns the targets `by` tokens later, and their weights.

  The weight is 0 where the document has no such token in the row.
  """
  def later(x_BT):
    return jnp.pad(x_BT, ((0, 0), (0, by)))[:, by:]
  segments_BT = batch['segments']
  same_BT = (later(segments_BT) == segments_BT) & (segments_BT > 0)
  return later(batch['targets']), later(batch['weights']) * same_BT


def _check(model: nn.Module) -> None:
  if 'ahead' not in model.config.traits.heads:
    raise errors.InputError(
        f'Predicting several tokens needs a head for each; '
        f'{type(model).__name__} has one. Choose '
        '--config.model.kind=MultiTokenConfig, or the objective Causal.')
  lm.check_causal(model)
