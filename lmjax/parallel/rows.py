"""Rows of a batch: division over devices, and padding of short batches."""
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
  """Returns part `index` of a batch whose rows are cut into `parts` parts."""
  size = count(batch) // parts
  return {name: x[index * size:(index + 1) * size]
          for name, x in batch.items()}


def share(where: jax.sharding.Sharding, parts: int, process: int
          ) -> tuple[int, int]:
  """Returns the part of a batch's rows that a process needs, as (index, count).

  Processes whose devices share the work on the same rows need the same part.

  Args:
    where: The sharding of the rows over all devices.
    parts: The number of parts that the rows are divided into.
    process: The index of the process.
  """
  needs = {}
  for device, (rows,) in where.devices_indices_map((parts,)).items():
    first, stop, _ = rows.indices(parts)
    low, high = needs.get(device.process_index, (parts, 0))
    needs[device.process_index] = min(low, first), max(high, stop)
  # The largest number of equal parts such that each process needs only one.
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
  """Raises InputError unless `rows` divide evenly over `parts`.

  Args:
    rows: The number of rows of a batch.
    parts: The number of parts.
    what: The name of the parts in the message, such as 'devices'.
  """
  if rows % parts:
    raise errors.InputError(
        f'A batch of {rows} rows does not divide over {parts} {what}; the '
        f'nearest batch size that does is {nearest(rows, parts)}.')


def in_parts(step: Callable[..., Any], microbatches: int) -> Callable[..., Any]:
  """Returns a step that cuts its batch into microbatches, or `step` for 1."""
  if microbatches == 1:
    return step
  return functools.partial(step, microbatches=microbatches)


def filled(function: Callable[[Any, Any], Any], multiple: int
           ) -> Callable[[Any, Mapping[str, np.ndarray]], Any]:
  """Returns `function(params, batch)` that pads short batches.

  Batches are padded with rows of zeros to the size of the largest batch so far,
  so that a shorter last batch needs no compilation. The results are NumPy
  arrays without the padding.

  Args:
    function: Returns a tree of arrays whose first axis is the row.
    multiple: The padded number of rows is a multiple of this.
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
