"""Pairs that belong together, with hard negatives."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import matched


def source(path, **options):
  reader = delimited.Delimited(
      (str(path),), text=('q',), second=('a',), label=None)
  return matched.Matched(reader, reader, reader, drop_shared=False, **options)


def test_pairs_without_labels_are_read(tmp_path):
  (tmp_path / 'pairs.csv').write_text('q,a\n who? , me \nwhy?,so\n')
  splits = source(tmp_path / 'pairs.csv').read()
  assert [e.texts for e in splits.train] == [('who?', 'me'), ('why?', 'so')]
  assert {e.label for e in splits.train} == {None} and splits.texts == 2


def test_labels_are_hard_negatives_on_request():
  reader = in_memory.InMemory((('q', 'n'),))
  with pytest.raises(errors.InputError, match='source.train.second='):
    matched.Matched(reader, reader, reader, negatives=True).read()


@pytest.mark.parametrize('row, what', [
    (',me,no', 'the text is empty'), ('who?,,no', 'the second text is empty'),
    ('who?,me,', 'negative .column label. is empty')])
def test_empty_texts_are_refused(tmp_path, row, what):
  (tmp_path / 'p.csv').write_text(f'q,a,n\n{row}\n')
  reader = delimited.Delimited(
      (str(tmp_path / 'p.csv'),), text=('q',), second=('a',), label='n')
  with pytest.raises(errors.InputError, match=what):
    matched.Matched(reader, reader, reader, negatives=True).read()
