"""A held-out split under one evaluator: a model beside what it should beat."""
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import types
from typing import Any

import numpy as np

from lmjax.data.synthetic import language
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import baselines
from lmjax.evaluation import likelihood
from lmjax.evaluation import report


KINDS = {  # What an objective's likelihood is, and how a reader must take it.
    'exact': '',
    'none': 'The objective defines no likelihood, so that only baselines stand '
            'here; what it reached itself is in report.json, "held_out".',
    'pseudo': 'Pseudo-likelihood: each token given all others of its window, '
              'those after it too, so it is no bound on any of the others.',
    'conditional': 'Conditional likelihood: an encoder reads the context of a '
                   'window, a decoder predicts the rest.',
    'permutation': 'Likelihood under random orders of factorisation, averaged.',
    'bound': 'An upper bound on the loss, estimated by sampling.',
}


def longest(kind: str, length: int) -> int:
  """Returns the most context a window may have for a model of `length` tokens.

  A model that predicts a token from both sides reads the window's last target
  as well.
  """
  return length - 1 if kind in ('pseudo', 'bound') else length


class Documents(Sequence):
  """The documents of a store, the first `tokens` of it if given.

  A document that the limit would cut is left out, but for the first.
  """

  def __init__(self, store: store_lib.TokenStore, tokens: int | None = None):
    self._store = store
    self._count = store.num_documents
    self._first_end = None
    if tokens is not None and store.num_tokens > tokens:
      self._count = max(
          1, int(np.searchsorted(store.offsets, tokens, side='right')) - 1)
      self._first_end = tokens

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, index: int) -> np.ndarray:
    if not 0 <= index < self._count:
      raise IndexError(index)
    document = self._store.document(index)
    return document[:self._first_end] if index == 0 else document

  def __iter__(self) -> Iterator[np.ndarray]:
    return (self[i] for i in range(self._count))

  def size(self, tokenizer: tokenizer_lib.Tokenizer) -> report.TextSize:
    """Returns the size of the documents' text, of a cut one's part."""
    stored = report.TextSize(
        int(self._store.text_bytes[:self._count].sum()),
        int(self._store.words[:self._count].sum()))
    if self._first_end is None or (
        len(self._store.document(0)) <= self._first_end):
      return stored
    return report.TextSize.of(tokenizer.decode(ids) for ids in self)


def reports(
    score: likelihood.Score | None,
    store: store_lib.TokenStore,
    tokenizer: tokenizer_lib.Tokenizer,
    *,
    context: int,
    stride: int,
    batch_size: int,
    name: str = 'model',
    kind: str = 'exact',
    others: Mapping[str, likelihood.Score] = types.MappingProxyType({}),
    source: Any = None,
    tokens: int | None = None,
    lay: Callable[..., Iterable[likelihood.Batch]] | None = None,
    train: store_lib.TokenStore | None = None,
    parameters_hash: str | None = None,
) -> list[report.Report]:
  """Scores all of a split with `score`, and with the baselines.

  Args:
    score: See `likelihood.evaluate`; None where a model has no likelihood,
      which leaves the others.
    store: The split.
    tokenizer: What made its tokens.
    context: The most tokens a prediction sees.
    stride: How far the window moves over long documents.
    batch_size: Rows scored at a time.
    name: What to call `score`.
    kind: What likelihood it is, of `KINDS`.
    others: Further scores by name, to stand beside it; of plain windows, or
      tables, which know the text.
    source: Where the text is from: the best score that a synthetic language
      admits stands beside the model, with what the model has in excess.
    tokens: About how many tokens to score, from the first on; None: all.
    lay: How documents become batches for `score`: see `likelihood.evaluate`.
    train: The training split, on which the unigram and bigram are counted;
      None leaves them out.
    parameters_hash: Of the model, for its report.

  Returns:
    A report for `score`, for the others, then for uniform, unigram and bigram.
  """
  documents = Documents(store, tokens)
  size = documents.size(tokenizer)
  vocab_size = tokenizer.vocab_size
  title = name if kind == 'exact' else f'{name} ({kind})'
  scores, counts = {} if score is None else {title: score}, None
  if isinstance(source, language.Language):
    others = {**others, 'optimum': source.optimal_score(tokenizer)}
  scores |= {**others, 'uniform': baselines.Uniform(vocab_size)}
  if train is not None:
    counted = Documents(train)
    counts = np.bincount(train.tokens, minlength=vocab_size)
    scores['unigram'] = baselines.Unigram.fit(
        counted, vocab_size, bos=tokenizer.bos_id is not None)
    scores['bigram'] = baselines.Bigram.fit(counted, vocab_size)
  found = [
      likelihood.evaluate(
          each, documents, vocab_size=vocab_size, context=context,
          stride=stride, batch_size=batch_size, bos_id=tokenizer.bos_id,
          name=title, text=size, counts=counts, rule=tokenizer.describe(),
          tokenizer_hash=tokenizer.digest,
          lay=lay if each is score else None,
          parameters_hash=parameters_hash if each is score else None)
      for title, each in scores.items()]
  notes = [KINDS[kind]] if KINDS[kind] else []
  if documents.size(tokenizer).bytes < int(store.text_bytes.sum()):
    notes.append(f'The split has {store.num_tokens:,} tokens; the first '
                 'documents stand for it.')
  best = [each.nats_per_token for each in found if each.name == 'optimum']
  if best and score is not None:
    excess = found[0].nats_per_token - best[0]
    notes.append(f'In excess of the optimum: {excess:.4f} nats a token, '
                 f'{excess / best[0]:.2%} of it.')
  found[0] = dataclasses.replace(
      found[0], notes=found[0].notes + tuple(notes))
  return found
