"""Tagging: a tag for each word of a sentence; the tags mark entities."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import entities
from lmjax.evaluation.downstream import tagging
from lmjax.models.heads import token
from lmjax.objectives import labels as labels_lib
from lmjax.tasks.readers import tagged
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import sentences
from lmjax.tasks import tag_baselines
from lmjax.tasks import task as task_lib
from lmjax.tasks import words as words_lib


class Tags(NamedTuple):
  """A model's tags of a sentence.

  Attributes:
    names: The tag of each word.
    log_p_WC: Log-probability of each tag for each word. A word that the model
      did not see has tag O with probability 1.
  """
  names: tuple[str, ...]
  log_p_WC: np.ndarray


@dataclasses.dataclass(frozen=True)
class Tagging:
  """Tagging of the words of sentences; a `task.Task`.

  The first subword of a word has the word's label. Words that were cut off or
  have no token are tagged O, and are evaluated like all others.

  Attributes:
    source: The source of the examples, with `read() -> Splits`.
    features: How sentences become rows.
    head: The tagger on top of the backbone.
    objective: The objective to minimise.
    decode: How tags are chosen: the most probable tag of each word
      ('independent'), or the most probable sequence of tags in which each I
      follows a B or an I of its type ('valid').
  """
  source: tagged.Tagged
  features: rows_lib.Features = rows_lib.Features(prefix=' ')
  head: token.TokenConfig = token.TokenConfig()
  objective: labels_lib.Labels = labels_lib.Labels()
  decode: Literal['independent', 'valid'] = 'independent'

  unit: ClassVar = 'words'  # What the weight of the loss counts.

  def __post_init__(self):
    if self.decode not in ('independent', 'valid'):
      raise errors.InputError(
          f"task.decode should be 'independent' or 'valid'; got "
          f'{self.decode!r}.')

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`."""
    return self.source.read()

  def texts(self, examples: Sequence[sentences.Sentence]) -> Iterable[str]:
    """See `task.Task`."""
    return (text for e in examples for text in self.features.spelled(e.texts))

  def rows(self, examples: Sequence[sentences.Sentence],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> words_lib.WordRows:
    """See `task.Task`; tags that are not in `splits.labels` have weight 0."""
    place = {tag: i for i, tag in enumerate(splits.labels)}
    labels = [[place.get(tag) for tag in e.tags or ()] for e in examples]
    return words_lib.build(self.features, examples, labels, tokenizer)

  def model(self, backbone: Any, splits: task_lib.Splits) -> token.Token:
    """See `task.Task`."""
    return self.head.build(backbone, len(splits.labels))

  def loss(self, model: token.Token) -> labels_lib.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: token.Token) -> Callable[[Any, Any], Any]:
    """Returns a function that returns `logits_BTC`."""
    return lambda params, batch: labels_lib.logits(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    del outputs, rows
    return splits

  def judge(self, outputs: Sequence[np.ndarray],
            examples: Sequence[sentences.Sentence], rows: words_lib.WordRows,
            splits: task_lib.Splits) -> tagging.Tagging:
    """Returns scores of entities and words, and the mean loss per tag in nats.
    """
    place = {tag: i for i, tag in enumerate(splits.labels)}
    predicted, nll, scored = [], [], []
    for example, columns, tags in zip(
        examples, rows.columns, self._tags(outputs, rows, splits)):
      known = [(word, place[tag]) for word, (tag, column) in enumerate(
          zip(example.tags, columns)) if column is not None and tag in place]
      predicted.append(tags.names)
      nll.append(-sum(tags.log_p_WC[word, label] for word, label in known))
      scored.append(len(known))
    return tagging.Tagging.of(
        [e.tags for e in examples], predicted, splits.labels, nll, scored)

  def answers(self, outputs: Sequence[np.ndarray],
              examples: Sequence[sentences.Sentence],
              rows: words_lib.WordRows, splits: task_lib.Splits
              ) -> Iterator[dict[str, Any]]:
    """Yields words, predicted tags, their probabilities, and entities.

    The probability of a word that the model did not see is None.
    """
    place = {tag: i for i, tag in enumerate(splits.labels)}
    for example, columns, tags in zip(
        examples, rows.columns, self._tags(outputs, rows, splits)):
      words = example.words
      yield {'words': list(words)} | (
          {} if example.tags is None else {'tags': list(example.tags)}) | {
              'predicted': list(tags.names),
              'probabilities': [
                  None if column is None
                  else round(float(np.exp(log_p_C[place[name]])), 6)
                  for column, name, log_p_C in zip(columns, *tags)],
              'entities': [
                  entity._asdict()
                  | {'text': ' '.join(words[entity.start:entity.end])}
                  for entity in entities.read(tags.names)]}

  def baselines(self, splits: task_lib.Splits, rows: words_lib.WordRows
                ) -> dict[str, tagging.Tagging]:
    """Returns results of the baselines, fitted to the training split."""
    del rows
    out = {}
    for kind in tag_baselines.BASELINES:
      fitted = kind.fit(splits.train)
      out[fitted.name] = tagging.Tagging.of(
          [e.tags for e in splits.test], [fitted(e.words) for e in splits.test],
          splits.labels)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[sentences.Sentence]:
    """See `task.Task`; a text is a list of words, its label a list of tags."""
    found = sentences.sentence(texts, where, label)
    return [found if label is None else found.in_bio()]

  def _tags(self, outputs: Sequence[np.ndarray], rows: words_lib.WordRows,
            splits: task_lib.Splits) -> Iterator[Tags]:
    """Yields the tags of each sentence."""
    for logits_TC, columns in zip(outputs, rows.columns):
      log_p_WC = _log_p(logits_TC, columns, splits.labels.index('O'))
      best_W = log_p_WC.argmax(axis=-1)
      if self.decode == 'valid':
        best_W = entities.best_valid(log_p_WC, splits.labels)
      yield Tags(tuple(splits.labels[i] for i in best_W), log_p_WC)


def _log_p(logits_TC: np.ndarray, columns: Sequence[int | None], other: int
           ) -> np.ndarray:
  """Returns `log_p_WC` from the columns of words; `other` is the index of O."""
  seen = [i for i, column in enumerate(columns) if column is not None]
  wide_WC = np.full((len(columns), logits_TC.shape[-1]), -np.inf)
  wide_WC[:, other] = 0.0
  found = np.asarray(logits_TC, np.float64)[[columns[i] for i in seen]]
  found -= found.max(axis=-1, keepdims=True)
  found -= np.log(np.exp(found).sum(axis=-1, keepdims=True))
  wide_WC[seen] = found
  return wide_WC
