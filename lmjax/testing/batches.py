"""Small batches of random documents, one per row or packed."""
from collections.abc import Sequence

import numpy as np

Batch = dict[str, np.ndarray]


def documents(
    lengths: Sequence[int], vocab_size: int, seed: int = 0
) -> list[np.ndarray]:
  """Returns documents of random ids, with given numbers of tokens to predict.

  Args:
    lengths: Number of tokens to predict in each document, which has one id
      more.
    vocab_size: Ids are drawn from [0, vocab_size).
    seed: Seed of the draw.

  Example:
    >>> [len(document) for document in documents([3, 1], vocab_size=10)]
    [4, 2]
  """
  rng = np.random.default_rng(seed)
  return [rng.integers(0, vocab_size, n + 1).astype(np.int32) for n in lengths]


def alone(docs: Sequence[np.ndarray], length: int | None = None) -> Batch:
  """Returns a batch with one document per row, padded on the right.

  Args:
    docs: Arrays of ids.
    length: Tokens in a row; by default as many as the longest document needs.

  Example:
    >>> alone([np.array([7, 8, 9]), np.array([5, 6])])['targets'].tolist()
    [[8, 9], [6, 0]]
  """
  length = length or max(len(doc) - 1 for doc in docs)
  return _filled([[doc] for doc in docs], length)


def packed(docs: Sequence[np.ndarray], length: int | None = None) -> Batch:
  """Returns a batch with as many documents per row as fit, in order.

  Args:
    docs: Arrays of ids.
    length: Tokens in a row; by default all documents share one row, which ends
      in two tokens of padding.

  Example:
    >>> batch = packed([np.array([7, 8, 9]), np.array([5, 6])])
    >>> batch['segments'].tolist(), batch['positions'].tolist()
    ([[1, 1, 2, 0, 0]], [[0, 1, 0, 0, 0]])
  """
  length = length or sum(len(doc) - 1 for doc in docs) + 2
  rows, room = [], 0
  for doc in docs:
    if len(doc) - 1 > room:
      rows.append([])
      room = length
    rows[-1].append(doc)
    room -= len(doc) - 1
  return _filled(rows, length)


def _filled(rows: Sequence[Sequence[np.ndarray]], length: int) -> Batch:
  shape = (len(rows), length)
  batch = {name: np.zeros(shape, np.int32) for name in (
      'inputs', 'targets', 'positions', 'segments')}
  batch['weights'] = np.zeros(shape, np.float32)
  for row, docs in enumerate(rows):
    start = 0
    for number, doc in enumerate(docs, 1):
      count = len(doc) - 1
      if start + count > length:
        raise ValueError(
            f'A document of {count} predicted tokens does not fit in a row of '
            f'{length}.')
      place = row, slice(start, start + count)
      batch['inputs'][place] = doc[:-1]
      batch['targets'][place] = doc[1:]
      batch['positions'][place] = np.arange(count)
      batch['segments'][place] = number
      batch['weights'][place] = 1.0
      start += count
  return batch


def scrambled(batch: Batch, vocab_size: int, seed: int = 0) -> Batch:
  """Returns the batch with random ids and positions at all padding."""
  rng = np.random.default_rng(seed)
  padding = batch['segments'] == 0
  length = padding.shape[1]
  out = dict(batch)
  for name, limit in (('inputs', vocab_size), ('targets', vocab_size),
                      ('positions', length)):
    noise = rng.integers(0, limit, padding.shape).astype(np.int32)
    out[name] = np.where(padding, noise, batch[name])
  return out


def rows(batch: Batch, start: int, stop: int) -> Batch:
  """Returns the rows from `start` to before `stop` of a batch."""
  return {name: array[start:stop] for name, array in batch.items()}
