"""ARPA files: saving, loading, KenLM, and files that are refused."""
import gzip

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import arpa
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_katz
from lmjax.models.counted import ngram_smoothing

_VOCAB, _BOS, _EOS = 12, 0, 11


def _documents(seed=0, count=60):
  rng = np.random.default_rng(seed)
  p = np.random.default_rng(9).dirichlet(np.full(9, 0.5))
  return [np.array([_BOS, *(1 + rng.choice(9, rng.integers(1, 9), p=p)), _EOS])
          for _ in range(count)]


def _fit(smoothing=ngram_smoothing.ModifiedKneserNey(), order=3, bos=True):
  documents = [d if bos else d[1:] for d in _documents()]
  return ngram.NgramConfig(order, smoothing).fit(
      documents, _VOCAB, _BOS if bos else None)


@pytest.mark.parametrize('order', [2, 3, 5])
@pytest.mark.parametrize('smoothing', [
    ngram_smoothing.ModifiedKneserNey(), ngram_smoothing.WittenBell(),
    ngram_katz.Katz()], ids=lambda s: type(s).__name__)
def test_kenlm_gives_our_log_probabilities(tmp_path, smoothing, order):
  kenlm = pytest.importorskip('kenlm')
  model, path = _fit(smoothing, order), str(tmp_path / 'model.arpa')
  arpa.save(model, path, eos_id=_EOS)
  theirs = kenlm.Model(path)
  for document in _documents(seed=5, count=20):
    text = ' '.join(map(str, document[1:-1]))
    expected = [p for p, *_ in theirs.full_scores(text)]
    ones = np.ones(len(document) - 1, int)
    nll_BT, _ = model({
        'inputs': document[None, :-1], 'targets': document[None, 1:],
        'positions': np.arange(len(ones))[None], 'segments': ones[None]})
    np.testing.assert_allclose(-nll_BT[0] / np.log(10), expected, atol=1e-5)


@pytest.mark.parametrize('bos', [True, False])
@pytest.mark.parametrize('order', [1, 3])
def test_load_reads_what_save_wrote(tmp_path, order, bos):
  model, path = _fit(order=order, bos=bos), tmp_path / 'model.arpa'
  words = [f'w{i}' for i in range(_VOCAB)]
  if bos:
    words[_BOS] = arpa.BOS
  arpa.save(model, path, words)
  loaded = arpa.load(path, words)
  assert loaded.bos_id == model.bos_id and loaded.order == order
  for context in ([], [3], [_EOS, 2], [1, 2, 1]):
    np.testing.assert_allclose(
        loaded.distribution(context), model.distribution(context), rtol=1e-7)
  own = arpa.load(path)  # With the file's own words for a vocabulary.
  np.testing.assert_allclose(own.distribution([3]), loaded.distribution([3]))


def test_a_file_by_hand(tmp_path):
  path = tmp_path / 'hand.arpa'
  path.write_text('\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n'
                  '-99\t<s>\t-0.5\n-0.25\tb\n-0.75\ta\t-0.125\n\n'
                  '\\2-grams:\n-1.5\t<s> a\n\n\\end\\\n')
  model = arpa.load(path, ['a', 'b', '<s>'])
  found = np.log10(model.distribution([2])[:2])
  np.testing.assert_allclose(found, [-1.5, -0.5 - 0.25])
  assert model.distribution([0])[2] == 0


@pytest.mark.parametrize('old, new, told', [
    ('\\end\\', '', 'no whole ARPA file'),
    ('ngram 2=1', 'ngram 2=2', 'announces 2 2-grams and has 1'),
    ('-1.5', 'x', 'bad.arpa:11: a 2-gram without numbers'),
    ('<s> a', '<s> c', "bad.arpa:11: 2-grams with 'c'"),
    ('<s> a', 'c a', "2-grams with 'c'"),
    ('-0.25\tb', '-0.25\ta', "bad.arpa:8: a 1-gram that is given twice: 'a'"),
    ('ngram 2=1\n', 'ngram 3=1\n', 'bad.arpa:3: should be "ngram 2="'),
    ('\\2-grams', '\\3-grams', 'bad.arpa:10: .* should be the 2-grams'),
    ('-1.5', '1.5', 'bad.arpa:11: .* above 0'),
    ('<s> a', 'a', 'bad.arpa:11: .* another number of words'),
])
def test_damaged_files_are_refused(tmp_path, old, new, told):
  path = tmp_path / 'bad.arpa'
  text = ('\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t-0.5\n'
          '-0.25\tb\n-0.75\ta\n\n\\2-grams:\n-1.5\t<s> a\n\n\\end\\\n')
  assert old in text
  path.write_text(text.replace(old, new))
  with pytest.raises(errors.InputError, match=told):
    arpa.load(path)


def test_files_of_other_tools_are_read(tmp_path):
  lines = ['\ufeffSRILM wrote this.', '', '\\data\\', 'ngram  1 = 2',
           'ngram 2=1', '', '\\1-grams:', '-0.5 a\u00a0b -0.25', '',
           '-0.25\tc\u3000', '\\2-grams:', '-1 a\u00a0b   c\u3000', '\\end\\',
           'and more']
  for name in 'x.arpa', 'x.arpa.gz':
    raw = '\r\n'.join(lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if 'gz' in name else raw)
    assert arpa.vocabulary(tmp_path / name) == ['a\u00a0b', 'c\u3000']
    found = arpa.load(tmp_path / name).distribution([0])
    np.testing.assert_allclose(np.log10(found), [-0.75, -1])


def test_a_file_written_again_is_the_same(tmp_path):
  model = _fit()
  words = arpa.default_words(_VOCAB, _BOS, _EOS)
  for name in 'a', 'b.gz', 'c', 'd.gz':
    arpa.save(model, tmp_path / name, words)
    model = arpa.load(tmp_path / name, words)
  raw = [(tmp_path / name).read_bytes() for name in ('a', 'b.gz', 'c', 'd.gz')]
  assert raw[0] == raw[2] == gzip.decompress(raw[1]) and raw[1] == raw[3]


@pytest.mark.parametrize('words, told', [
    (['a'] * _VOCAB, '1 of them distinct'),
    ([arpa.BOS] + ['a b', *map(str, range(10))], "no whitespace; got 'a b'"),
    (list(map(str, range(_VOCAB))), "BOS .id 0. should be '<s>'"),
])
def test_ambiguous_words_are_refused(tmp_path, words, told):
  with pytest.raises(errors.InputError, match=told):
    arpa.save(_fit(), tmp_path / 'model.arpa', words)


@pytest.mark.parametrize('smoothing', [
    ngram_smoothing.AddK(), ngram_smoothing.StupidBackoff()])
def test_a_model_without_backoff_is_refused(tmp_path, smoothing):
  with pytest.raises(errors.InputError, match='holds back-off models'):
    arpa.save(_fit(smoothing), tmp_path / 'model.arpa')
