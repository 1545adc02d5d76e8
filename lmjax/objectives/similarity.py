"""Objectives of vectors of texts: cosines that match scores, or find a text."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.objectives.encoders import contrastive

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]
FIRST, SECOND, NEGATIVE = '', 'positive_', 'negative_'  # Prefixes of the texts.


@dataclasses.dataclass(frozen=True)
class CosineError:
  """The squared difference of each pair's cosine and its score in [0, 1].

  References:
    Reimers and Gurevych, Sentence-BERT, arXiv:1908.10084, section 3
    (regression objective).
  """

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    A batch has the fields of `vectors` for two texts, with scores as `labels`,
    [B], and `weights`.
    """
    def objective(params, batch, rng=None):
      error_B = cosines(model, params, batch, rng) - batch['labels']
      return {'loss': metrics.Mean.of(jnp.square(error_B), batch['weights'])}
    return objective


@dataclasses.dataclass(frozen=True)
@ranges.checked
class CoSENT:
  """Orders cosines as scores are ordered.

  With c_i the cosine of pair i, y_i its score and s the scale, the loss of a
  batch is

    log(1 + sum over i, j with y_i > y_j of exp(s (c_j - c_i))),

  where pairs of all devices are compared.

  Attributes:
    scale: s, which multiplies the differences of cosines.
    axis: Name of the mapped axis whose devices share the rows of a batch.

  References:
    Su, CoSENT: A more efficient sentence vector scheme than Sentence-BERT,
    2022 (in Chinese). Huang et al., CoSENT: Consistent Sentence Embedding via
    Similarity Ranking, 2024, eq. 5.
  """
  scale: ranges.Positive = 20.0
  axis: str | None = 'data'

  def build(self, model: nn.Module) -> Objective:
    """Returns the objective; see `CosineError.build`.

    'loss' is the loss of a batch, the same for all of its rows; 'error' is that
    of `CosineError`.
    """
    def objective(params, batch, rng=None):
      own_B, real_B = cosines(model, params, batch, rng), batch['weights'] > 0
      cosine_C, score_C, real_C = (
          contrastive.gathered(x_B, self.axis)
          for x_B in (own_B, batch['labels'], real_B))
      wrong_CC = self.scale * (cosine_C[None] - cosine_C[:, None])
      counts_CC = real_C[:, None] & real_C[None] & (
          score_C[:, None] > score_C[None])
      terms = jnp.where(counts_CC, wrong_CC, -jnp.inf).reshape(-1)
      loss = jax.nn.logsumexp(jnp.append(terms, 0.0))
      return {
          'loss': metrics.Mean.of(
              jnp.broadcast_to(loss, own_B.shape), batch['weights']),
          'error': metrics.Mean.of(
              jnp.square(own_B - batch['labels']), batch['weights'])}
    return objective


@dataclasses.dataclass(frozen=True)
@ranges.checked
class InBatch:
  """Each text must find its own among the second texts of the whole batch.

  The loss is that of `contrastive.SimCSE` with positives, and hard negatives if
  the batch has them. A second text that equals one's own is not a negative.

  Attributes:
    temperature: Divides the cosines.
    both: Whether each second text must find its first text, too; the loss is
      the mean of both directions.
    dims: Numbers of leading dimensions; the loss is the mean of the losses of
      the vectors cut to each, so that short vectors are useful, too. () uses
      all dimensions.
    axis: Name of the mapped axis whose devices share the rows of a batch.

  References:
    Henderson et al., Efficient Natural Language Response Suggestion for Smart
    Reply, arXiv:1705.00652, section 4.4; Gao et al., SimCSE, arXiv:2104.08821,
    eq. 5; Kusupati et al., Matryoshka Representation Learning,
    arXiv:2205.13147, eq. 1.
  """
  temperature: ranges.Positive = 0.05
  both: bool = False
  dims: tuple[ranges.Count, ...] = ()
  axis: str | None = 'data'

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    A batch has the fields of `vectors`, `weights`, [B], and `same`, [B]: a
    number for each distinct second text. The means are those of
    `contrastive.contrast`, of the longest vectors except for the loss.

    Raises:
      InputError: If the model's vectors are shorter than `dims`.
    """
    check_dims(self.dims, model.backbone.width)

    def objective(params, batch, rng=None):
      texts = vectors(model, params, batch, rng)
      real_B, found = batch['weights'] > 0, []
      for dim in sorted(self.dims) or [texts[0].shape[-1]]:
        first_BD, second_BD, *negative = (
            contrastive.normed(x_BD[:, :dim]) for x_BD in texts)
        ways = [(first_BD, second_BD, batch['same'], negative)]
        if self.both:
          ways.append((second_BD, first_BD, batch['same'], ()))
        found += [contrastive.contrast(
            query_BD, text_BD, real_B, negatives=others, same_B=same_B,
            temperature=self.temperature, axis=self.axis)
                  for query_BD, text_BD, same_B, others in ways]
      longest = found[-2 if self.both else -1]
      total = sum(each['loss'].total for each in found) / len(found)
      return longest | {'loss': metrics.Mean(total, longest['loss'].weight)}
    return objective


def check_dims(dims: Sequence[int], width: int) -> None:
  """Raises InputError if vectors of `width` cannot be cut to `dims`."""
  if any(dim > width for dim in dims):
    raise errors.InputError(
        f'objective.dims are {tuple(dims)}, but vectors of the model have '
        f'{width} dimensions.')


def vectors(model: nn.Module, params: Any, batch: Batch,
            rng: jax.Array | None = None) -> list[jax.Array]:
  """Returns the vector of each text of an example, float32 `x_BD`.

  Args:
    model: A `models.heads.vectors.Vectors`.
    params: Its parameters.
    batch: `inputs`, `positions` and `segments`, [B, T], and the same for the
      other texts, with the prefixes `positive_` and, if there is a third one,
      `negative_`.
    rng: Key for dropout; None evaluates, without dropout.
  """
  prefixes = [prefix for prefix in (FIRST, SECOND, NEGATIVE)
              if f'{prefix}inputs' in batch]
  joined = [jnp.concatenate([batch[prefix + name] for prefix in prefixes])
            for name in ('inputs', 'positions', 'segments')]
  x_BD = model.apply(
      {'params': params}, *joined, train=rng is not None,
      rngs=None if rng is None else {'dropout': rng})
  return jnp.split(x_BD, len(prefixes))


def cosines(model: nn.Module, params: Any, batch: Batch,
            rng: jax.Array | None = None) -> jax.Array:
  """Returns the cosine of both texts of each example, float32 [B]."""
  first_BD, second_BD = map(
      contrastive.normed, vectors(model, params, batch, rng)[:2])
  return jnp.sum(first_BD * second_BD, axis=-1)
