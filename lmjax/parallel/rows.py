"""Rows of a batch: how they divide over devices, and what fills them up."""
from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
import numpy as np

from lmjax.core import errors


def count(batch: Mapping[str, Any]) -> int:
  """Returns the number of rows of a batch."""
  return len(next(iter(batch.values())))


def part(batch: Mapping[str, Any], index: int, parts: int) -> dict[str, Any]:
  """Returns part `index` of a batch whose rows are cut into so many."""
  size = count(batch) // parts
  return {name: x[index * size:(index + 1) * size]
          for name, x in batch.items()}


def share(where: jax.sharding.Sharding, parts: int, process: int
          ) -> tuple[int, int]:
  """Returns which part of a batch's rows a process needs: index, count.

  Processes that need the same rows, because their devices share the work on
  them, have the same index.

  Args:
    where: How the rows are divided over all devices.
    parts: Into how many parts.
    process: Its index.
  """
  needs = {}
  for device, (rows,) in where.devices_indices_map((parts,)).items():
    first, stop, _ = rows.indices(parts)
    low, high = needs.get(device.process_index, (parts, 0))
    needs[device.process_index] = min(low, first), max(high, stop)
  # As many shares as there can be, of which each process needs one.
  count = next(
      count for count in range(parts, 0, -1) if parts % count == 0 and all(
          low * count // parts == (high - 1) * count // parts
          for low, high in needs.values()))
  return needs[process][0] * count // parts, count


def nearest(number: int, multiple: int) -> int:
  """Returns the multiple of `multiple`, above 0, that is nearest to `number`.

  Example:
    >>> nearest(13, 8), nearest(3, 8)
    (16, 8)
  """
  return max(round(number / multiple), 1) * multiple


def check(rows: int, parts: int, what: str) -> None:
  """Raises InputError unless `rows` divide into `parts`, which are `what`."""
  if rows % parts:
    raise errors.InputError(
        f'A batch of {rows} rows does not divide over {parts} {what}; the '
        f'nearest batch size that does is {nearest(rows, parts)}.')


def in_parts(step: Callable[..., Any], microbatches: int) -> Callable[..., Any]:
  """Returns a step that cuts its batch into so many parts; 1 leaves it."""
  if microbatches == 1:
    return step
  return functools.partial(step, microbatches=microbatches)


def filled(function: Callable[[Any, Any], Any], multiple: int
           ) -> Callable[[Any, Mapping[str, np.ndarray]], Any]:
  """Returns `function(params, batch)` for batches whose last ones are short.

  They are filled up with rows of zeros to the largest batch seen and to a
  multiple, rather than compiled anew; the results are cut and are NumPy arrays.

  Args:
    function: Returns a tree of arrays whose first axis is the batch's.
    multiple: What the number of rows should divide by.
  """
  largest = 0

  def call(params, batch):
    nonlocal largest
    rows = count(batch)
    largest = max(largest, -(-rows // multiple) * multiple)
    batch = {k: np.pad(v, [(0, largest - rows)] + [(0, 0)] * (np.ndim(v) - 1))
             for k, v in batch.items()}
    return jax.tree.map(
        lambda x: np.asarray(x)[:rows], function(params, batch))

  return call
