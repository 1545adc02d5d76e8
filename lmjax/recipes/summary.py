"""Lines about a run for its page: model, data and devices, by name."""
from collections.abc import Mapping
from typing import Any

from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.text import splits as splits_lib
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax import models
from lmjax.tasks import task as task_lib

_DIGITS = 12  # Of a hash, which run.json holds whole.


def of_model(config: models.Config, params: Any) -> dict[str, str]:
  """Returns the kind and the size of a model.

  Args:
    config: The model's config, with its vocabulary size.
    params: All parameters, heads included.
  """
  return {
      'model': f'{type(config).__name__}: {config.num_layers} layers, width '
               f'{config.width}, context {config.context:,}, vocabulary '
               f'{config.vocab_size:,}',
      'parameters': f'{trees.count(params):,}'}


def of_data(data: pipeline.Data) -> dict[str, str]:
  """Returns the source of a run's text, its splits and their hashes."""
  lines = {'text': data.config.source.describe()}
  for name in splits_lib.NAMES:
    store = getattr(data, name)
    if store is not None:
      lines[f'{name} split'] = (
          f'documents: {store.num_documents:,}; {store.num_tokens:,} tokens, '
          f'{store.meta["text_bytes"]:,} bytes; hash '
          f'{store.digest[:_DIGITS]}')
  if data.notes:
    lines['note'] = ' '.join(data.notes)
  return lines | of_tokenizer(data.tokenizer)


def of_tokenizer(tokenizer: tokenizer_lib.Tokenizer) -> dict[str, str]:
  """Returns how text becomes ids, and the tokenizer's hash."""
  return {'tokenizer':
          f'{tokenizer.describe()}; hash {tokenizer.digest[:_DIGITS]}'}


def of_task(task: Any, splits: task_lib.Splits) -> dict[str, str]:
  """Returns the kind of a task, its numbers of examples and their hash.

  Args:
    task: The config of the task.
    splits: Its examples.
  """
  sizes = ', '.join(f'{name} {len(getattr(splits, name)):,}'
                    for name in task_lib.SPLITS)
  return {'task': type(task).__name__,
          'examples': f'{sizes}; hash {splits.digest()[:_DIGITS]}'}


def of_start(facts: Mapping[str, Any]) -> dict[str, str]:
  """Returns the devices of a start of a run, and the library's versions.

  Args:
    facts: The facts of a start, one entry of `run.json`.
  """
  count, kind = facts['devices']
  versions = facts['versions']
  return {
      'device': f'{count} x {kind}; host: {facts["cores"]} cores, '
                f'{facts["platform"]}',
      'versions': ', '.join(
          f'{name} {versions[name]}' for name in ('python', 'jax', 'flax'))}
