"""Scores of a whole corpus by sacrebleu, with errors by the bootstrap.

BLEU, chrF and TER are functions of sums over sentences. The bootstrap draws
sentences with replacement and computes the score of each draw from its sums.
Counts and their score are of methods that sacrebleu calls protected, as its own
bootstrap is.
"""
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.evaluation.downstream.written import overlaps
from lmjax.evaluation import estimates

METRICS = {'bleu': 'BLEU', 'chrf': 'CHRF', 'ter': 'TER'}
_DRAWS, _SEED = 500, 0


@dataclasses.dataclass(frozen=True)
class Corpus:
  """Texts and their references, counted for one metric.

  Attributes:
    metric: The metric of sacrebleu.
    counts_NK: The numbers of each sentence that the metric sums.
  """
  metric: Any
  counts_NK: np.ndarray

  @classmethod
  def of(cls, name: str, texts: Sequence[str],
         references: Sequence[Sequence[str]], tokenize: str = '13a'
         ) -> 'Corpus':
    """Returns the counts of texts.

    Args:
      name: A key of `METRICS`.
      texts: The texts.
      references: One or more references of each.
      tokenize: The tokenizer of BLEU, a name of sacrebleu: '13a' for languages
        with spaces, 'zh' for Chinese, 'char', and others.

    Raises:
      InputError: If sacrebleu is not installed, or has no such tokenizer.
    """
    metric = made(name, tokenize)
    most = max(map(len, references))
    streams = [[some[i] if i < len(some) else None for some in references]
               for i in range(most)]
    counts = metric._extract_corpus_statistics(list(texts), streams)
    return cls(metric, np.array(counts, np.float64))

  def of_sums(self, counts_K: np.ndarray) -> float:
    """Returns the score of summed counts, in points: 0 to 100."""
    # Counts are whole, except those of chrF and TER with several references.
    counts = [int(x) if x.is_integer() else float(x) for x in counts_K]
    return float(self.metric._compute_score_from_stats(counts).score)

  def estimate(self) -> estimates.Estimate:
    """Returns the score of the corpus, and its bootstrap standard error.

    References:
      Koehn, Statistical Significance Tests for Machine Translation Evaluation,
      2004, section 3.
    """
    value, size = self.of_sums(self.counts_NK.sum(axis=0)), len(self.counts_NK)
    if size < 2:
      return estimates.Estimate(value)
    draws = np.random.default_rng(_SEED).multinomial(
        size, np.full(size, 1 / size), _DRAWS)
    scores = [self.of_sums(sums) for sums in draws @ self.counts_NK]
    return estimates.Estimate(value, float(np.std(scores, ddof=1)))

  @property
  def each(self) -> np.ndarray:
    """The score of each sentence alone, [N]."""
    return np.array([self.of_sums(counts_K) for counts_K in self.counts_NK])

  @property
  def signature(self) -> str:
    """The signature of the metric, which names its version and options."""
    return str(self.metric.get_signature().format())


def made(name: str, tokenize: str = '13a') -> Any:
  """Returns a new metric of sacrebleu; see `Corpus.of` for the arguments."""
  library = _library()
  if name != 'bleu':
    return getattr(library, METRICS[name])()
  known = sorted(library.BLEU.TOKENIZERS)
  if tokenize not in known:
    raise errors.InputError(
        f'task.metrics.scores.tokenize is {tokenize!r}; sacrebleu has {known}.')
  try:
    # The outputs of a model may end in ' .', which is no reason to warn.
    return library.BLEU(tokenize=tokenize, force=True)
  except (ImportError, RuntimeError) as error:
    raise errors.InputError(
        f'The tokenizer {tokenize!r} of sacrebleu cannot be used: {error}'
    ) from None


@functools.cache
def _library():
  try:
    import sacrebleu.metrics
  except ImportError:
    raise errors.InputError(overlaps.MISSING.format(
        what='BLEU, chrF or TER', library='sacrebleu')) from None
  return sacrebleu.metrics
