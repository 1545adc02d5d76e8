import types

import numpy as np
import pytest

from lmjax.interop.audit import begins

TEXTS = [np.arange(10, 60), np.arange(3), np.arange(70, 99)]


@pytest.mark.parametrize('bos, first, eos, found', [
    (1, 1, 2, [('None', None)]), (None, 1, 2, [('1', 1)]), (None, 2, 2, []),
    (None, None, None, [])])
def test_a_text_begins_with_the_bos_that_a_tokenizer_has_or_without(
    bos, first, eos, found):
  assert found == list(begins.others(types.SimpleNamespace(
      bos_id=bos, first_id=first, eos_id=eos)))


def test_both_readings_predict_the_same_tokens_from_the_same_text():
  found = {}
  for first in (None, 1):
    batches = list(begins.rows(TEXTS, first))
    assert len(batches) == 2  # One text is too short.
    found[first] = [
        (row['places'][0, at], row['targets'][0, at],
         [each for each in row['inputs'][0, :at + 1] if each != 1])
        for row in batches for at in np.flatnonzero(row['weights'][0])]
  assert found[None] == found[1] and len(found[1]) == 2 * 15
  assert found[1][0] == (1, 11, [10]) and found[1][15] == (65, 71, [70])
