"""A held-out split under one evaluator: a model beside what it should beat."""
from collections.abc import Iterator, Sequence

import numpy as np

from lmjax.data import store as store_lib
from lmjax.data import tokenizer as tokenizer_lib
from lmjax.evaluation import baselines
from lmjax.evaluation import likelihood
from lmjax.evaluation import report


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


def reports(
    score: likelihood.Score,
    store: store_lib.TokenStore,
    tokenizer: tokenizer_lib.Tokenizer,
    *,
    context: int,
    stride: int,
    batch_size: int,
    name: str = 'model',
    train: store_lib.TokenStore | None = None,
    parameters_hash: str | None = None,
) -> list[report.Report]:
  """Scores all of a split with `score`, and with the baselines.

  Args:
    score: See `likelihood.evaluate`.
    store: The split.
    tokenizer: What made its tokens.
    context: The most tokens a prediction sees.
    stride: How far the window moves over long documents.
    batch_size: Rows scored at a time.
    name: What to call `score`.
    train: The training split, on which the unigram and bigram are counted;
      None leaves them out.
    parameters_hash: Of the model, for its report.

  Returns:
    A report for `score`, then for uniform, unigram and bigram.
  """
  documents = Documents(store)
  size = report.TextSize(int(store.text_bytes.sum()), int(store.words.sum()))
  vocab_size = tokenizer.vocab_size
  scores, counts = {name: score, 'uniform': baselines.Uniform(vocab_size)}, None
  if train is not None:
    counted = Documents(train)
    counts = np.bincount(train.tokens, minlength=vocab_size)
    scores['unigram'] = baselines.Unigram.fit(
        counted, vocab_size, bos=tokenizer.bos_id is not None)
    scores['bigram'] = baselines.Bigram.fit(counted, vocab_size)
  return [
      likelihood.evaluate(
          each, documents, vocab_size=vocab_size, context=context,
          stride=stride, batch_size=batch_size, bos_id=tokenizer.bos_id,
          name=title, text=size, counts=counts, rule=tokenizer.describe(),
          tokenizer_hash=tokenizer.digest,
          parameters_hash=parameters_hash if each is score else None)
      for title, each in scores.items()]
