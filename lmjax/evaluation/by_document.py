"""Losses of a text document by document, kept with a run for later tests."""
import dataclasses
import json
import math
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import strict_json
from lmjax.data import facts

_NUMBERS = {'nats': float, 'tokens': int, 'bytes': int, 'characters': int,
            'words': int, 'unspaced': int}


@dataclasses.dataclass(frozen=True)
class Scores:
  """The losses of the documents of a text, in order.

  Attributes:
    nats: Negative log-likelihood of each document, float64.
    tokens: Number of scored tokens of each document, int64.
    texts: Facts about the original texts.
  """
  nats: np.ndarray
  tokens: np.ndarray
  texts: facts.Texts

  def __len__(self) -> int:
    """Returns the number of documents."""
    return len(self.nats)


def write(path: str | os.PathLike[str], scores: Scores) -> None:
  """Writes scores as JSON lines, one for each document.

  The loss of a document is null if it is NaN or infinite.
  """
  texts = scores.texts
  columns = [[nats if math.isfinite(nats) else None
              for nats in scores.nats.tolist()],
             scores.tokens.tolist(), texts.bytes.tolist(),
             texts.characters.tolist(), texts.words.tolist(),
             texts.unspaced.tolist()]
  with atomic.opened(path) as file:
    for i, (hashed, *values) in enumerate(
        zip(texts.hashes.tolist(), *columns, strict=True)):
      file.write(json.dumps({'document': i, 'hash': f'{hashed % 2**64:016x}'}
                            | dict(zip(_NUMBERS, values))) + '\n')


def read(path: str | os.PathLike[str]) -> Scores:
  """Returns the scores that `write` wrote.

  Raises:
    InputError: If the file cannot be read or holds anything else.
  """
  rows = []
  try:
    with open(path, encoding='utf-8') as file:
      for line in file:
        rows.append(_row(strict_json.loads(line), len(rows)))
  except (OSError, ValueError, LookupError, TypeError) as error:
    raise errors.InputError(
        f'{os.fspath(path)!r} cannot be read (line {len(rows) + 1}: {error}); '
        'evaluate the run again with experiments/evaluate.py.') from None
  nats, tokens, *sizes = (
      np.array([row[name] for row in rows], kind)
      for name, kind in _NUMBERS.items())
  hashes = np.array([row['hash'] for row in rows], np.uint64).view(np.int64)
  return Scores(nats, tokens, facts.Texts(*sizes, hashes))


def _row(row: Any, number: int) -> dict[str, Any]:
  """Returns the row of a document, checked, with its hash as a number."""
  if row['document'] != number:
    raise ValueError(f'it should be document {number}')
  nats = math.nan if row['nats'] is None else row['nats']
  row = row | {'nats': nats, 'hash': int(row['hash'], 16)}
  for name in _NUMBERS:
    if not isinstance(row[name], int | float) or row[name] < 0:
      raise ValueError(f'{name} is {row[name]!r}')
  return row
