"""A split under one evaluator, by hand."""
import math

import numpy as np
import pytest

from lmjax.data import facts
from lmjax.data.synthetic import chains
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import baselines
from lmjax.evaluation import carried
from lmjax.evaluation import held_out


@pytest.fixture
def tokenizer():
  return symbols.Bytes().build()


def _store(path, tokenizer, *texts):
  return store_lib.build(path, sources.InMemory(texts), tokenizer)


def test_documents_are_those_of_the_store_up_to_a_limit(tmp_path, tokenizer):
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


def test_reports_include_the_baselines(tmp_path, tokenizer):
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
  counted = baselines.Unigram.fit(
      held_out.Documents(train), tokenizer.vocab_size, bos=True)
  assert held_out.reports(
      counted, valid, tokenizer, context=8, stride=4, batch_size=2)[
          0].nats_per_token == pytest.approx(unigram)
  assert found[0].rule == tokenizer.describe()
  assert sum(bucket.tokens for bucket in found[0].by_frequency) == 24
  assert len(held_out.reports(
      own, valid, tokenizer, context=8, stride=4, batch_size=2)) == 2


def test_losses_of_documents_carry_facts_of_their_own_text(tmp_path, tokenizer):
  texts = 'the cat é', 'the mat sat.', 'x'
  store = _store(tmp_path / 's', tokenizer, *texts)
  score = baselines.Uniform(tokenizer.vocab_size)
  found = held_out.reports(
      score, store, tokenizer, context=8, stride=4, batch_size=2)[0].by_document
  assert found.tokens.tolist() == [11, 13, 2]
  assert found.nats == pytest.approx(math.log(258) * found.tokens)
  assert found.texts.words.tolist() == [3, 3, 1]
  assert found.texts.hashes.tolist() == [
      facts.of(text).hash for text in texts]
  cut = held_out.reports(score, store, tokenizer, context=8, stride=4,
                         batch_size=2, tokens=4)[0].by_document
  assert cut.tokens.tolist() == [3]  # BOS is not scored.
  assert cut.texts.hashes.tolist() == [facts.of('the').hash]
  assert cut.texts.bytes.tolist() == [3]


def test_a_synthetic_language_adds_its_optimum(tmp_path):
  source = chains.MarkovChain(order=1, symbols=3, num_documents=40)
  tokenizer = symbols.Characters().build(source.documents())
  store = store_lib.cached(source, tokenizer, tmp_path)
  uniform = baselines.Uniform(tokenizer.vocab_size)
  found = held_out.reports(
      uniform, store, tokenizer, context=32, stride=16, batch_size=4,
      source=source)
  assert [each.name for each in found[:2]] == ['model', 'optimum']
  excess = found[0].nats_per_token - found[1].nats_per_token
  assert excess > 0.1
  assert f'optimum: {excess:.4f} nats' in found[0].notes[-1]
  share = excess / found[1].nats_per_token
  assert found[0].notes[-1].endswith(f'{share:.2%} of it.')


def test_a_part_of_a_split_is_noted_and_counts_its_bytes(tmp_path):
  source = sources.InMemory(texts=('abc', 'defgh', 'ij' * 20))
  tokenizer = symbols.Bytes().build()
  store = store_lib.cached(source, tokenizer, tmp_path)
  uniform = baselines.Uniform(tokenizer.vocab_size)
  common = dict(context=16, stride=8, batch_size=4)
  found = held_out.reports(uniform, store, tokenizer, tokens=13, **common)
  assert found[0].bytes == 8 and found[0].tokens == 8 + 2  # With both EOS.
  assert 'the first documents' in found[0].notes[-1]
  cut = held_out.reports(uniform, store, tokenizer, tokens=3, **common)
  assert cut[0].bytes == 2 and cut[0].tokens == 2
  whole = held_out.reports(
      uniform, store, tokenizer, kind='pseudo', **common)
  assert whole[0].name == 'model (pseudo)' and whole[0].bytes == 48
  assert whole[0].notes[-1] == held_out.KINDS['pseudo']
  alone = held_out.reports(None, store, tokenizer, kind='none', **common)
  assert alone[0].name == 'uniform'
  assert alone[0].notes[-1] == held_out.KINDS['none']


def test_the_report_of_a_divided_text_tells_how(tmp_path, tokenizer):
  part = splits.HashSplit(valid=0.2, test=0.0).select(
      sources.InMemory(('one text',)), 'valid')
  found = held_out.reports(
      baselines.Uniform(tokenizer.vocab_size),
      store_lib.cached(part, tokenizer, tmp_path), tokenizer, context=16,
      stride=8, batch_size=4)
  assert found[0].notes == (part.note,) and 'the last 20% of it' in part.note


def test_only_the_score_is_given_its_own_layout(tmp_path, tokenizer):
  store = _store(tmp_path / 's', tokenizer, 'the cat sat.', 'the mat.')
  seen = {'own': [], 'other': []}
  def spy(name):
    def score(batch):
      seen[name].append(batch['inputs'].shape)
      return np.ones(batch['inputs'].shape), np.ones(batch['inputs'].shape, bool)
    return score
  held_out.reports(
      spy('own'), store, tokenizer, context=8, stride=8, batch_size=2,
      lay=carried.Windows(8), others={'other': spy('other')})
  assert set(seen['own']) == {(1, 8)} and set(seen['other']) == {(2, 8)}


@pytest.mark.parametrize('kind, length', [
    ('exact', 8), ('conditional', 8), ('pseudo', 7), ('bound', 7)])
def test_a_window_leaves_room_for_its_last_target(kind, length):
  assert held_out.longest(kind, 8) == length
