"""Transforms documents during training, by grain; needs `lmjax[data]`.

`pipeline` is simpler and faster for rows that can be made once. This module is
for rows that differ in each epoch: augmentation, random spans, sampled
templates.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lmjax.core import errors


def batches(documents: Sequence[Any],
            transform: Callable[[Any, np.random.Generator],
                                Mapping[str, np.ndarray]],
            *, batch_size: int, seed: int = 0,
            shuffle: bool = True) -> Callable[[int], dict[str, np.ndarray]]:
  """Returns a function from a step to its batch of transformed documents.

  The random generator of a document depends on (seed, epoch, document), so a
  batch is a function of the step and a run resumes exactly from its step.

  Args:
    documents: Documents that can be indexed: a list of texts or of features.
    transform: Maps a document and a generator to a dict of arrays, whose
      shapes are the same for every document.
    batch_size: Documents in a batch.
    seed: Seed of the order and of the generators.
    shuffle: Whether to permute the documents, differently in each epoch.

  Raises:
    InputError: If grain is not installed, or there are too few documents.

  Example:
    >>> from lmjax.data import on_the_fly
    >>> double = lambda x, random: {'inputs': np.array([2 * x])}
    >>> batch = on_the_fly.batches(
    ...     [1, 2, 3], double, batch_size=3, shuffle=False)
    >>> batch(0)['inputs'].tolist()
    [[2], [4], [6]]
  """
  try:
    import grain
  except ImportError:
    raise errors.InputError(
        'Transforming documents on the fly needs grain: '
        "pip install 'lmjax[data]'.") from None
  if not 1 <= batch_size <= len(documents):
    raise errors.InputError(
        f'batch_size={batch_size} should be at least 1 and at most the number '
        f'of documents, {len(documents)}.')
  dataset = grain.MapDataset.source(documents).seed(seed)
  if shuffle:
    dataset = dataset.shuffle()
  dataset = dataset.repeat().random_map(transform)
  dataset = dataset.batch(batch_size, drop_remainder=True)
  return lambda step: dataset[step]
