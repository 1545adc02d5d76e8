"""Rows of examples whose texts are read apart, one row for each text."""
from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.objectives import similarity
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task as task_lib

_FIELDS = 'inputs', 'positions', 'segments'


@dataclasses.dataclass(frozen=True)
class SeparateRows(rows_lib.Rows):
  """Rows of several texts per example.

  The arrays of a text in a batch have its prefix: `inputs`, `positive_inputs`.
  All texts of a batch have the row length of the longest.

  Attributes:
    parts: The rows of each text, by prefix.
  """
  parts: Mapping[str, rows_lib.Rows] = dataclasses.field(default_factory=dict)

  def batch(self, chosen: np.ndarray, length: int,
            rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """See `rows.Rows`."""
    found = {}
    for prefix, part in self.parts.items():
      one = part.batch(chosen, length, rng)
      found |= {prefix + name: one[name] for name in _FIELDS}
    missing = self.features.batch_size - len(chosen)
    fill = lambda x: np.pad(x, (0, missing))
    return found | {
        **{name: fill(x[chosen]) for name, x in self.by_row.items()},
        'weights': fill(np.ones(len(chosen), np.float32))}


def build(features: rows_lib.Features,
          texts: Mapping[str, Sequence[tuple[str, str]]],
          tokenizer: tokenizer_lib.Tokenizer,
          by_row: Mapping[str, np.ndarray]) -> SeparateRows:
  """Returns the rows of examples.

  Args:
    features: How each text becomes a row.
    texts: (text, place for messages) of each example, by prefix.
    tokenizer: Maps text to ids.
    by_row: More arrays of a batch, [examples], by name.

  Raises:
    InputError: If a text has no tokens.
  """
  parts = {}
  for prefix, given in texts.items():
    found = features.build(
        [(text,) for text, _ in given], np.zeros(len(given)), tokenizer)
    empty = np.flatnonzero(found.sizes == 0)
    if len(empty):
      text, where = given[empty[0]]
      raise errors.InputError(
          f'{where}: the text {text!r:.40} has no tokens; remove this example.')
    parts[prefix] = found
  first = next(iter(parts.values()))
  return SeparateRows(
      features, first.tokens,
      np.max([part.sizes for part in parts.values()], axis=0),
      sum(part.truncated for part in parts.values()), dict(by_row),
      parts=parts)


def pairs(examples: Sequence[task_lib.Example]
          ) -> dict[str, list[tuple[str, str]]]:
  """Returns both texts of each example, for `build`."""
  return {
      similarity.FIRST: [(e.text, e.where) for e in examples],
      similarity.SECOND: [(e.second, e.where) for e in examples]}
