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


def test_the_ends_of_a_few_documents_are_held_out():
  text = '\n'.join(f'line {i} is one of many' for i in range(2000))
  split = splits.HashSplit(valid=0.05, test=0.05)
  for texts in (text,), (text, text[::-1]):
    parts = _parts(split, texts)
    assert [''.join(each) for each in zip(*parts.values())] == list(texts)
    for name, share in ('train', 0.9), ('valid', 0.05), ('test', 0.05):
      for part, whole in zip(parts[name], texts, strict=True):
        assert abs(len(part) / len(whole) - share) < 0.001
  assert all(part[0].startswith('line ') for part in _parts(
      split, (text,)).values())


def test_few_documents_are_told_and_many_are_not():
  def notes(texts, **shares):
    return splits.HashSplit(**shares).select(
        sources.InMemory(texts), 'train').notes()
  assert notes(TEXTS) == ()
  assert notes(TEXTS[:1]) == (
      '1 document cannot be split by document, so the last 10% of it is held '
      'out.',)
  told, = notes(TEXTS[:2], valid=0.02, test=0)
  assert told.startswith('2 documents cannot') and 'last 2% of each' in told
  assert notes(TEXTS[:1], valid=0, test=0) == ()


@pytest.mark.parametrize('text, want', [
    ('x' * 1000, 900), ('x ' * 500, 900), ('x' * 897 + ' ' + 'x' * 102, 898),
    ('x' * 891 + '\n' + 'x ' * 54, 892), ('x' * 800 + '\n' + 'x' * 199, 900),
    ('\u6f22' * 1000, 900), ('x' * 10**6, 9 * 10**5), ('xy', 1), ('x', 0)])
def test_a_cut_moves_back_to_a_line_or_a_word_that_is_near(text, want):
  split = splits.EndSplit(valid=0.1)
  train, valid = (split.part_of(text, name) for name in ('train', 'valid'))
  assert train + valid == text and len(train) == want


def test_the_end_of_a_blank_document_is_refused():
  part = splits.HashSplit(valid=0.05).select(
      sources.InMemory(('x' + ' ' * 999,)), 'valid')
  with pytest.raises(errors.InputError, match=(
      'too short: its valid part.*Give more text.*--config.data.split.valid')):
    list(part.documents())


def test_separate_sources_are_taken_whole():
  valid = sources.InMemory(('v',))
  split = splits.Separate(valid_source=valid)
  train = sources.InMemory(('t',))
  assert [split.select(train, name) for name in splits.NAMES] == [
      train, valid, None]


@pytest.mark.parametrize('kind', [
    splits.HashSplit, splits.PositionSplit, splits.EndSplit])
@pytest.mark.parametrize('fractions, message', [
    ((1.0, 0.0), 'valid should be at least 0 and below 1'),
    ((0.6, 0.4), 'leave some text for training'),
    ((-0.1, 0.2), 'valid should be at least 0 and below 1')])
def test_fractions_that_leave_nothing_are_refused(kind, fractions, message):
  with pytest.raises(errors.InputError, match=message):
    kind(*fractions)


def test_splits_have_different_fingerprints():
  source = sources.InMemory(TEXTS[:300])
  seen = [str(split.select(source, name).fingerprint())
          for split in (splits.HashSplit(), splits.HashSplit(valid=0.1),
                        splits.PositionSplit(0.1, 0.1),
                        splits.EndSplit(0.1, 0.1))
          for name in splits.NAMES]
  assert len(set(seen)) == 12
