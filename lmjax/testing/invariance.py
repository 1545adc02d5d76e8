"""Checks that changes of the input do not change the output, for any model.

Every check takes small functions instead of lmjax's classes, so that it works
with any Flax module. A model is a function of a batch, a dict of [B, T] arrays:
`inputs`, `targets`, `weights` (1 counts, 0 does not), `positions` (from 0 in
each document) and `segments` (documents from 1 in each row; 0 is padding). Use
the entries that your model needs. A check passes silently or raises an
AssertionError that reports the difference, its place, and its usual causes. Use
parameters of `hot.hot_params`: freshly initialised ones hide mistakes.
"""
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.testing import batches
from lmjax.testing import compare
from lmjax.testing import gradients

TOLERANCE = 5e-5  # Float32 rounding stays below 1e-5; bugs are above 4e-4.


def no_future_leakage(
    apply: Callable[[Any], jax.Array], inputs: Any, *, seed: int = 0
) -> None:
  """Checks that no bit of an output depends on a later input.

  For each place, all inputs after it are replaced, and the outputs up to it
  must stay bit-identical. For real-valued inputs the gradient of each output
  with respect to all later inputs must be exactly zero as well.

  Args:
    apply: Function from inputs to outputs `[B, T, ...]`, with bound parameters.
    inputs: Token ids [B, T], or real numbers [B, T, D], T >= 2.
    seed: Seed of the replacements.

  Example:
    >>> no_future_leakage(lambda x: jnp.cumsum(x, axis=1), np.ones((2, 5, 3)))
  """
  apply = jax.jit(apply)
  inputs = np.asarray(inputs)
  rng = np.random.default_rng(seed)
  other = _replaced(inputs, rng)
  want, changed = (np.asarray(apply(x)) for x in (inputs, other))
  if np.array_equal(want, changed):
    raise AssertionError(
        'no_future_leakage proves nothing: the outputs do not depend on the '
        'inputs at all.')
  for cut in range(1, inputs.shape[1]):
    mixed = np.concatenate([inputs[:, :cut], other[:, cut:]], axis=1)
    compare.identical(
        f'Output before token {cut}', np.asarray(apply(mixed))[:, :cut],
        want[:, :cut],
        f'Only tokens from {cut} on were replaced, so the model sees the '
        'future: look at the causal mask (`query >= key`, True = may attend), '
        'at convolutions, and at anything averaged over the whole sequence.')
  if np.issubdtype(inputs.dtype, np.floating):
    _no_gradient_from_the_future(apply, inputs, rng.normal(size=want.shape))


def _replaced(inputs, rng):
  if np.issubdtype(inputs.dtype, np.floating):
    return inputs + rng.normal(size=inputs.shape).astype(inputs.dtype)
  size = max(int(inputs.max()) + 1, 2)
  return (inputs + rng.integers(1, size, inputs.shape).astype(
      inputs.dtype)) % size


def _no_gradient_from_the_future(apply, inputs, cotangent):
  @jax.jit
  def gradient(inputs, place):
    def chosen(inputs):
      outputs = apply(inputs)
      here = jnp.arange(outputs.shape[1]) == place
      here = here.reshape((1, -1) + (1,) * (outputs.ndim - 2))
      return jnp.sum(jnp.where(here, outputs * cotangent, 0))
    return jax.grad(chosen)(inputs)

  for place in range(inputs.shape[1] - 1):
    later = np.asarray(gradient(inputs, place))[:, place + 1:]
    compare.identical(
        f'The gradient of output {place} with respect to later inputs', later,
        np.zeros_like(later),
        'The forward pass hides the future, the backward pass does not: look '
        'for a mask that is multiplied with NaN or infinity.')


