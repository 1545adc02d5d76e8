"""The ids around texts."""
import numpy as np
import pytest

from lmjax.data.tokenizers import frames

BERT = frames.Frame.of([1], [2], [2], texts=2)


def test_a_row_has_the_ids_and_types_of_its_frame():
  ids, types, spans = BERT.around([np.array([7, 8]), np.array([9])])
  assert ids.tolist() == [1, 7, 8, 2, 9, 2]
  assert types.tolist() == [0, 0, 0, 0, 1, 1]
  assert spans == [(1, 3), (4, 5)]
  assert BERT.size(2) == 3 and BERT.size(1) == 2


def test_a_row_of_one_text_has_nothing_between():
  ids, types, spans = BERT.around([np.array([7, 8])])
  assert ids.tolist() == [1, 7, 8, 2] and spans == [(1, 3)]
  assert types.tolist() == [0, 0, 0, 1]


def test_an_empty_text_keeps_its_place():
  ids, types, spans = frames.Frame().around([np.array([], np.uint16)])
  assert ids.tolist() == types.tolist() == [] and spans == [(0, 0)]
  assert ids.dtype == np.int32


@pytest.mark.parametrize('frame, texts', [
    (BERT, 2), (frames.Frame.of([1], [], [None, 2], texts=1), 1),
    (frames.Frame((), (3, 3), (4,), ((), (0, 0), (0,)), (0, 0)), 2),
    (frames.Frame((), (3,), (3, 4), ((), (0,), (1, 2))), 2)])
def test_a_frame_is_found_in_a_row_that_it_laid_out(frame, texts):
  ids, types, spans = frame.around([np.array([8])] * texts)
  owners = [None] * len(ids)
  for number, (start, _) in enumerate(spans):
    owners[start] = number
  found = frames.Frame.parsed(ids.tolist(), types.tolist(), owners)
  assert found.ids == frame.ids and found.types == frame.types
  if texts == 2:
    assert found == frame


def test_every_id_needs_a_type():
  with pytest.raises(ValueError, match='a type for each'):
    frames.Frame(before=(1,))
