"""Results of retrieval: at which rank each query finds its texts."""
from collections.abc import Callable, Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.evaluation import estimates

CUTOFFS = 1, 5, 10
_SHOWN = 20  # Queries in the table of errors.
_CHUNK = 512  # Queries that are compared with all texts at a time.


@dataclasses.dataclass(frozen=True)
class Retrieval:
  """The ranks of the relevant texts of Q queries among all texts.

  A text that is as similar to a query as a relevant one is ranked before it, so
  that vectors which are all equal find nothing.

  Attributes:
    ranks: For each query, the ranks of its relevant texts from 1, increasing.
    texts: The number of texts.
    nll_Q: -log of the share of a relevant text in the softmax of a query's
      scores over all texts, in nats; None if scores are no logits.
    worst: (query, relevant text, its rank, the text that was found first) of
      the queries that rank their text lowest.

  References:
    Voorhees, The TREC-8 Question Answering Track Report, 1999 (mean reciprocal
    rank). Järvelin and Kekäläinen, Cumulated Gain-Based Evaluation of IR
    Techniques, 2002 (nDCG).
  """
  ranks: tuple[np.ndarray, ...]
  texts: int
  nll_Q: np.ndarray | None = None
  worst: tuple[tuple[str, str, int, str], ...] = ()

  @classmethod
  def of(cls, scores: Callable[[slice], np.ndarray], owner_Q: Sequence[int],
         names: tuple[Sequence[str], Sequence[str]],
         logits: bool = True) -> 'Retrieval':
    """Ranks the texts of each query.

    Args:
      scores: Function from a slice of pairs to the scores of their queries with
        all distinct texts, [pairs, M].
      owner_Q: The index of the relevant text of each pair. Pairs with the same
        query make one query with several relevant texts.
      names: The query of each pair, and the distinct texts.
      logits: Whether scores are logits.

    Raises:
      InputError: If there are no pairs.
    """
    queries, texts = names
    if not len(queries):
      raise errors.InputError('Retrieval needs at least one query.')
    owned = {}
    for query, own in zip(queries, owner_Q):
      owned.setdefault(query, set()).add(int(own))
    ranks, nll, found, done = [], [], [], set()
    for start in range(0, len(queries), _CHUNK):
      rows = scores(slice(start, start + _CHUNK))
      for query, row_M in zip(queries[start:start + _CHUNK], rows):
        if query in done:
          continue
        done.add(query)
        own = sorted(owned[query])
        row_M = np.asarray(row_M, np.float64)
        own_ranks = np.sort(_ranks(row_M, own))
        ranks.append(own_ranks)
        nll.append(-_log_share(row_M, own))
        found.append((query, texts[own[int(row_M[own].argmax())]],
                      int(own_ranks[0]), texts[int(row_M.argmax())]))
    found.sort(key=lambda each: -each[2])
    return cls(tuple(ranks), len(texts), np.array(nll) if logits else None,
               tuple(found[:_SHOWN]))

  @property
  def examples(self) -> int:
    """Number of queries."""
    return len(self.ranks)

  @property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Loss, recall at `CUTOFFS`, mean reciprocal rank and nDCG at 10."""
    found = {} if self.nll_Q is None else {'loss': estimates.mean(self.nll_Q)}
    for cutoff in CUTOFFS:
      found[f'recall@{cutoff}'] = estimates.mean([
          np.sum(ranks <= cutoff) / len(ranks) for ranks in self.ranks])
    found['mrr'] = estimates.mean([1 / ranks[0] for ranks in self.ranks])
    found['ndcg@10'] = estimates.mean([_ndcg(ranks) for ranks in self.ranks])
    return found

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: a function that draws recall over the cutoff}."""
    return {'Recall': lambda path, title: plot(path, self, title)}

  def tables(self) -> dict[str, Any]:
    """Returns the queries that rank their text lowest."""
    rows = [[query, text, f'{rank:,}', first]
            for query, text, rank, first in self.worst if rank > 1]
    return {'Queries that rank their text lowest': (
        ['query', 'its text', 'rank', 'found first'], rows)} if rows else {}

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    return {'examples': self.examples, 'texts': self.texts
            } | estimates.to_dict(self.metrics)


def _ranks(row_M: np.ndarray, own: Sequence[int]) -> np.ndarray:
  """Returns the ranks of relevant texts; equal scores of others come first."""
  better = np.sort(-row_M)
  own_scores = -row_M[list(own)]
  ranks = np.searchsorted(better, own_scores, side='right')
  # Equally similar relevant texts have ranks of their own.
  order, taken = np.argsort(ranks, kind='stable'), set()
  for place in order[::-1]:
    while ranks[place] in taken:
      ranks[place] -= 1
    taken.add(int(ranks[place]))
  return ranks


def _log_share(row_M: np.ndarray, own: Sequence[int]) -> float:
  """Returns the mean log of the relevant texts' shares in the softmax."""
  highest = row_M.max()
  return float(np.mean(row_M[list(own)]) - highest
               - np.log(np.exp(row_M - highest).sum()))


def _ndcg(ranks: np.ndarray, cutoff: int = 10) -> float:
  gain = np.sum(1 / np.log2(1 + ranks[ranks <= cutoff]))
  best = np.sum(1 / np.log2(2 + np.arange(min(len(ranks), cutoff))))
  return float(gain / best)


def plot(path: str | os.PathLike, result: Retrieval, title: str = 'Recall'
         ) -> None:
  """Draws a PNG: the share of relevant texts found among the first k."""
  from matplotlib import figure  # pylint: disable=g-import-not-at-top
  fig = figure.Figure((6, 4), layout='constrained')
  axes = fig.add_subplot()
  cutoffs = np.unique(np.geomspace(1, max(result.texts, 2), 60).astype(int))
  recall = [np.mean([np.mean(ranks <= cutoff) for ranks in result.ranks])
            for cutoff in cutoffs]
  axes.plot(cutoffs, recall, color='#2f6db5', label='model')
  axes.plot(cutoffs, cutoffs / result.texts, color='0.6', linewidth=1,
            label='chance')
  axes.set_xscale('log')
  axes.set(xlabel='texts found first, k', ylabel='recall', ylim=(0, 1.02))
  axes.legend(frameon=False, loc='lower right')
  axes.set_title(
      f'{title}\n{result.examples:,} queries, {result.texts:,} texts',
      fontsize=10)
  axes.spines[['top', 'right']].set_visible(False)
  with atomic.opened(path, 'wb') as file:
    fig.savefig(file, dpi=120)
