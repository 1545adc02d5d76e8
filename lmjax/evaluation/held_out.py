"""Scores a model and its baselines on a held-out split, by one evaluator."""
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import types
from typing import Any

import numpy as np

from lmjax.data.synthetic import language
from lmjax.data import facts
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import baselines
from lmjax.evaluation import likelihood
from lmjax.evaluation import report
from lmjax.evaluation import windows


KINDS = {  # Kinds of likelihood, each with a note that the report shows.
    'exact': '',
    'none': 'The objective defines no likelihood, so the table has baselines '
            'only; the value of the objective is in report.json, "held_out".',
    'pseudo': 'Pseudo-likelihood: each token is predicted from all others of '
              'its window, later ones too; it does not bound the likelihoods '
              'in the other rows.',
    'span pseudo': 'Span pseudo-likelihood: each span is predicted from the '
                   'text around it, later text too, as in training, and every '
                   'token is in one span; sentinels are not counted. Compare '
                   'it with models that fill in such spans, and not with exact '
                   'likelihoods such as those in the other rows.',
    'conditional': 'Conditional likelihood: an encoder reads the context of a '
                   'window, a decoder predicts the rest.',
    'permutation': 'Likelihood under random orders of factorisation, averaged.',
    'bound': 'An upper bound on the loss, estimated by sampling.',
}


def longest(kind: str, length: int) -> int:
  """Returns the largest window of a model that reads `length` tokens.

  A model that predicts a token from both sides also reads the window's last
  target.

  Args:
    kind: Kind of likelihood, a key of `KINDS`.
    length: Most tokens that the model reads.
  """
  return length - 1 if kind in ('pseudo', 'bound') else length


class Documents(Sequence):
  """The documents of a store, or those in its first `tokens` tokens.

  A document that exceeds the limit is left out, except the first document,
  which is cut.
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

  def texts(self, tokenizer: tokenizer_lib.Tokenizer) -> facts.Texts:
    """Returns facts about the original texts, without the part cut off."""
    if self._first_end is None or (
        len(self._store.document(0)) <= self._first_end):
      return self._store.texts.first(self._count)
    return facts.Texts.of(tokenizer.decode(ids) for ids in self)


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
    lay: windows.Lay | None = None,
    train: store_lib.TokenStore | None = None,
    parameters_hash: str | None = None,
) -> list[report.Report]:
  """Scores a split with `score`, with other scores and with the baselines.

  Args:
    score: See `likelihood.evaluate`; None for a model without a likelihood.
    store: The split.
    tokenizer: The tokenizer of the split.
    context: Most tokens that a prediction sees.
    stride: Tokens by which the window moves over long documents.
    batch_size: Rows scored at a time.
    name: Name of `score` in its report.
    kind: Its kind of likelihood, a key of `KINDS`.
    others: Further scores by name, of plain windows, or tables of the same
      documents.
    source: The source of the text; for a synthetic language, the best possible
      score is reported too, and by how much the model exceeds it.
    tokens: About how many tokens to score, from the first; None scores all.
    lay: Lays documents out for `score`; see `likelihood.evaluate`.
    train: The training split, whose tokens the unigram and bigram count; None
      leaves them out.
    parameters_hash: Hash of the model's parameters, for its report.

  Returns:
    Reports of `score`, of the others, then of uniform, unigram and bigram.
  """
  documents = Documents(store, tokens)
  texts = documents.texts(tokenizer)
  vocab_size = tokenizer.vocab_size
  title = name if kind == 'exact' else f'{name} ({kind})'
  scores, counts = {} if score is None else {title: score}, None
  if isinstance(source, language.Language):
    others = {**others, 'optimum': source.optimal_score(tokenizer)}
  scores |= {**others, 'uniform': baselines.Uniform(vocab_size)}
  if train is not None:
    counted = Documents(train)
    counts = baselines.Unigram.fit(counted, vocab_size, bos=False).counts
    scores['unigram'] = baselines.Unigram.fit(
        counted, vocab_size, bos=tokenizer.bos_id is not None)
    scores['bigram'] = baselines.Bigram.fit(counted, vocab_size)
  found = [
      likelihood.evaluate(
          each, documents, vocab_size=vocab_size, context=context,
          stride=stride, batch_size=batch_size, bos_id=tokenizer.bos_id,
          name=title, texts=texts, counts=counts, rule=tokenizer.describe(),
          tokenizer_hash=tokenizer.digest,
          lay=lay if each is score else None,
          parameters_hash=parameters_hash if each is score else None)
      for title, each in scores.items()]
  notes = [KINDS[kind]] if KINDS[kind] else []
  notes += store.meta['notes']
  if int(texts.bytes.sum()) < int(store.texts.bytes.sum()):
    notes.append(f'The split has {store.num_tokens:,} tokens; only the first '
                 'documents were scored.')
  best = [each.nats_per_token for each in found if each.name == 'optimum']
  if best and score is not None:
    excess = found[0].nats_per_token - best[0]
    notes.append(f'In excess of the optimum: {excess:.4f} nats per token, '
                 f'{excess / best[0]:.2%} of it.')
  found[0] = dataclasses.replace(
      found[0], notes=found[0].notes + tuple(notes))
  return found
