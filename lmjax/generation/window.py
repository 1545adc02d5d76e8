"""Continues a prompt beyond the model's context, in windows.

When the context is full, its last half is read again as the prompt of a new
window, whose positions start from 0. Tokens before the window have no influence
on later ones, and penalties count the tokens of the window only.
"""
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lmjax.core import errors
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import sample


def decode(
    model: nn.Module, params: Any,
    prompts: Sequence[Sequence[int] | prompts_lib.Prompt], *,
    max_new_tokens: int, rng: jax.Array | int = 0, **options: Any
) -> Iterator[sample.Result]:
  """Yields what `sample.decode` yields for one prompt, for any length.

  As long as the context is not full, the tokens are those of `sample.decode`. A
  prompt that leaves no room in the context is cut to the last half of it.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    prompts: One prompt, of a model that reads text from left to right.
    max_new_tokens: Most tokens to draw.
    rng: A seed, a key, or an array of one key.
    **options: Further arguments of `sample.decode`.

  Raises:
    InputError: If the model reads a source, or parts of the prompt both ways.
  """
  prompt, = map(prompts_lib.of, prompts)
  if prompt.source is not None or prompt.both_ways:
    raise errors.InputError(
        'A window slides over text that is read from left to right, but this '
        'model reads the prompt both ways. Leave out --window (window=True), '
        'and shorten the prompt if it is too long.')
  ids, context = np.asarray(prompt.ids), model.config.context
  kept = max(1, context // 2)
  key, window = sample.row_keys(rng, 1, 1), 0
  while True:
    if len(ids) >= context:
      ids = ids[-kept:]
    limit = min(max_new_tokens, context - len(ids))
    # Keys of draws are folded from 0 upwards, so these are different.
    keys = key if window == 0 else jax.vmap(jax.random.fold_in, (0, None))(
        key, np.uint32(2**32 - window))
    for piece in sample.decode(
        model, params, [prompts_lib.Prompt(ids, end=prompt.end)],
        max_new_tokens=limit, rng=keys, **options):
      yield piece
      ids = np.concatenate([ids, piece.tokens[0]])
    max_new_tokens -= limit
    if piece.finished[0] or not max_new_tokens:
      return
    window += 1