def cached_decode_equals_full(
    decode: Callable[[batches.Batch, Any], tuple[jax.Array, Any]],
    empty_cache: Callable[[int, int], Any], *, vocab_size: int,
    lengths: Sequence[int] = (5, 2, 6), tolerance: float = TOLERANCE,
    seed: int = 0,
) -> None:
  """Checks that decoding with a cache equals reading whole rows.

  Prompts of different lengths are padded on the left (segment 0, position 0)
  and read in one call; the next two calls read one token each, the last reads
  two.

  Args:
    decode: `(batch, cache) -> (logits_BTV, cache)`, of the `inputs`,
      `positions` and `segments` of new tokens; with None as the cache, of whole
      rows.
    empty_cache: `(rows, length) -> cache` with room for `length` tokens.
    vocab_size: Ids are drawn from [0, vocab_size).
    lengths: Tokens of each prompt.
    tolerance: Largest relative error.
    seed: Seed of the ids.

  Example:
    The cache of a running sum of ids is one number per row:

    >>> def decode(batch, cache):
    ...   real = jnp.where(batch['segments'] > 0, batch['inputs'], 0)
    ...   sums = jnp.cumsum(real, axis=1) + (0 if cache is None else cache)
    ...   return sums[..., None], sums[:, -1:]
    >>> cached_decode_equals_full(
    ...     decode, lambda rows, length: jnp.zeros((rows, 1)), vocab_size=9)
  """
  steps = (1, 1, 2)
  docs = batches.documents(
      [n + sum(steps) for n in lengths], vocab_size, seed)
  want, _ = jax.jit(lambda batch: decode(batch, None))(batches.alone(docs))
  left = _padded_left(docs)
  compiled = jax.jit(decode)
  cache = empty_cache(len(docs), left['inputs'].shape[1])
  start, parts = 0, []
  for count in (max(lengths),) + steps:
    piece = {k: v[:, start:start + count] for k, v in left.items()}
    logits, cache = compiled(piece, cache)
    parts.append(np.asarray(logits))
    start += count
  got = np.concatenate(parts, axis=1)
  for row, doc in enumerate(docs):
    count = len(doc) - 1
    compare.close(
        f'The logits of row {row} (a prompt of {lengths[row]} tokens, then '
        f'{steps} at a time) decoded with a cache', got[row, -count:],
        np.asarray(want)[row, :count], tolerance,
        f'Up to index {lengths[row] - 1} is the prompt. Wrong from there on: '
        'the slot or the position of new tokens. Wrong in short rows only: the '
        'padding on the left is seen (keep its segments), or positions count '
        'it.')


def _padded_left(docs):
  batch = batches.alone(docs)
  length = batch['inputs'].shape[1]
  for array in batch.values():
    for row, doc in enumerate(docs):
      array[row] = np.roll(array[row], length - (len(doc) - 1))
  return batch


def padding_invariance(
    loss: gradients.Loss, params: Any, *, vocab_size: int,
    lengths: Sequence[int] = (5, 1, 8, 3), tolerance: float = TOLERANCE,
    seed: int = 0,
) -> None:
  """Checks that padding changes neither the loss nor its gradient.

  Random inputs, targets and positions at padding must not change any bit.
  Longer rows and rows of padding only may change rounding. A batch of padding
  only must have weight, loss and gradient 0.

  Args:
    loss: `(params, batch) ->` an objective's dict with a `Mean` called 'loss',
      a `Mean`, a pair (total, weight), or the scalar mean.
    params: The parameters.
    vocab_size: Ids are drawn from [0, vocab_size).
    lengths: Tokens of each document; each has its own row.
    tolerance: Largest relative error.
    seed: Seed of the ids.

  Example:
    >>> def loss(params, batch):
    ...   return jnp.sum(params[batch['targets']] * batch['weights']), jnp.sum(
    ...       batch['weights'])
    >>> padding_invariance(loss, jnp.arange(9.0), vocab_size=9)
  """
  function = gradients.with_gradient(loss)
  docs = batches.documents(lengths, vocab_size, seed)
  batch = batches.alone(docs, max(lengths) + 1)
  want = function(params, batch)
  gradients.alive('padding_invariance', want)
  for draw in range(2):
    noisy = batches.scrambled(batch, vocab_size, seed + draw)
    compare.identical(
        'The loss with other ids at padded places', function(params, noisy),
        want, 'Padding is seen or counted: look at weights in the loss, at '
        'segment 0 in the mask, and at anything averaged over a row or batch.')
  longer = batches.alone(docs, sum(lengths) + 2)
  longer = {k: np.concatenate([v, 0 * v[:2]]) for k, v in longer.items()}
  compare.close(
      'The loss with longer rows and two empty ones', function(params, longer),
      want, tolerance, 'The amount of padding counts: divide by the sum of '
      'weights, not by B * T, and mask by segments, not by position.')
  empty = {k: 0 * v for k, v in batch.items()}
  compare.identical(
      'The loss of a batch that is all padding', function(params, empty),
      jax.tree.map(np.zeros_like, want),
      'Nothing is there to be learned from: total, weight and gradient are 0.')


