"""Nats of the tokens of a text under a model, whatever the model predicts.

A causal model predicts each token from those before it. A model that reads both
ways predicts masked tokens, XLNet those that come last in its order, and an
encoder-decoder the spans that sentinels stand for, or its source if there are
no sentinels. Every row is full, so that all batches have one shape, and nothing
is compiled as a whole: a model of which fifty variants run once each takes
longer to compile than to run.
"""
from collections.abc import Callable, Iterator
import dataclasses
import functools
import threading
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.interop.audit import begins
from lmjax.interop.audit import traced
from lmjax.nn import masks
from lmjax.objectives import losses
from lmjax.objectives import seq2seq

Batch = dict[str, np.ndarray]
_EVERY = 7  # One of this many tokens is masked at a time.
_PASSES = 3  # Passes over a row, each with other masks.
_SPAN, _PERIOD = 3, 14  # A span of so many tokens is hidden in so many.
_BROKEN = 100.0  # The nats of a token whose probability is NaN or 0.
_SKIPPED = 4  # The first tokens of a row have too little context.


@dataclasses.dataclass(frozen=True)
class Reading:
  """How a kind of model predicts a text.

  Attributes:
    rows: Function from (tokenizer, ids, length) to batches of one row of text
      each: `inputs`, `targets`, `weights` and `places`, the place of each
      target in the text, with what `hidden` needs.
    hidden: Function from (model, params, batch) to the hidden states `x_BTD`
      that predict the targets.
    passes: Rows of a batch that hold the same text.
    begun: Function from (texts, first) to batches of one row that begins with
      the id `first`, or with the text if it is None; None where rows have
      another frame.
  """
  rows: Callable[..., Iterator[Batch]]
  hidden: Callable[[nn.Module, Any, Batch], jax.Array]
  passes: int = 1
  begun: Callable[..., Iterator[Batch]] | None = None


