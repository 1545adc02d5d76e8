"""Readings of how a text begins: with BOS, or with the text itself.

BOS matters most to the tokens right after it, and a model has seen it only
where texts begin. So these readings are compared on the first tokens of many
texts. Both predict the same tokens from the same text before them.
"""
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

LENGTH = 16  # Tokens of a row.
_APART = 32  # So that each text is a block of its own.


def others(tokenizer: Any) -> Iterator[tuple[str, int | None]]:
  """Yields (reading, id) of what else could come before a text.

  None is nothing. A tokenizer that puts nothing there may still have a BOS, its
  `first_id`. Where that is EOS it is not tried: it ends the documents of
  pretraining, so that a model predicts texts well after it, whether published
  code puts it before them or not.

  Args:
    tokenizer: The tokenizer.
  """
  if tokenizer.bos_id is not None:
    yield 'None', None
  elif tokenizer.first_id not in (None, tokenizer.eos_id):
    yield str(tokenizer.first_id), tokenizer.first_id


def rows(texts: Sequence[np.ndarray], first: int | None
         ) -> Iterator[dict[str, np.ndarray]]:
  """Yields batches of one row, which all begin with the same id.

  Args:
    texts: The ids of texts. Those that are too short are left out.
    first: The id; None means that rows begin with the text.

  Yields:
    Batches as those of `reading.Reading`. All but the first token of a text are
    predicted, whatever `first` is.
  """
  for number, ids in enumerate(texts):
    if len(ids) <= LENGTH:
      continue
    before = [] if first is None else [first]
    row = np.append(np.asarray(before, int), ids)[:LENGTH + 1]
    index_T = np.arange(1, LENGTH + 1) - len(before)  # Of targets, in the text.
    yield {
        'inputs': row[None, :-1].astype(np.int32),
        'targets': row[None, 1:].astype(np.int32),
        'places': number * _APART + index_T[None],
        'weights': ((index_T > 0) & (index_T < LENGTH))[None].astype(
            np.float32)}
