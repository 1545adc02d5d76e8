"""Scoring with a carried state: every token sees its document from the start.

  likelihood.evaluate(
      carried.scorer(model)(params), documents, lay=carried.Windows(length),
      vocab_size=vocab_size)
"""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import functools
from typing import Any, ClassVar

import flax.linen as nn
import jax
import numpy as np

from lmjax.core import errors
from lmjax.evaluation import likelihood
from lmjax.objectives import truncated


@dataclasses.dataclass(frozen=True)
class Windows:
  """Lays documents out one after the other, one window per batch, no overlap.

  The batches have the fields of `windows.Windows` and a single row. Positions
  count from the start of the document; at position 0 a new state begins.

  Attributes:
    length: Tokens in a window, which are read at a time; affects the speed and
      not the result.
  """
  length: int

  context: ClassVar = None
  stride: ClassVar = None
  note: ClassVar = ('The state is carried: each token sees its document from '
                    'the start.')

  def __post_init__(self):
    if self.length < 1:
      raise errors.InputError(
          f'scoring.context should be at least 1; got {self.length}.')

  def __call__(self, documents: Iterable[Sequence[int]]
               ) -> Iterator[dict[str, np.ndarray]]:
    """Yields the batches, arrays [1, length]."""
    for number, tokens in enumerate(documents):
      for start in range(0, len(tokens) - 1, self.length):
        yield self._row(np.asarray(tokens), start, number)

  def _row(self, tokens, start, number):
    piece = tokens[start:start + self.length + 1]
    count = len(piece) - 1
    columns = {
        'inputs': piece[:-1], 'targets': piece[1:],
        'weights': np.ones(count), 'positions': start + np.arange(count),
        'seen': start + np.arange(count) + 1, 'segments': np.ones(count),
        'documents': np.full(count, number),
        'places': start + np.arange(count) + 1}
    return {
        name: np.pad(values, (0, self.length - count))[None].astype(
            np.float32 if name == 'weights' else np.int32)
        for name, values in columns.items()}


def scorer(model: nn.Module) -> Callable[[Any], likelihood.Score]:
  """Returns `score_of(params)`, which scores the batches of `Windows` in order.

  A score keeps the state after its last batch, and begins a new one at position
  0. It is compiled once for all parameters.

  Args:
    model: A module with the interface of `models.lstm.RecurrentModel`.

  Raises:
    InputError: If the model has no state to carry.
  """
  truncated.check_recurrent(model)
  read = jax.jit(functools.partial(truncated.scores_and_carry, model))

  def score_of(params):
    params, carry = jax.device_put(params), model.empty_cache(1)

    def score(batch):
      nonlocal carry
      scores, carry = read(params, batch, carry)
      return scores
    return score
  return score_of
