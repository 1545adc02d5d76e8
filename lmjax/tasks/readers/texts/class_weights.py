"""Weights of the classes in training."""
from collections.abc import Sequence

import numpy as np

from lmjax.core import errors
from lmjax.tasks.readers.texts import labels as labels_lib
from lmjax.tasks import task as task_lib

BALANCED = 'balanced'


def by_class(weights: Sequence[str], splits: task_lib.Splits) -> np.ndarray:
  """Returns the weight of each class, float32 [C].

  Args:
    weights: Pairs such as 'spam=5', where other classes have 1; or 'balanced'
      alone, which gives the C classes the same total weight: N / (C n) to a
      class with n of the N training examples.
    splits: The examples and their labels.

  Raises:
    InputError: If a label is unknown or comes twice, or a weight is not a
      positive number.
  """
  if tuple(weights) == (BALANCED,):
    counts = np.bincount(task_lib.targets(splits.train, splits.labels),
                         minlength=len(splits.labels))
    return (counts.sum() / (len(counts) * np.maximum(counts, 1))).astype(
        np.float32)
  found = {}
  for pair in weights:
    label, equals, number = pair.rpartition('=')
    if not equals:
      raise errors.InputError(
          f"task.weights should hold pairs such as 'spam=5', or {BALANCED!r} "
          f'alone; got {pair!r}.')
    labels_lib.check(label, splits.labels, 'task.weights')
    if label in found:
      raise errors.InputError(f'task.weights has {label!r} twice.')
    found[label] = _positive(number, label)
  return np.array([found.get(label, 1.0) for label in splits.labels],
                  np.float32)


def _positive(text: str, label: str) -> float:
  try:
    number = float(text)
  except ValueError:
    number = 0.0
  if not 0 < number < float('inf'):
    raise errors.InputError(
        f'The weight of {label!r} in task.weights should be a positive number; '
        f'got {text!r}.')
  return number
