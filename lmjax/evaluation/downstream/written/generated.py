"""Results of written texts: their likelihood, and how they match references."""
from collections.abc import Callable, Sequence
import dataclasses
import functools
import os
from typing import Any, Literal

import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.evaluation.downstream.written import corpus_scores
from lmjax.evaluation.downstream.written import overlaps
from lmjax.evaluation.downstream.written import states
from lmjax.evaluation import estimates

NAMES = (
    'bleu', 'chrf', 'ter', 'rouge', 'meteor_exact_stem', 'exact', 'state')
_SHOWN = 20  # Rows of the tables of best and worst texts.
_LETTERS = 120  # Of a text in these tables.


@dataclasses.dataclass(frozen=True)
class Scores:
  """How written texts are compared with their references.

  Attributes:
    names: 'bleu', 'chrf', 'ter' (of sacrebleu, over the corpus), 'rouge'
      (ROUGE-1, 2 and L), 'meteor_exact_stem' and 'exact' (the mean over texts),
      and 'state' ('joint_goal' and 'slot_f1' of states of a dialogue; see
      `states`). All are in points, 0 to 100; a lower 'ter' is better.
    tokenize: The tokenizer of BLEU: '13a', 'zh' for Chinese, 'char' or another
      name of sacrebleu.
    rouge: 'words' compares words, and letters of scripts without spaces, as
      they are; 'rouge_score' is the library with stems of English words.
  """
  names: tuple[str, ...] = ('bleu', 'chrf', 'rouge', 'exact')
  tokenize: str = '13a'
  rouge: Literal['words', 'rouge_score'] = 'words'

  def __post_init__(self):
    for name in self.names:
      if name not in NAMES:
        raise errors.InputError(
            f'task.metrics.scores.names has {name!r}; choose from '
            f'{list(NAMES)}.{config.near(name, NAMES)}')

  def check(self) -> None:
    """Raises InputError if a library is missing, before texts are written."""
    Generated(self, (Written('a', 'a', ('a',)),), estimates.Estimate(0.0)
              ).metrics  # pylint: disable=expression-not-assigned


@dataclasses.dataclass(frozen=True)
class Written:
  """A text that was written for a source.

  Attributes:
    source: The source.
    text: The text.
    references: The texts that it is compared with.
    finished: Whether the text was ended; None if that is not known.
  """
  source: str
  text: str
  references: tuple[str, ...]
  finished: bool | None = None


@dataclasses.dataclass(frozen=True)
class Generated:
  """The results of texts; a `task.Result`.

  Attributes:
    scores: How texts are compared.
    written: The texts; () if none was written.
    loss: Negative log-likelihood per token of the targets, in nats, or None.
  """
  scores: Scores
  written: tuple[Written, ...]
  loss: estimates.Estimate | None = None

  @property
  def examples(self) -> int:
    """Number of texts that were written."""
    return len(self.written)

  @functools.cached_property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """The loss, the scores, and the form of the texts.

    The length ratio is the number of words in all texts over the number in all
    first references. Unfinished texts are those that reached the most tokens;
    repeating ones have words three times in a row.
    """
    found = {} if self.loss is None else {'loss': self.loss}
    if not self.written:
      return found
    for name in self.scores.names:
      if name in corpus_scores.METRICS:
        found[name] = self._corpus(name).estimate()
      elif name == 'state':
        found |= states.scores(
            [item.text for item in self.written],
            [item.references[0] for item in self.written])
      else:
        found |= self._means(name)
    sizes = np.array([[len(overlaps.words(each)) for each in (
        item.text, item.references[0])] for item in self.written])
    found['form/length_ratio'] = estimates.ratio(sizes[:, 0], sizes[:, 1])
    ends = [not item.finished for item in self.written
            if item.finished is not None]
    if ends:
      found['form/unfinished'] = estimates.mean(ends)
    found['form/repeating'] = estimates.mean(
        [overlaps.repeats(item.text) for item in self.written])
    return found

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns no picture; see `task.Result`."""
    return {}

  def tables(self) -> dict[str, Any]:
    """Returns the texts with the lowest and highest chrF, and signatures."""
    found, names = {}, self._names
    if 'chrf' in names:
      each = self._corpus('chrf').each
      order = np.argsort(each, kind='stable')
      heads = 'chrF', 'source', 'written', 'reference'
      rows = lambda places: [
          (f'{each[i]:.1f}', *(_cut(text) for text in (
              self.written[i].source, self.written[i].text,
              self.written[i].references[0]))) for i in places]
      found = {'Worst texts': (heads, rows(order[:_SHOWN])),
               'Best texts': (heads, rows(order[::-1][:_SHOWN]))}
    if names:
      found['Signatures of sacrebleu'] = ('metric', 'signature'), list(
          self.signatures.items())
    return found

  @property
  def signatures(self) -> dict[str, str]:
    """The signature of each metric of sacrebleu, by name."""
    return {name: self._corpus(name).signature for name in self._names}

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    return {'examples': self.examples} | estimates.to_dict(self.metrics) | {
        'signatures': self.signatures}

  @property
  def _names(self) -> list[str]:
    """The metrics of sacrebleu that have a value."""
    return [name for name in self.scores.names
            if self.written and name in corpus_scores.METRICS]

  @functools.cached_property
  def _counted(self) -> dict[str, corpus_scores.Corpus]:
    return {}  # Filled as metrics are asked for; counting takes a while.

  def _corpus(self, name: str) -> corpus_scores.Corpus:
    if name not in self._counted:
      self._counted[name] = corpus_scores.Corpus.of(
          name, [item.text for item in self.written],
          [item.references for item in self.written], self.scores.tokenize)
    return self._counted[name]

  def _means(self, name: str) -> dict[str, estimates.Estimate]:
    """Returns metrics that are means over the texts."""
    measure = {
        'rouge': (overlaps.rouge_score if self.scores.rouge == 'rouge_score'
                  else overlaps.rouge),
        'meteor_exact_stem': lambda *given: {name: overlaps.meteor(*given)},
        'exact': lambda *given: {name: overlaps.exact(*given)}}[name]
    each = [measure(item.text, item.references) for item in self.written]
    return {key: estimates.mean([100 * found[key] for found in each])
            for key in each[0]}


def per_token(nlls: Sequence[float], counts: Sequence[float]
              ) -> estimates.Estimate:
  """Returns the mean over tokens, with texts as clusters.

  Args:
    nlls: The sum over the tokens of each text.
    counts: The number of tokens of each text.
  """
  return estimates.ratio(np.asarray(nlls, np.float64),
                         np.asarray(counts, np.float64))


def _cut(text: str) -> str:
  """Returns a text on one line, cut if it is long."""
  text = ' '.join(text.split())
  return text if len(text) <= _LETTERS else f'{text[:_LETTERS - 1]}…'
