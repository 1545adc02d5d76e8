"""A split under one evaluator, by hand."""
import math

import numpy as np
import pytest

from lmjax.data import sources
from lmjax.data import store as store_lib
from lmjax.data import tokenizer as tokenizer_lib
from lmjax.evaluation import baselines
from lmjax.evaluation import held_out


@pytest.fixture
def tokenizer():
  return tokenizer_lib.Bytes().build()


def _store(path, tokenizer, *texts):
  return store_lib.build(path, sources.InMemory(texts), tokenizer)


def test_documents_of_a_store(tmp_path, tokenizer):
  store = _store(tmp_path / 's', tokenizer, 'abc', 'de', 'fghi')  # 5, 4, 6 ids.
  lengths = lambda *limit: [len(d) for d in held_out.Documents(store, *limit)]
  assert lengths() == [5, 4, 6]
  assert lengths(100) == lengths(15) == [5, 4, 6]
  assert lengths(14) == lengths(9) == [5, 4]
  assert lengths(8) == [5] and lengths(3) == [3]
  documents = held_out.Documents(store, 9)
  assert len(documents) == 2 and documents[1].tolist() == store.document(
      1).tolist()
  with pytest.raises(IndexError):
    documents[2]  # pylint: disable=pointless-statement


def test_reports_stand_beside_each_other(tmp_path, tokenizer):
  train = _store(tmp_path / 'train', tokenizer, 'the cat sat. ' * 20, 'the mat')
  valid = _store(tmp_path / 'valid', tokenizer, 'the cat é', 'the mat sat.')
  own = baselines.Unigram(np.arange(tokenizer.vocab_size))
  found = held_out.reports(
      own, valid, tokenizer, context=8, stride=4, batch_size=2, name='mine',
      train=train, parameters_hash='p')
  assert [r.name for r in found] == ['mine', 'uniform', 'unigram', 'bigram']
  assert [r.parameters_hash for r in found] == ['p', None, None, None]
  assert {(r.tokens, r.documents, r.bytes, r.words, r.data_hash, r.context)
          for r in found} == {(24, 2, 22, 6, found[0].data_hash, 8)}
  _, uniform, unigram, bigram = (r.nats_per_token for r in found)
  assert uniform == pytest.approx(math.log(258))
  assert uniform > unigram > bigram
  assert found[0].rule == tokenizer.describe()
  assert sum(bucket.tokens for bucket in found[0].by_frequency) == 24
  assert len(held_out.reports(
      own, valid, tokenizer, context=8, stride=4, batch_size=2)) == 2
