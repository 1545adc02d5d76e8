"""Scores of utterances: their intents, their slots, and both together."""
from collections.abc import Callable
import dataclasses
import functools
import os
from typing import Any

import numpy as np

from lmjax.evaluation.downstream import classification
from lmjax.evaluation.downstream.tags import tagging
from lmjax.evaluation import estimates


@dataclasses.dataclass(frozen=True)
class Utterances:
  """The results of N utterances, each with an intent and tags of its words.

  Attributes:
    intents: Predicted and true intents.
    slots: Predicted and true tags.
    intents_N: Whether the intent is right.
    loss: Mean negative log-likelihood of an utterance's intent and tags in
      nats; None if there are no probabilities.

  References:
    Goo et al., Slot-Gated Modeling for Joint Slot Filling and Intent
    Prediction, 2018, section 4.2 (the share of sentences with both right).
  """
  intents: classification.Classification
  slots: tagging.Tagging
  intents_N: np.ndarray
  loss: estimates.Estimate | None = None

  @property
  def examples(self) -> int:
    """Number of utterances."""
    return len(self.intents_N)

  @functools.cached_property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Accuracies of intents, of utterances and of tags, and F1 of slots.

    `sentence_accuracy` is the share of utterances whose intent and tags are all
    right.
    """
    slots = self.slots.metrics
    right_N = self.intents_N & (self.slots.right_N == self.slots.sizes_N)
    return {
        'intent_accuracy': estimates.mean(self.intents_N),
        'sentence_accuracy': estimates.mean(right_N),
        **{name: slots[name]
           for name in ('f1', 'precision', 'recall', 'strict_f1')},
        'tag_accuracy': slots['accuracy'],
    } | ({} if self.loss is None else {'loss': self.loss})

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: a function that draws}: of intents, and of tags."""
    return {
        'Intents': lambda path, title: classification.plot(
            path, self.intents, title, 'utterances'),
        'Tags': lambda path, title: classification.plot(
            path, self.slots.words, title, 'words')}

  def tables(self) -> dict[str, Any]:
    """Returns the tables of intents and of slots."""
    return self.intents.tables() | self.slots.tables()

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    return {'examples': self.examples, **estimates.to_dict(self.metrics),
            'intents': self.intents.to_dict(), 'slots': self.slots.to_dict()}
