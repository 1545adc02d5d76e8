"""A model's tags of a sentence, and what a head's scores become them by."""
from collections.abc import Mapping, Sequence
import typing
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import jax
import numpy as np

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.nn import crf
from lmjax.objectives import labels as labels_lib

Decode = Literal['independent', 'valid']
Batch = Mapping[str, jax.Array]


class Tags(NamedTuple):
  """A model's tags of a sentence.

  Attributes:
    best_W: The index of each word's tag.
    log_p_WC: Log-probability of each tag for each word. A word that the model
      did not see has tag 0 with probability 1.
    nll: Minus the log-probability of the known tags in nats.
  """
  best_W: np.ndarray
  log_p_WC: np.ndarray
  nll: float

  def named(self, labels: Sequence[str]) -> tuple[str, ...]:
    """Returns the name of each word's tag."""
    return tuple(labels[best] for best in self.best_W)

  def probabilities(self, columns: Sequence[int | None]
                    ) -> list[float | None]:
    """Returns the probability of each word's tag; None if it is not seen."""
    return [None if column is None else round(float(np.exp(log_p_C[best])), 6)
            for column, best, log_p_C in zip(
                columns, self.best_W, self.log_p_WC)]


class Known(NamedTuple):
  """The words of a sentence whose tags are known, and which the model sees.

  Attributes:
    words: Their places in the sentence.
    labels: The index of the tag of each.
  """
  words: Sequence[int]
  labels: Sequence[int]


class Tagger(Protocol):
  """What belongs to a kind of head on tokens: its loss and its decoding.

  Attributes:
    decode: How tags are chosen if the task does not say.
  """
  decode: ClassVar[Decode]

  def check(self, objective: labels_lib.Labels) -> None:
    """Raises InputError for an objective that does not suit the head."""

  def means(self, scores: Any, batch: Batch, objective: labels_lib.Labels
            ) -> dict[str, metrics.Mean]:
    """Returns means over the words with a label; 'loss' is minimised.

    Args:
      scores: What the model returned for the batch.
      batch: Has `labels`, `weights` and `words`, [B, T]; `words` is 1 for the
        first subword of each word.
      objective: The objective of the task.
    """

  def joined(self, scores: Any, rows: int) -> Any:
    """Returns scores [rows K, T, ...] of K windows a row as [rows, K T, ...].
    """

  def outputs(self, scores: Any, batch: Batch, allowed: crf.Allowed | None
              ) -> Any:
    """Returns a tree of [B, ...] from which `tags` makes the tags.

    Args:
      scores: What the model returned for the batch, joined.
      batch: As in `means`.
      allowed: Which tags may follow each other in valid sequences.
    """

  def tags(self, output: Any, columns: Sequence[int | None], known: Known,
           labels: Sequence[str], decode: Decode) -> Tags:
    """Returns the tags of a sentence.

    Args:
      output: The sentence's part of `outputs`.
      columns: The column of each word; None for words that are not seen.
      known: The words whose tags are known.
      labels: The names of the tags; words that are not seen have the first.
      decode: 'independent' takes the most probable tag of each word, 'valid'
        the most probable sequence among those that are valid.
    """


def check(decode: str | None) -> None:
  """Raises InputError for an unknown way to decode."""
  if decode not in (*typing.get_args(Decode), None):
    raise errors.InputError(
        f"task.decode should be 'independent', 'valid' or none; got "
        f'{decode!r}.')


def spread(found_SC: np.ndarray, columns: Sequence[int | None]) -> np.ndarray:
  """Returns `log_p_WC` of all words from that of the words that are seen."""
  wide_WC = np.full((len(columns), found_SC.shape[-1]), -np.inf)
  wide_WC[:, 0] = 0.0
  wide_WC[[i for i, column in enumerate(columns) if column is not None]] = (
      found_SC)
  return wide_WC


def seen(columns: Sequence[int | None]) -> list[int]:
  """Returns the columns of the words that are seen."""
  return [column for column in columns if column is not None]
