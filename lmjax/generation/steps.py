"""The steps of decoding: reads prompts, then one token per row at a time.

The rows of a batch may start at different times: `prefill` reads a prompt
alone, and `nn.caches.insert` replaces a finished row by its row.
"""
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import shapes
from lmjax.generation import prompts as prompts_lib
from lmjax.nn import masks


def prefill(model: nn.Module, params: Any, batch: prompts_lib.Padded
            ) -> tuple[Any, jax.Array]:
  """Reads prompts into a new cache.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    batch: The padded prompts.

  Returns:
    The cache, with room for `batch.room` more tokens, and the logits of each
    prompt's next token, `logits_BV`.
  """
  d = shapes.bind(inputs_BT=batch.inputs_BT, lengths_B=batch.lengths_B)
  positions_BT = jnp.arange(d.T)[None] - (d.T - batch.lengths_B)[:, None]
  x_BTD, cache = model.apply(
      {'params': params}, batch.inputs_BT, _mask(batch, positions_BT),
      cache=model.empty_cache(d.B, d.T + batch.room), method='hidden',
      **_memory(model, params, batch))
  logits_BTV = model.apply({'params': params}, x_BTD[:, -1:], method='logits')
  return cache, logits_BTV[:, 0]


def step(model: nn.Module, params: Any, cache: Any, tokens_B: jax.Array,
         positions_B: jax.Array) -> tuple[Any, jax.Array]:
  """Reads one more token of each row.

  Args:
    model: The module.
    params: Its parameters.
    cache: Cache of the tokens that the rows have read before.
    tokens_B: The tokens to read.
    positions_B: Number of tokens that each row has read before.

  Returns:
    The cache, and the logits of each row's next token, `logits_BV`.
  """
  positions_B1 = positions_B[:, None]
  x_BTD, cache = model.apply(
      {'params': params}, tokens_B[:, None],
      masks.make(positions_B1, jnp.ones_like(positions_B1)),
      cache=cache, method='hidden')
  logits_BTV = model.apply({'params': params}, x_BTD, method='logits')
  return cache, logits_BTV[:, 0]


def empty(model: nn.Module, params: Any, row: prompts_lib.Padded, rows: int
          ) -> Any:
  """Returns an empty cache, into which rows can be inserted.

  Args:
    model: The module.
    params: Its parameters.
    row: A padded prompt with the shapes of all rows to be inserted.
    rows: Number of rows in the cache.
  """
  batch = jax.tree.map(lambda x: jnp.repeat(x, rows, axis=0), row)
  cache, _ = jax.eval_shape(
      lambda params, batch: prefill(model, params, batch), params, batch)
  return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), cache)


def _mask(batch, positions_BT):
  """Returns the attention mask of the prompts."""
  segments_BT = (positions_BT >= 0).astype(jnp.int32)
  places_BT = jnp.maximum(positions_BT, 0)
  if batch.both_ways_B is None:
    return masks.make(places_BT, segments_BT)
  mask = masks.prefix(
      places_BT, segments_BT, places_BT < batch.both_ways_B[:, None])
  return mask.replace(extra_BTS=jnp.pad(  # Masks the keys of later tokens.
      mask.extra_BTS, ((0, 0), (0, 0), (0, batch.room))))


def _memory(model, params, batch):
  """Returns the arguments of `hidden` for the encoded sources, if any."""
  if batch.sources_BS is None:
    return {}
  index_1S = jnp.arange(batch.sources_BS.shape[1])[None]
  segments_BS = (index_1S < batch.source_lengths_B[:, None]).astype(jnp.int32)
  memory_BSD = model.apply(
      {'params': params}, batch.sources_BS,
      masks.make(index_1S, segments_BS, causal=False), method='encode')
  return dict(memory_BSD=memory_BSD, memory_segments_BS=segments_BS)