def of(model: nn.Module, tokenizer: Any) -> Reading:
  """Returns how a model predicts a text.

  Raises:
    InputError: If it predicts no tokens, such as a discriminator.
  """
  traits = model.config.traits
  if traits.reads_source:
    if len(tokenizer.sentinel_ids):
      return Reading(_span_rows, _decoded, _PERIOD // _SPAN)
    return Reading(_copied_rows, _decoded)
  if traits.two_stream:
    return Reading(_masked_rows, _ordered, _PASSES)
  if traits.causal:
    return Reading(_causal_rows, functools.partial(_hidden, causal=True),
                   begun=begins.rows)
  if 'tokens' in traits.heads and traits.both_ways:
    return Reading(functools.partial(_masked_rows, masked=True),
                   functools.partial(_hidden, causal=False), _PASSES)
  raise errors.InputError(
      f'{type(model).__name__} as configured predicts no tokens, so no text '
      'can tell whether its config is right.')


class Scorer:
  """Scores batches under configs; compiles as few programs as it can.

  Several threads may use it.
  """

  def __init__(self, reading: Reading):
    self._reading, self._lock = reading, threading.Lock()
    self._compiled = functools.lru_cache(None)(self._compile)

  def __call__(self, config: Any, params: Any, batch: Batch,
               scales_S: np.ndarray | None = None) -> np.ndarray:
    """Returns the nats of the targets that have a weight, in order, 1-D.

    Args:
      config: The config of a model.
      params: Its parameters.
      batch: A batch of `reading.rows`.
      scales_S: Factors of the logits; with them the nats have the shape [S, M].
    """
    if scales_S is None:
      return self(config, params, batch, np.ones(1, np.float32))[0]
    chosen_M = np.flatnonzero(batch['weights'])
    skeleton, numbers = traced.split(config)
    with self._lock:
      program = self._compiled(skeleton)
    nll_SM = program(
        params, numbers, {name: batch[name] for name in sorted(batch)
                          if name not in ('weights', 'places')}, chosen_M,
        scales_S)
    return np.nan_to_num(
        np.asarray(nll_SM, np.float64), nan=_BROKEN, posinf=_BROKEN)

  def _compile(self, skeleton):
    """Returns the program for all configs that differ in numbers only."""
    def score(params, numbers, batch, chosen_M, scales_S):
      model = traced.join(skeleton, iter(numbers)).build()
      x_BTD = self._reading.hidden(model, params, batch)
      x_1MD = x_BTD.reshape(1, -1, x_BTD.shape[-1])[:, chosen_M]
      logits_1MV = model.apply({'params': params}, x_1MD, method='logits')
      targets_1M = batch['targets'].reshape(1, -1)[:, chosen_M]
      return jax.lax.map(lambda scale: losses.cross_entropy(
          logits_1MV * scale, targets_1M)[0][0], scales_S)
    return jax.jit(score)


def places(batch: Batch) -> np.ndarray:
  """Returns the places in the text of the targets of `nats`."""
  return batch['places'].reshape(-1)[np.flatnonzero(batch['weights'])]


def _pieces(ids, size):
  """Yields (place, ids) of all whole pieces of a text."""
  for start in range(0, len(ids) - size + 1, size):
    yield start, ids[start:start + size]


def _causal_rows(tokenizer, ids, length):
  """Yields rows that predict each token from those before it."""
  place_1T = np.arange(length)[None]
  for start, piece in _pieces(ids, length):
    first = tokenizer.bos_id
    if first is None:  # The token before the row, which begins nowhere.
      first = ids[max(0, start - 1)]
    yield {
        'inputs': np.append(first, piece[:-1])[None].astype(np.int32),
        'targets': piece[None].astype(np.int32), 'places': start + place_1T,
        'weights': (place_1T >= _SKIPPED).astype(np.float32)}


def _framed(tokenizer, piece):
  """Returns a text between BOS and EOS, and where the text begins."""
  ends = [[] if end is None else [end]
          for end in (tokenizer.bos_id, tokenizer.eos_id)]
  return np.concatenate([ends[0], piece, ends[1]]).astype(np.int32), len(
      ends[0])


def _masked_rows(tokenizer, ids, length, masked=False):
  """Yields rows of which some tokens are predicted from all others."""
  ends = sum(end is not None for end in (tokenizer.bos_id, tokenizer.eos_id))
  for start, piece in _pieces(ids, length - ends):
    row_T, first = _framed(tokenizer, piece)
    place_T = np.arange(len(row_T)) - first
    inside_T = (place_T >= 0) & (place_T < len(piece))
    chosen_BT = np.stack([
        inside_T & (place_T % _EVERY == offset * (_EVERY // _PASSES))
        for offset in range(_PASSES)])
    inputs_BT = np.broadcast_to(row_T, chosen_BT.shape)
    yield {
        'inputs': np.where(chosen_BT, tokenizer.special('[MASK]'), inputs_BT)
                  if masked else inputs_BT,
        'targets': inputs_BT, 'weights': chosen_BT.astype(np.float32),
        'order': chosen_BT.astype(np.float32),
        'places': np.broadcast_to(start + place_T, chosen_BT.shape)}


def _span_rows(tokenizer, ids, length):
  """Yields rows whose spans a decoder fills in, behind sentinels."""
  count = min(length // _PERIOD, len(tokenizer.sentinel_ids) - 1)
  sentinels = np.asarray(tokenizer.sentinel_ids[:count + 1])
  for start, piece in _pieces(ids, count * _PERIOD):
    rows = [_spans(tokenizer, piece, shift, sentinels, start)
            for shift in range(0, _PERIOD - _SPAN, _SPAN)]
    yield {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _spans(tokenizer, piece, shift, sentinels, start):
  """Returns a row in which a span of each period is hidden, from `shift` on."""
  count = len(sentinels) - 1
  first_C1 = _PERIOD * np.arange(count)[:, None] + shift
  place_CP = first_C1 + np.arange(_SPAN)
  source, kept_T = piece.copy(), np.ones(len(piece), bool)
  source[first_C1] = sentinels[:count, None]
  kept_T[place_CP[:, 1:]] = False
  first = [] if tokenizer.start_id is None else [tokenizer.start_id]
  target = np.concatenate([first, np.concatenate(
      [sentinels[:count, None], piece[place_CP]], 1).reshape(-1),
                           sentinels[count:]])
  # The decoder predicts a span and then the next sentinel, which is given.
  predicted_CP = np.append(place_CP, np.full_like(first_C1, -1), 1)
  predicted_T = np.append(np.full(len(first), -1), predicted_CP)
  return {
      'encoder_inputs': _framed(tokenizer, source[kept_T])[0],
      'inputs': target[:-1].astype(np.int32),
      'targets': target[1:].astype(np.int32),
      'weights': (predicted_T >= 0).astype(np.float32),
      'places': start + predicted_T}


def _copied_rows(tokenizer, ids, length):
  """Yields rows whose source a decoder repeats; some tokens may be masked."""
  _, first = seq2seq.first_ids(tokenizer)
  # A published decoder reads its start id, and then a document.
  bos = [id for id in (tokenizer.bos_id,) if id not in (None, first)]
  mask_id = tokenizer.specials.get('[MASK]')
  ends = sum(end is not None for end in (tokenizer.bos_id, tokenizer.eos_id))
  for start, piece in _pieces(ids, length - ends):
    place_T = np.arange(len(piece))
    source = piece.copy()
    if mask_id is not None:
      source[place_T % _EVERY == _EVERY - 1] = mask_id
    yield {
        'encoder_inputs': _framed(tokenizer, source)[0][None],
        'inputs': np.concatenate(
            [[first], bos, piece[:-1]])[None].astype(np.int32),
        'targets': np.append(bos, piece)[None].astype(np.int32),
        'weights': np.append(
            np.zeros(len(bos)), np.ones(len(piece)))[None].astype(np.float32),
        'places': start + np.append(np.full(len(bos), -1), place_T)[None]}


def _hidden(model, params, batch, causal):
  inputs_BT = jnp.asarray(batch['inputs'])
  return model.apply({'params': params}, inputs_BT, masks.of_length(
      inputs_BT.shape[1], causal=causal), method='hidden')[0]


def _ordered(model, params, batch):
  inputs_BT = jnp.asarray(batch['inputs'])
  return model.apply(
      {'params': params}, inputs_BT, masks.of_length(
          inputs_BT.shape[1], causal=False),
      order_BT=jnp.asarray(batch['order']), method='hidden')[0]


def _decoded(model, params, batch):
  memory_BSD = model.apply(
      {'params': params}, jnp.asarray(batch['encoder_inputs']),
      method='encode')
  return model.apply({'params': params}, jnp.asarray(batch['inputs']),
                     memory_BSD=memory_BSD, method='hidden')[0]
