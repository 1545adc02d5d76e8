"""Causal language modelling: predict each token from those before it."""
from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import masks
from lmjax.nn import modules
from lmjax.objectives import auxiliary
from lmjax.objectives import chunked
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]
Scores = Callable[[Any, Batch], tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Causal:
  """Next-token cross-entropy.

  Attributes:
    label_smoothing: Share of the target spread evenly over the vocabulary.
    z_loss: Weight of the squared log-normaliser, which keeps logits near 0.
    chunk: Most tokens (over all rows of a device's batch) whose logits exist at
      once; None computes all at once. Saves memory if the vocabulary is large.

  References:
    Chowdhery et al., PaLM, arXiv:2204.02311, section 5 (z-loss).
  """
  label_smoothing: ranges.Rate = 0.0
  z_loss: ranges.NonNegative = 0.0
  chunk: ranges.Count | None = None

  likelihood = 'exact'  # Kind of `scores`.

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    Raises:
      InputError: If the model is not causal.
    """
    del tokenizer  # Needs no special ids.
    check_causal(model)
    return functools.partial(
        causal, model, chunk=self.chunk, label_smoothing=self.label_smoothing,
        z_loss=self.z_loss)

  def scores(self, model: nn.Module, tokenizer: Any = None) -> Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`."""
    del tokenizer
    check_causal(model)
    return functools.partial(token_scores, model)


def check_causal(model: nn.Module) -> None:
  """Checks that the model does not see the tokens that it should predict.

  Raises:
    InputError: If the model lacks the trait `causal`.
  """
  modules.check(model)
  if not model.config.traits.causal:
    raise errors.InputError(
        f'Predicting the next token needs a causal model; '
        f'{type(model).__name__} as configured reads both ways. Choose '
        '--config.model.kind=DecoderConfig with causal=True or '
        'RecurrentConfig, or for this model an objective that masks, such as '
        'MaskedLM (encoders) or Seq2Seq (encoder-decoders).')


def check_batch(batch: Batch) -> None:
  """Raises InputError if a batch lacks an array, with the names of those."""
  missing = [name for name in (
      'inputs', 'targets', 'weights', 'positions', 'segments')
             if name not in batch]
  if missing:
    raise errors.InputError(
        f'The batch lacks {", ".join(missing)}; it has {sorted(batch)}. '
        'data.packing makes all arrays of a batch.')


def causal(
    model: nn.Module, params: Any, batch: Batch,
    rng: jax.Array | None = None, *, label_smoothing: float = 0.0,
    z_loss: float = 0.0, chunk: int | None = None,
) -> dict[str, metrics.Mean]:
  """Returns the means over `targets`, each given the `inputs` before it.

  Args:
    model: A module with the interface of `models.decoder.Decoder`.
    params: Its parameters.
    batch: `inputs`, `targets`, `weights`, `positions` and `segments`, [B, T].
    rng: Key for dropout; None evaluates, without dropout.
    label_smoothing: See `Causal`.
    z_loss: See `Causal`.
    chunk: See `Causal`.

  Returns:
    Means over the weighted tokens: 'loss' is what training minimises, 'nll' the
    plain negative log-likelihood in nats, 'accuracy' the share of targets that
    were the most likely token; and the metrics that layers sow, see
    `auxiliary`.
  """
  check_batch(batch)
  if chunk is not None:
    (x_BTD, _), sown = _applied(model, params, batch, rng, method='hidden')
    means = chunked.token_means(
        lambda params, x_BTD: model.apply(
            {'params': params}, x_BTD, method='logits'),
        params, x_BTD, batch['targets'], batch['weights'], chunk=chunk,
        label_smoothing=label_smoothing, z_loss=z_loss)
  else:
    (logits_BTV, _), sown = _applied(model, params, batch, rng)
    means = losses.token_means(
        logits_BTV, batch['targets'], batch['weights'],
        label_smoothing=label_smoothing, z_loss=z_loss)
  return auxiliary.add(means, sown, batch['weights'])


def token_scores(
    model: nn.Module, params: Any, batch: Batch
) -> tuple[jax.Array, jax.Array]:
  """Returns `nll_BT` in nats and `correct_BT`, which evaluators sum.

  Both may be 0 where the weight is 0: see `scores_of`.
  """
  x_BTD, _ = model.apply(
      {'params': params}, batch['inputs'],
      masks.make(batch['positions'], batch['segments']), method='hidden')
  return scores_of(model, params, x_BTD, batch['targets'], batch['weights'])


def branch_scores(
    model: nn.Module, params: Any, batch: Batch
) -> tuple[jax.Array, jax.Array]:
  """Returns `token_scores` of rows in which texts share their beginnings.

  Args:
    model: A model with the traits `causal` and `attends`.
    params: Its parameters.
    batch: Arrays [B, T]. Token t, of `inputs`, has `positions[t]` in its text
      and is seen by the tokens from t to `ends[t]`. Slot k asks for the
      likelihood of `targets[k]` after token `places[k]`, if `weights[k]` is
      above 0.

  Returns:
    `nll_BT` and `correct_BT` of each slot; see `scores_of`.
  """
  d = shapes.bind(inputs_BT=batch['inputs'])
  index_T = jnp.arange(d.T)
  seen_BTS = (index_T[None, None] <= index_T[None, :, None]) & (
      index_T[None, :, None] <= batch['ends'][:, None])
  mask = masks.make(batch['positions']).replace(
      extra_BTS=seen_BTS, square=False)
  x_BTD, _ = model.apply(
      {'params': params}, batch['inputs'], mask, method='hidden')
  x_BTD = jnp.take_along_axis(x_BTD, batch['places'][..., None], axis=1)
  return scores_of(model, params, x_BTD, batch['targets'], batch['weights'])


def scores_of(
    model: nn.Module, params: Any, x_BTD: jax.Array, targets_BT: jax.Array,
    weights_BT: jax.Array, largest: int = 2**24,
) -> tuple[jax.Array, jax.Array]:
  """Scores targets given hidden states, a slice of T at a time.

  So a large vocabulary needs little memory, and a slice without weights, such
  as the part of a window that is only context, takes no time.

  Args:
    model: A module with the method `logits`.
    params: Its parameters.
    x_BTD: Hidden states from its method `hidden`.
    targets_BT: The tokens to score.
    weights_BT: Tokens with a weight above 0 are scored.
    largest: Most logits that exist at once.

  Returns:
    `nll_BT` in nats, and `correct_BT`, whether the target was the most likely
    token; both are 0 in a slice without weights.
  """
  d = shapes.bind(x_BTD=x_BTD, targets_BT=targets_BT, weights_BT=weights_BT)
  vocab_size = jax.eval_shape(
      lambda x_BTD: model.apply({'params': params}, x_BTD, method='logits'),
      x_BTD).shape[-1]
  count = -(-d.T // max(1, largest // (d.B * vocab_size)))
  size = -(-d.T // count)

  def cut(x):  # [B, T, ...] to [slices, B, size, ...]
    x = jnp.pad(x, [(0, 0), (0, count * size - d.T)] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(x.reshape(d.B, count, size, *x.shape[2:]), 1, 0)

  def scored(x_BTD, targets_BT):
    logits_BTV = model.apply({'params': params}, x_BTD, method='logits')
    nll_BT, _ = losses.cross_entropy(logits_BTV, targets_BT)
    return nll_BT, losses.is_best(logits_BTV, targets_BT)

  def skipped(x_BTD, targets_BT):
    del x_BTD
    return (jnp.zeros(targets_BT.shape, jnp.float32),
            jnp.zeros(targets_BT.shape, bool))

  def score(piece):
    x_BTD, targets_BT, weights_BT = piece
    return jax.lax.cond(
        jnp.any(weights_BT > 0), scored, skipped, x_BTD, targets_BT)

  pieces = jax.lax.map(score, (cut(x_BTD), cut(targets_BT), cut(weights_BT)))
  return tuple(jnp.moveaxis(x, 0, 1).reshape(d.B, -1)[:, :d.T] for x in pieces)


def _applied(model, params, batch, rng, method=None):
  modules.check(model)
  return auxiliary.apply(
      model, params, batch['inputs'],
      masks.make(batch['positions'], batch['segments']), method=method,
      train=rng is not None, rngs=None if rng is None else {'dropout': rng})
