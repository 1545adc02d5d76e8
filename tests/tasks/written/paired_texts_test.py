"""Splits of pairs share no source."""
import pytest

from lmjax.core import errors
from lmjax.tasks.written import line_pairs
from lmjax.tasks.written import memory_pairs
from lmjax.tasks.written import paired_texts


def test_training_pairs_whose_source_is_tested_are_dropped():
  splits = paired_texts.PairedTexts(
      memory_pairs.MemoryPairs((('a', 'x'), ('b', 'y'), ('c', 'z'))),
      memory_pairs.MemoryPairs((('a', 'other'),)),
      memory_pairs.MemoryPairs((('d', 'w'),))).read()
  assert [pair.source for pair in splits.train] == ['b', 'c']
  assert '1 training examples whose text is also' in splits.notes[0]
  assert splits.texts == 1 and splits.labels == ()


def test_an_empty_split_is_refused(tmp_path):
  (tmp_path / 'blank').write_text('\n')
  blank = line_pairs.LinePairs(*[(str(tmp_path / 'blank'),)] * 2)
  with pytest.raises(errors.InputError, match='The test split, .* has no pair'):
    paired_texts.PairedTexts(
        memory_pairs.MemoryPairs((('a', 'b'),)), blank).read()
