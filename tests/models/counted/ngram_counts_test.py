"""Counts against a dict of tuples."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import ngram_counts
from tests.reference import ngram as reference

_VOCAB, _BOS = 7, 1
_DOCUMENTS = [(1, 2, 3, 2, 3, 6), (1, 2, 3, 6), (1,), (1, 4, 4, 4, 4, 6)]


def _as_tuples(counts, values):
  """Returns {n-gram tuple: value} of those counted."""
  out, grams = {}, [()]
  for level, value in zip(counts.levels, values):
    if level is counts.levels[0]:
      grams = [(token,) for token in level.keys.tolist()]
    else:
      grams = [(*grams[key // counts.radix], key % counts.radix)
               for key in level.keys.tolist()]
    out |= {gram: int(v) for gram, v in zip(grams, value) if v}
  return out


@pytest.mark.parametrize('order', range(1, 7))
def test_counts_are_those_of_a_dict(order):
  counts = ngram_counts.count(_DOCUMENTS, order, _VOCAB, _BOS)
  assert _as_tuples(counts, [level.counts for level in counts.levels]
                    ) == reference.raw_counts(_DOCUMENTS, order)
  assert _as_tuples(counts, counts.adjusted) == reference.kneser_ney_counts(
      _DOCUMENTS, order, _BOS)


def test_suffixes_drop_the_first_token():
  counts = ngram_counts.count(_DOCUMENTS, 4, _VOCAB, _BOS)
  grams = [[(t,) for t in range(counts.radix)]]
  for level in counts.levels[1:]:
    grams.append([(*grams[-1][key // counts.radix], key % counts.radix)
                  for key in level.keys.tolist()])
  for level, shorter, longer in zip(counts.levels[1:], grams, grams[1:]):
    assert [shorter[i] for i in level.suffix] == [g[1:] for g in longer]
    assert level.initial.tolist() == [g[0] == _BOS for g in longer]


def test_documents_without_bos_get_an_implicit_one():
  counts = ngram_counts.count([d[1:] for d in _DOCUMENTS], 3, _VOCAB, None)
  imagined = [(_VOCAB, *d[1:]) for d in _DOCUMENTS if d[1:]]
  assert _as_tuples(counts, [level.counts for level in counts.levels]
                    ) == reference.raw_counts(imagined, 3)
  assert counts.choices == _VOCAB


@pytest.mark.parametrize('kwargs, told', [
    ({'order': 0}, 'order should be from 1'),
    ({'order': 7}, 'to 6; got 7'),
    ({'documents': [(1, 9)]}, 'token id 9, but the vocabulary has 7'),
    ({'documents': [(1, -1)]}, 'token id -1'),
    ({'documents': [(1,), ()]}, 'none beyond BOS'),
    ({'documents': []}, 'at least one token'),
    ({'documents': [(2, 3)]}, 'should begin with BOS'),
    ({'documents': [(1, 2, 1)]}, 'hold it once'),
])
def test_what_cannot_be_counted_is_refused(kwargs, told):
  with pytest.raises(errors.InputError, match=told):
    ngram_counts.count(**{'documents': _DOCUMENTS, 'order': 2,
                          'vocab_size': _VOCAB, 'bos_id': _BOS} | kwargs)


@pytest.mark.parametrize('wrong', [np.nan, -1.0, np.inf])
def test_impossible_counts_are_refused(wrong):
  level = ngram_counts.count(_DOCUMENTS, 1, _VOCAB, _BOS).levels[0]
  values = level.counts.astype(float)
  values[3] = wrong
  with pytest.raises(errors.InputError, match='order 1 should be numbers >= 0'):
    ngram_counts.Counts(_VOCAB, _BOS, (ngram_counts.Level(
        level.keys, values, level.suffix, level.initial),))
