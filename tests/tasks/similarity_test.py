"""Scores are a line through cosines."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import similarity

BYTES = symbols.Bytes().build()


def task(tmp_path, second=('1',)):
  (tmp_path / 'pairs.csv').write_text('a,b,1\nc,d,5\ne,f,3\n')
  reader = delimited.Delimited(
      (str(tmp_path / 'pairs.csv'),), text=('0',), second=second, label='2',
      header=False)
  return similarity.Similarity(
      labelled.Labelled(reader, reader, reader, drop_shared=False),
      rows_lib.Features(lengths=(8,), batch_size=2))


def test_cosines_of_0_and_1_are_the_lowest_and_highest_label(tmp_path):
  value = task(tmp_path)
  splits = value.read()
  assert splits.scale == (1.0, 4.0)
  rows = value.rows(splits.test, splits, BYTES)
  assert rows.by_row['labels'].tolist() == [0.0, 1.0, 0.5]
  cosines = [np.float32(0.25), np.float32(1.0), np.float32(0.5)]
  answers = list(value.answers(cosines, splits.test, rows, splits))
  assert answers[0] == {'text': 'a', 'second': 'b', 'label': 1.0,
                        'predicted': 2.0, 'cosine': 0.25}
  result = value.judge(cosines, splits.test, rows, splits)
  assert result.metrics['mse'].value == pytest.approx(1 / 3)
  assert result.metrics['loss'].value == pytest.approx(0.25**2 / 3)
  assert result.metrics['spearman'].value == pytest.approx(1.0)


def test_single_texts_are_refused(tmp_path):
  with pytest.raises(errors.InputError, match='source.train.second='):
    task(tmp_path, second=()).read()