def packing_invariance(
    loss: gradients.Loss, params: Any, *, vocab_size: int,
    lengths: Sequence[int] = (5, 1, 8, 3), tolerance: float = TOLERANCE,
    seed: int = 0,
) -> None:
  """Checks that packing documents into one row changes no loss or gradient.

  Args:
    loss: As in `padding_invariance`.
    params: The parameters.
    vocab_size: Ids are drawn from [0, vocab_size).
    lengths: Tokens of each document.
    tolerance: Largest relative error.
    seed: Seed of the ids.

  Example:
    >>> def loss(params, batch):
    ...   nll = params[batch['targets']] * params[batch['positions']]
    ...   return jnp.sum(nll * batch['weights']), jnp.sum(batch['weights'])
    >>> packing_invariance(loss, jnp.arange(9.0), vocab_size=9)
  """
  function = gradients.with_gradient(loss)
  docs = batches.documents(lengths, vocab_size, seed)
  want = function(params, batches.alone(docs, max(lengths) + 1))
  gradients.alive('packing_invariance', want)
  compare.close(
      f'The loss of {len(docs)} documents packed in one row',
      function(params, batches.packed(docs)), want, tolerance,
      'Documents are not independent: mask by segments, restart positions at 0 '
      'in each, and drop the target that crosses into the next.')


def batch_invariance(
    loss: gradients.Loss, params: Any, *, vocab_size: int,
    lengths: Sequence[int] = (5, 1, 8, 3), tolerance: float = TOLERANCE,
    seed: int = 0,
) -> None:
  """Checks that a row's loss and gradient do not depend on other rows.

  The sums over a batch must equal the sums over its rows, read one at a time.

  Args:
    loss: As in `padding_invariance`.
    params: The parameters.
    vocab_size: Ids are drawn from [0, vocab_size).
    lengths: Tokens of each document; each has its own row.
    tolerance: Largest relative error.
    seed: Seed of the ids.

  Example:
    >>> def loss(params, batch):
    ...   return jnp.sum(params[batch['targets']] * batch['weights']), jnp.sum(
    ...       batch['weights'])
    >>> batch_invariance(loss, jnp.arange(9.0), vocab_size=9)
  """
  function = gradients.with_gradient(loss)
  docs = batches.documents(lengths, vocab_size, seed)
  got = function(params, batches.alone(docs, max(lengths) + 1))
  gradients.alive('batch_invariance', got)
  batch = batches.alone(docs, sum(lengths) + 2)
  each = [function(params, batches.rows(batch, row, row + 1))
          for row in range(len(lengths))]
  want = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *each)
  compare.close(
      'The summed loss of a batch', got, want, tolerance,
      'Rows alone add up to something else: look for a mean of means, for '
      'statistics over the batch, and for dropout that is on in evaluation.')
