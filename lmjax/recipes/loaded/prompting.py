"""Prompts for a run, in the layout of its training rows."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmjax import experiment
from lmjax.generation import prompts
from lmjax.objectives import prefix


def reader(config: experiment.Pretrain, forced_ids: Sequence[int] = ()
           ) -> prompts.Encode:
  """Returns `encode(tokenizer, text)`, for `streaming` and `sample`.

  A decoder continues the text. If training rows were corrupted, the text is
  laid out like the source of a corrupted row, which an encoder reads, or a
  decoder reads in both directions. It has sentinels or [MASK] where text is
  missing (`marked.Marked` encodes these), or at its end if it has none.

  A model whose decoder starts from the tokenizer's `start_id`, as published
  models do, reads the text as it is, as a document.

  Args:
    config: The config of the run.
    forced_ids: Ids that follow `start_id` before any is drawn.
  """
  corruption = config.data.corruption
  encodes = config.model.traits.reads_source
  both_ways = isinstance(config.objective, prefix.PrefixLM)

  def encode(tokenizer: Any, text: str) -> prompts.Prompt:
    if encodes and tokenizer.start_id is not None:
      before, _, after = tokenizer.frame().ids
      return prompts.Prompt(
          [tokenizer.start_id, *forced_ids],
          [*before, *tokenizer.encode(text), *after])
    if corruption is None:
      return prompts.Prompt(prompts.encode(tokenizer, text))
    task = corruption.prompt(tokenizer, prompts.begun(tokenizer, text))
    if encodes:
      return prompts.Prompt(task.start, task.source, end=task.end)
    return prompts.Prompt(
        np.concatenate([task.source, task.start]), end=task.end,
        both_ways=len(task.source) if both_ways else 0)
  return encode
