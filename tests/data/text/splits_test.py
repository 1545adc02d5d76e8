"""Splits: nothing lost, nothing on both sides."""
import collections

import pytest

from lmjax.core import errors
from lmjax.data.text import sources
from lmjax.data.text import splits

TEXTS = tuple(f'document number {i} ' * (i % 7 + 1) for i in range(2000))


def _parts(split, texts):
  source = sources.InMemory(texts)
  return {name: [] if part is None else list(part.documents())
          for name in splits.NAMES
          for part in [split.select(source, name)]}


def test_a_hash_split_divides_documents_by_their_text():
  split = splits.HashSplit(valid=0.2, test=0.1)
  parts = _parts(split, TEXTS)
  assert sorted(sum(parts.values(), [])) == sorted(TEXTS)
  assert abs(len(parts['valid']) - 400) < 90
  assert abs(len(parts['test']) - 200) < 70
  assert _parts(split, TEXTS[::-1])['valid'] == parts['valid'][::-1]
  doubled = _parts(split, TEXTS + TEXTS)
  assert not set(doubled['train']) & set(doubled['valid'])


def test_a_wider_split_keeps_what_was_held_out():
  narrow = _parts(splits.HashSplit(valid=0.1, test=0.1), TEXTS)
  wide = _parts(splits.HashSplit(valid=0.2, test=0.1), TEXTS)
  assert narrow['test'] == wide['test']
  assert set(narrow['valid']) < set(wide['valid'])


def test_a_position_split_cuts_at_the_character():
  text = 'abcdefghij' * 10 + 'xyz'
  parts = _parts(splits.PositionSplit(valid=0.1), (text,))
  cut = int(len(text) * 0.9)
  assert parts == {'train': [text[:cut]], 'valid': [text[cut:]], 'test': []}
  parts = _parts(splits.PositionSplit(valid=0.2, test=0.1), ('abcdefghi', 'j'))
  assert parts == {'train': ['abcdefg'], 'valid': ['hi'], 'test': ['j']}


def test_tiny_shakespeare_is_split_as_by_nanogpt(shared_data):
  source = sources.TextFiles(
      (str(shared_data / 'tinyshakespeare/input.txt'),))
  split = splits.PositionSplit(valid=0.1)
  sizes = [sum(map(len, split.select(source, name).documents()))
           for name in ('train', 'valid')]
  assert sizes == [1_003_854, 111_540]


def test_dropped_documents_and_other_splits_are_counted():
  counts = collections.Counter()
  part = splits.HashSplit(valid=0.5, test=0.0).select(
      sources.InMemory(TEXTS + ('',)), 'valid')
  found = list(part.documents(counts))
  assert counts == {
      'documents': len(found), 'empty documents dropped': 1,
      'documents of other splits': len(TEXTS) - len(found)}


def test_an_empty_split_is_refused():
  part = splits.HashSplit(valid=0.05).select(
      sources.InMemory(TEXTS[:1]), 'valid')
  with pytest.raises(errors.InputError, match='valid split .* holds no text'):
    list(part.documents())


def test_separate_sources_are_taken_whole():
  valid = sources.InMemory(('v',))
  split = splits.Separate(valid_source=valid)
  train = sources.InMemory(('t',))
  assert [split.select(train, name) for name in splits.NAMES] == [
      train, valid, None]


@pytest.mark.parametrize('kind', [splits.HashSplit, splits.PositionSplit])
@pytest.mark.parametrize('fractions', [(1.0, 0.0), (0.6, 0.4), (-0.1, 0.2)])
def test_fractions_that_leave_nothing_are_refused(kind, fractions):
  with pytest.raises(errors.InputError, match='leave some text for training'):
    kind(*fractions)


def test_splits_have_different_fingerprints():
  source = sources.InMemory(TEXTS[:9])
  seen = [str(split.select(source, name).fingerprint())
          for split in (splits.HashSplit(), splits.HashSplit(valid=0.1),
                        splits.PositionSplit(0.1, 0.1))
          for name in splits.NAMES]
  assert len(set(seen)) == 9
