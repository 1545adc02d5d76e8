"""Scores of tagging: precision, recall and F1 of whole entities."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.evaluation.downstream import classification
from lmjax.evaluation.downstream.tags import entities
from lmjax.evaluation.downstream.tags import tag_errors
from lmjax.evaluation import estimates


@dataclasses.dataclass(frozen=True)
class Tagging:
  """Compares predicted tags with true ones in N sentences, for K entity types.

  A predicted entity is correct if its first word, its last word and its type
  are. Standard errors are the jackknife's, for independent sentences.

  Attributes:
    types: Names of the types.
    lenient_NK3: Number of true entities, of predicted ones, and of correct
      ones, as conlleval reads tags.
    strict_NK3: The same numbers if an entity must begin with a B.
    words: Predicted and true tags of all words.
    right_N: Number of words with the correct tag.
    sizes_N: Number of words.
    errors: What became of each entity.
    wrong: A table of the words that are most often wrong, by heading.
    nll_N: Negative log-likelihood of the true tags in nats; None if there are
      no probabilities.
    scored_N: Number of words in `nll_N`.

  References:
    Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 Shared Task,
    2003, section 2.4.
  """
  types: tuple[str, ...]
  lenient_NK3: np.ndarray
  strict_NK3: np.ndarray
  words: classification.Classification
  right_N: np.ndarray
  sizes_N: np.ndarray
  errors: tag_errors.Entities
  wrong: Mapping[str, tag_errors.Table]
  nll_N: np.ndarray | None = None
  scored_N: np.ndarray | None = None

  @classmethod
  def of(cls, true: Sequence[Sequence[str]],
         predicted: Sequence[Sequence[str]], names: Sequence[str],
         nll: Sequence[float] | None = None,
         scored: Sequence[int] | None = None,
         texts: Sequence[Sequence[str]] | None = None) -> 'Tagging':
    """Counts entities and words.

    Args:
      true: The tags of each sentence, in BIO.
      predicted: The predicted tags, in the same order.
      names: Tags in the order of the confusion matrix; other tags follow.
      nll: See `nll_N`.
      scored: See `scored_N`.
      texts: The words of each sentence, for the tables.

    Raises:
      InputError: If numbers of tags differ, or there are no words.
    """
    sizes = check(true, predicted)
    names = all_names(true, predicted, names)
    types = tuple(dict.fromkeys(
        entities.split(tag)[1] for tag in names if tag != 'O'))
    place = {tag: i for i, tag in enumerate(names)}
    flat = lambda x: [place[tag] for tags in x for tag in tags]
    count = lambda read: np.array([
        _counts(read(a), read(b), types) for a, b in zip(true, predicted)])
    return cls(
        types, count(entities.read), count(entities.read_strictly),
        classification.Classification.of(flat(true), flat(predicted), names),
        np.array([sum(map(str.__eq__, a, b)) for a, b in zip(true, predicted)]),
        np.array(sizes), tag_errors.Entities.of(true, predicted, types),
        tag_errors.words(true, predicted, texts),
        None if nll is None else np.asarray(nll, np.float64),
        None if scored is None else np.asarray(scored))

  @property
  def examples(self) -> int:
    """Number of sentences."""
    return len(self.sizes_N)

  @functools.cached_property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """F1, precision and recall, strict F1, accuracy, and the loss if known."""
    found = _rates(self.lenient_NK3.sum(axis=1)) | {
        'strict_f1': _rates(self.strict_NK3.sum(axis=1))['f1'],
        'accuracy': estimates.ratio(self.right_N, self.sizes_N)}
    if self.nll_N is None:
      return found
    return found | {'loss': loss(self.nll_N, self.scored_N)}

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: a function that draws the tags' confusion matrix}."""
    return {'Confusion': lambda path, title: classification.plot(
        path, self.words, title, 'words')}

  def tables(self) -> dict[str, tag_errors.Table]:
    """Returns tables of errors: of entities, and of words."""
    return {**self.errors.tables(), **self.wrong}

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    kinds = []
    for i, name in enumerate(self.types):
      there, found, right = self.lenient_NK3[:, i].sum(axis=0).tolist()
      strict = _rates(self.strict_NK3[:, i])['f1']
      kinds.append(
          {'name': name, 'entities': there, 'found': found, 'right': right}
          | estimates.to_dict(
              _rates(self.lenient_NK3[:, i]) | {'strict_f1': strict}))
    return {
        'examples': self.examples, 'words': int(self.sizes_N.sum()),
        **estimates.to_dict(self.metrics), 'types': kinds,
        'errors': self.errors.to_dict(), 'tags': list(self.words.names),
        'confusion': self.words.confusion_CC.tolist()}


def check(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
          ) -> list[int]:
  """Returns the number of words of each sentence.

  Raises:
    InputError: If numbers of tags differ, or there are no words.
  """
  sizes, others = ([len(tags) for tags in x] for x in (true, predicted))
  if sizes != others or not sum(sizes):
    raise errors.InputError(
        'Each sentence should have as many predicted tags as true ones; got '
        f'{len(sizes)} sentences of {sum(sizes)} tags and {len(others)} of '
        f'{sum(others)}.')
  return sizes


def all_names(true: Sequence[Sequence[str]],
              predicted: Sequence[Sequence[str]], names: Sequence[str]
              ) -> tuple[str, ...]:
  """Returns the names, followed by other tags that occur."""
  seen = {tag for tags in (*true, *predicted) for tag in tags}
  return (*names, *sorted(seen - set(names)))


def loss(nll_N: Sequence[float], scored_N: Sequence[int]
         ) -> estimates.Estimate:
  """Returns the mean over words of sums over sentences, in nats.

  Args:
    nll_N: Negative log-likelihood of the known tags of each sentence.
    scored_N: Number of these tags.
  """
  nll_N, scored_N = np.asarray(nll_N, np.float64), np.asarray(scored_N)
  if not scored_N.sum():
    return estimates.Estimate(None, why='no word has a tag of training')
  return estimates.ratio(nll_N, scored_N)


def _counts(true: Sequence[entities.Entity],
            found: Sequence[entities.Entity],
            types: Sequence[str]) -> np.ndarray:
  """Returns numbers of true, predicted and correct entities by type, [K, 3]."""
  place = {kind: i for i, kind in enumerate(types)}
  counts_K3 = np.zeros((len(types), 3), int)
  for column, group in enumerate((true, found, set(true) & set(found))):
    for entity in group:
      counts_K3[place[entity.type], column] += 1
  return counts_K3


def _rates(counts_N3: np.ndarray) -> dict[str, estimates.Estimate]:
  """Returns F1, precision and recall, from the counts of each sentence."""
  there_N, found_N, right_N = counts_N3.T
  return {'f1': estimates.ratio(2 * right_N, there_N + found_N),
          'precision': estimates.ratio(right_N, found_N),
          'recall': estimates.ratio(right_N, there_N)}
