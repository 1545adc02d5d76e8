"""Losses of documents are kept exactly, and a damaged file is refused."""
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import facts
from lmjax.evaluation import by_document

SCORES = by_document.Scores(
    np.array([1 / 3, 0.0, math.inf]), np.array([4, 0, 2]),
    facts.Texts.of(['ab c', '', ' ü\n']))


def test_scores_are_read_back_as_they_were(tmp_path):
  by_document.write(tmp_path / 'x', SCORES)
  found = by_document.read(tmp_path / 'x')
  assert len(found) == 3
  assert found.nats[:2].tolist() == SCORES.nats[:2].tolist()
  assert math.isnan(found.nats[2])  # JSON has no infinity.
  for name in vars(SCORES.texts):
    assert getattr(found.texts, name).tolist() == getattr(
        SCORES.texts, name).tolist()
    assert getattr(found.texts, name).dtype == np.int64
  assert found.tokens.tolist() == [4, 0, 2]


@pytest.mark.parametrize('old, new, message', [
    ('"document": 1', '"document": 2', 'line 2: it should be document 1'),
    ('"tokens": 4', '"tokens": -4', 'line 1: tokens is -4'),
    ('"words": 1, "unspaced": 0}\n', '', 'line 3'),
    ('"bytes": 4, ', '', "line 1: 'bytes'"),
])
def test_a_damaged_file_is_refused_with_its_line(tmp_path, old, new, message):
  path = tmp_path / 'x'
  by_document.write(path, SCORES)
  path.write_text(path.read_text().replace(old, new))
  with pytest.raises(errors.InputError, match=message):
    by_document.read(path)
