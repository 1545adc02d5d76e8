"""Fills [MASK] with the tokens that a masked language model predicts."""
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.generation import marked as marked_lib
from lmjax.generation import prompts as prompts_lib
from lmjax.nn import masks

MASK = '[MASK]'


@dataclasses.dataclass(frozen=True)
class Fill:
  """The candidates for one [MASK], the most probable first.

  Attributes:
    texts: The candidates' texts.
    probabilities: Their probabilities, given the text and the other masks.
    ids: Their token ids.
  """
  texts: tuple[str, ...]
  probabilities: tuple[float, ...]
  ids: tuple[int, ...]


def fill(model: nn.Module, params: Any, tokenizer: Any, texts: Sequence[str],
         *, top_k: int = 5) -> list[list[Fill]]:
  """Returns the most probable tokens for every [MASK] of each text.

  Several masks of a text are filled independently of each other, as in one pass
  of pretraining. Control ids are never candidates, nor are ids beyond the
  tokenizer's, which a model with a padded vocabulary has.

  Args:
    model: A module with the interface of `models.encoder.Encoder`, trained to
      predict masked tokens.
    params: Its parameters.
    tokenizer: The model's tokenizer, with the special [MASK].
    texts: Texts, each with at least one [MASK].
    top_k: Number of candidates for each [MASK].

  Raises:
    InputError: If a text has no [MASK] or is too long, or the model cannot fill
      masks.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.1, task 1.
  """
  check(model)
  rows = [encode(tokenizer, text) for text in texts]
  if not rows:
    return []
  usable = tokenizer.vocab_size - len(tokenizer.control_ids)
  if not 1 <= top_k <= usable:
    raise errors.InputError(
        f'top_k should be from 1 to the {usable} ids that are text; got '
        f'{top_k}.')
  longest = max(len(row) for row in rows)
  if longest > model.config.context:
    raise errors.InputError(
        f'A text has {longest} tokens, but the model reads '
        f'{model.config.context}; shorten it.')
  length = min(prompts_lib.bucket(longest, 16), model.config.context)
  inputs_BT = np.zeros((prompts_lib.bucket(len(rows)), length), np.int32)
  segments_BT = np.zeros_like(inputs_BT)
  for i, row in enumerate(rows):
    inputs_BT[i, :len(row)], segments_BT[i, :len(row)] = row, 1
  ids = np.arange(model.config.vocab_size)  # May be more than the tokenizer's.
  is_text = (ids < tokenizer.vocab_size) & ~np.isin(ids, tokenizer.control_ids)
  values, ids = jax.device_get(_top(
      params, inputs_BT, segments_BT, is_text, model=model, top_k=top_k))
  mask_id = tokenizer.special(MASK)
  return [
      [Fill(tuple(_text(tokenizer, token) for token in ids[i, t]),
            tuple(values[i, t].tolist()), tuple(ids[i, t].tolist()))
       for t in np.flatnonzero(row == mask_id)]
      for i, row in enumerate(rows)]


def check(model: nn.Module) -> None:
  """Checks that the model can fill a mask.

  Raises:
    InputError: If the model does not read both ways, or lacks the head that
      predicts tokens.
  """
  traits = model.config.traits
  if not traits.both_ways or 'tokens' not in traits.heads:
    raise errors.InputError(
        f'{type(model).__name__} cannot fill a mask: only a model that reads '
        'both ways, such as Encoder trained by MaskedLM, can. Give the '
        '--workdir of such a run, or continue prompts with generate.py.')


def encode(tokenizer: Any, text: str) -> np.ndarray:
  """Returns a document's ids, with the id of [MASK] for each "[MASK]" in it.

  A space before a mask belongs to the token that fills it, if the tokenizer has
  tokens that begin with a space.

  Raises:
    InputError: If the text has no [MASK], or the tokenizer none.
  """
  marked = marked_lib.Marked(tokenizer, [MASK])
  if MASK not in text:
    raise errors.InputError(
        f'Write {MASK} where a token should be filled in; got {text[:60]!r}.')
  frame = tokenizer.frame()
  return np.concatenate(
      [frame.before, marked.encode(text), frame.after]).astype(np.int32)


def _text(tokenizer: Any, token: int) -> str:
  return tokenizer.token_bytes(int(token)).decode('utf-8', 'replace')


@functools.partial(jax.jit, static_argnames=('model', 'top_k'))
def _top(params, inputs_BT, segments_BT, is_text_V, *, model, top_k):
  """Returns probabilities and ids of the best tokens, [B, T, top_k]."""
  positions_BT = jnp.broadcast_to(
      jnp.arange(inputs_BT.shape[1])[None], inputs_BT.shape)
  x_BTD, _ = model.apply(
      {'params': params}, inputs_BT,
      masks.make(positions_BT, segments_BT, causal=False), method='hidden')
  logits_BTV = model.apply({'params': params}, x_BTD, method='logits')
  logits_BTV = jnp.where(is_text_V[None, None], logits_BTV, -jnp.inf)
  return jax.lax.top_k(jax.nn.softmax(logits_BTV, axis=-1), top_k)
