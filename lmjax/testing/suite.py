"""Runs all checks of a decoder-like model in one call."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.testing import batches
from lmjax.testing import equivalence
from lmjax.testing import invariance


def check_all(
    logits: Callable[[Any, batches.Batch], jax.Array], params: Any, *,
    vocab_size: int, length: int = 8,
    decode: Callable[..., tuple[jax.Array, Any]] | None = None,
    empty_cache: Callable[[int, int], Any] | None = None,
    tolerance: float = invariance.TOLERANCE,
) -> list[str]:
  """Runs all invariance checks of a causal language model.

  Args:
    logits: `(params, batch) -> logits_BTV`, without dropout, of the `inputs`,
      `positions` and `segments` of the batch.
    params: The parameters; `hot.hot_params` makes the checks more sensitive.
    vocab_size: Ids are drawn from [0, vocab_size).
    length: Tokens of the longest document; the model reads 2 * length + 2.
    decode: `(params, batch, cache) -> (logits_BTV, cache)`; None skips the
      check of cached decoding.
    empty_cache: `(rows, length) -> cache`; needed with `decode`.
    tolerance: Largest relative error where bits may differ.

  Returns:
    The names of the checks that ran.

  Raises:
    AssertionError: If checks failed; has the messages of all that failed.

  Example:
    >>> def logits(params, batch):  # A bigram model.
    ...   return params[batch['inputs']]
    >>> check_all(logits, jnp.eye(9), vocab_size=9)
    ['no_future_leakage', ...]
  """
  lengths = (length // 2, 1, length, length // 2 - 1)

  def loss(params, batch):
    nll_BT = _nll(logits(params, batch), batch['targets'])
    weights = jnp.asarray(batch['weights'])
    return jnp.sum(nll_BT * weights), jnp.sum(weights)

  def apply(inputs_BT):
    shape = inputs_BT.shape
    positions_BT = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape)
    return logits(params, {
        'inputs': inputs_BT, 'positions': positions_BT,
        'segments': np.ones(shape, np.int32)})

  batch = batches.alone(batches.documents((length,) * 2, vocab_size))
  common = dict(vocab_size=vocab_size, lengths=lengths, tolerance=tolerance)
  checks = {
      'no_future_leakage': lambda: invariance.no_future_leakage(
          apply, batch['inputs']),
      'padding_invariance': lambda: invariance.padding_invariance(
          loss, params, **common),
      'packing_invariance': lambda: invariance.packing_invariance(
          loss, params, **common),
      'batch_invariance': lambda: invariance.batch_invariance(
          loss, params, **common),
      'jit_equals_no_jit': lambda: equivalence.jit_equals_no_jit(
          apply, batch['inputs'], tolerance=tolerance),
  }
  if decode is not None:
    checks['cached_decode_equals_full'] = (
        lambda: invariance.cached_decode_equals_full(
            lambda batch, cache: decode(params, batch, cache), empty_cache,
            vocab_size=vocab_size, tolerance=tolerance))
  failures = []
  for name, check in checks.items():
    try:
      check()
    except AssertionError as error:
      failures.append(f'{name}: {error}')
  if failures:
    raise AssertionError('\n'.join(
        [f'{len(failures)} of {len(checks)} checks failed.', *failures]))
  return list(checks)


def _nll(logits_BTV, targets_BT):
  logits_BTV = jnp.asarray(logits_BTV, jnp.float32)
  picked_BT1 = jnp.take_along_axis(
      logits_BTV, jnp.asarray(targets_BT)[..., None], axis=-1)
  return jax.nn.logsumexp(logits_BTV, axis=-1) - picked_BT1[..., 0]
