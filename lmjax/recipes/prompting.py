"""Text as what a run continues: laid out as its training rows were."""
from typing import Any

import numpy as np

from lmjax import experiment
from lmjax.generation import prompts
from lmjax.objectives import prefix


def reader(config: experiment.Pretrain) -> prompts.Encode:
  """Returns `encode(tokenizer, text)`, for `streaming` and `sample`.

  A decoder goes on from the text. Where rows were corrupted, the text is laid
  out as that task: an encoder reads it, or a decoder sees it both ways, with
  sentinels or [MASK] where something is missing (which `marked.Marked` reads),
  or else at its end.

  Args:
    config: Of the run.
  """
  corruption = config.data.corruption
  encodes = config.model.traits.reads_source
  both_ways = isinstance(config.objective, prefix.PrefixLM)

  def encode(tokenizer: Any, text: str) -> prompts.Prompt:
    if corruption is None:
      return prompts.Prompt(prompts.encode(tokenizer, text))
    task = corruption.prompt(tokenizer, prompts.begun(tokenizer, text))
    if encodes:
      return prompts.Prompt(task.start, task.source, end=task.end)
    return prompts.Prompt(
        np.concatenate([task.source, task.start]), end=task.end,
        both_ways=len(task.source) if both_ways else 0)
  return encode
