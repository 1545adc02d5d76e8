"""Contrastive sentence embeddings: close to a positive, far from all others."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.nn import masks
from lmjax.nn import readout
from lmjax.objectives.encoders import bidirectional
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]
_FIELDS = 'inputs', 'positions', 'segments', 'types'


@dataclasses.dataclass(frozen=True)
@ranges.checked
class SimCSE:
  """Each text must find its positive among the positives of the whole batch.

  With h a text's vector, h+ the vector of its positive, and cosine similarity,

    loss_i = -log exp(sim(h_i, h+_i) / t) / sum_j exp(sim(h_i, h+_j) / t),

  where j runs over the positives of all rows on all devices, and over hard
  negatives if the batch has them. If the batch has no positives, the positive
  of a text is the text itself, read again with another dropout mask. A row is
  one text. A microbatch is only compared with the same microbatch of the other
  devices, which makes the task easier.

  Attributes:
    temperature: t, which divides the similarities.
    pooling: The 'mean' of the real tokens' hidden states, the 'first' token's
      (often called CLS), or the output of the model's 'pooler' for that one.
    axis: Name of the mapped axis whose devices share the rows of a batch; a
      step that is not mapped over it holds all rows. None compares the rows of
      each device with one another only.

  References:
    Gao et al., SimCSE, arXiv:2104.08821, eqs. 1, 4 and 5; Wang and Isola,
    Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere, arXiv:2005.10242, eqs. 1 and 2.
  """
  temperature: ranges.Positive = 0.05
  pooling: Literal['mean', 'first', 'pooler'] = 'mean'
  axis: str | None = 'data'

  likelihood = 'none'

  def __post_init__(self):
    if self.pooling not in _POOLING:
      raise errors.InputError(
          f'objective.pooling is {self.pooling!r}; choose from '
          f'{sorted(_POOLING)}.')

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    A batch holds `inputs`, `positions` and `segments`, [B, T]. The same names
    prefixed by `positive_` hold the positive of each row, those prefixed by
    `negative_` a hard negative. The means over rows are 'loss', 'accuracy'
    (how often the positive is the nearest text), 'alignment' (the squared
    distance to the positive) and 'uniformity' (the log of the mean of
    exp(-2 d^2) over all pairs of texts).

    Raises:
      InputError: If `pooling` is 'pooler' and the model has no pooler.
    """
    del tokenizer  # Needs no special ids.
    if self.pooling == 'pooler' and (
        'pooler' not in model.config.traits.heads):
      raise errors.InputError(
          'objective.pooling is \'pooler\', but the model has none: set '
          '--config.model.pooler.kind=Pooler, or choose \'mean\' or \'first\'.')

    def objective(params, batch, rng=None):
      return self.losses(model, params, batch, rng)
    return objective

  def losses(self, model: nn.Module, params: Any, batch: Batch,
             rng: jax.Array | None = None) -> dict[str, metrics.Mean]:
    """Returns the means over the rows of a batch; see `build`."""
    plain = {name: batch[name] for name in _FIELDS if name in batch}
    texts = [plain, _named(batch, 'positive_') or plain]
    texts += [_named(batch, 'negative_')] if 'negative_inputs' in batch else []
    joined = {name: jnp.concatenate([text[name] for text in texts])
              for name in plain}
    vectors = normed(embed(model, params, joined, self.pooling, rng))
    h_BD, like_BD, *unlike = jnp.split(vectors, len(texts))
    return contrast(
        h_BD, like_BD, jnp.any(batch['segments'] > 0, axis=1),
        negatives=unlike, temperature=self.temperature, axis=self.axis)


def contrast(h_BD: jax.Array, like_BD: jax.Array, is_row_B: jax.Array, *,
             negatives: Sequence[jax.Array] = (),
             same_B: jax.Array | None = None, temperature: float = 0.05,
             axis: str | None = None) -> dict[str, metrics.Mean]:
  """Returns the means of `SimCSE.build` for given vectors.

  Args:
    h_BD: Unit vectors of texts.
    like_BD: Unit vectors of their positives.
    is_row_B: Whether a row counts.
    negatives: Unit vectors of hard negatives, [B, D] each.
    same_B: A number for each distinct positive: a positive of another row with
      the same number is not a negative. None takes all as distinct.
    temperature: Divides the similarities.
    axis: See `SimCSE`.
  """
  like_CD, is_row_C = (gathered(x, axis) for x in (like_BD, is_row_B))
  others_CD = [like_CD] + [gathered(x, axis) for x in negatives]
  is_text_C = jnp.concatenate([is_row_C] * len(others_CD))
  logits_BC = h_BD @ jnp.concatenate(others_CD).T / temperature
  own_B = _first_row(len(h_BD), axis) + jnp.arange(len(h_BD))
  counts_BC = jnp.broadcast_to(is_text_C[None], logits_BC.shape)
  if same_B is not None:
    is_own_BC = own_B[:, None] == jnp.arange(len(is_row_C))[None]
    is_copy_BC = (same_B[:, None] == gathered(same_B, axis)[None]) & ~is_own_BC
    counts_BC &= ~jnp.pad(
        is_copy_BC, ((0, 0), (0, len(is_text_C) - len(is_row_C))))
  logits_BC = jnp.where(counts_BC, logits_BC, jnp.finfo(jnp.float32).min)
  nll_B1, _ = losses.cross_entropy(logits_BC[:, None], own_B[:, None])
  correct_B = jnp.argmax(logits_BC, axis=-1) == own_B
  distance_B = jnp.sum(jnp.square(h_BD - like_BD), axis=-1)
  spread = uniformity(gathered(h_BD, axis), is_row_C)
  return {
      'loss': metrics.Mean.of(nll_B1[:, 0], is_row_B),
      'accuracy': metrics.Mean.of(correct_B, is_row_B),
      'alignment': metrics.Mean.of(distance_B, is_row_B),
      'uniformity': metrics.Mean.of(
          jnp.broadcast_to(spread, is_row_B.shape), is_row_B)}


def embed(model: nn.Module, params: Any, batch: Batch,
          pooling: str = 'mean', rng: jax.Array | None = None) -> jax.Array:
  """Returns one float32 vector for each row, `x_BD`; 0 for a row of padding.

  Args:
    model: A module with the method `hidden`; a causal one gets a causal mask.
    params: Its parameters.
    batch: `inputs`, `positions` and `segments`, optionally `types`, [B, T].
    pooling: See `SimCSE`.
    rng: Key for dropout; None evaluates, without dropout.
  """
  x_BTD, _ = model.apply(
      {'params': params}, batch['inputs'],
      masks.make(batch['positions'], batch['segments'],
                 causal=model.config.traits.causal),
      **readout.typed(model, batch.get('types')), train=rng is not None,
      rngs=None if rng is None else {'dropout': rng}, method='hidden')
  real_BT = batch['segments'] > 0
  x_BD = _POOLING[pooling](model, params, x_BTD, real_BT).astype(jnp.float32)
  return jnp.where(jnp.any(real_BT, axis=1)[:, None], x_BD, 0.0)


def uniformity(x_BD: jax.Array, is_row_B: jax.Array) -> jax.Array:
  """Returns the log of the mean of exp(-2 d^2) over pairs of unit vectors."""
  squared_BC = jnp.maximum(2 - 2 * x_BD @ x_BD.T, 0.0)
  pair_BC = is_row_B[:, None] & is_row_B[None] & ~jnp.eye(len(x_BD), dtype=bool)
  total = jnp.sum(jnp.exp(-2 * squared_BC) * pair_BC)
  # A single row has no pair; 0 is the largest value, the least uniform.
  return jnp.where(jnp.any(pair_BC), jnp.log(
      jnp.maximum(total, 1e-30) / jnp.maximum(jnp.sum(pair_BC), 1)), 0.0)


def _mean(model, params, x_BTD, real_BT):
  del model, params
  return readout.mean(x_BTD, real_BT)


def _first(model, params, x_BTD, real_BT):
  del model, params, real_BT
  return x_BTD[:, 0]


def _pooler(model, params, x_BTD, real_BT):
  del real_BT
  return bidirectional.head(model, params, x_BTD, 'pooled')


_POOLING = {'mean': _mean, 'first': _first, 'pooler': _pooler}


def _named(batch, prefix):
  """Returns the fields whose names have the prefix, named without it."""
  return {name: batch[prefix + name] for name in _FIELDS
          if prefix + name in batch}


def normed(x_BD: jax.Array) -> jax.Array:
  """Returns vectors scaled to length 1, with a finite gradient at 0."""
  squared_B1 = jnp.sum(jnp.square(x_BD), axis=-1, keepdims=True)
  return x_BD * jax.lax.rsqrt(jnp.maximum(squared_B1, 1e-12))


def _is_mapped(axis):
  """Returns whether the program is mapped over the axis."""
  try:
    jax.lax.axis_index(axis)
  except NameError:  # JAX raises this for an unbound axis.
    return False
  return True


def gathered(x_B: jax.Array, axis: str | None) -> jax.Array:
  """Returns the rows of all devices, in the devices' order.

  Its transpose sums a row's cotangents over the devices, so the sum of the
  devices' gradients is the gradient of the sum of their losses.
  """
  if axis is None or not _is_mapped(axis):
    return x_B
  return jax.lax.all_gather(x_B, axis, tiled=True)


def _first_row(rows, axis):
  """Returns the index of this device's first row among all devices' rows."""
  if axis is None or not _is_mapped(axis):
    return 0
  return rows * jax.lax.axis_index(axis)
