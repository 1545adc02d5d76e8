"""States of dialogues: their text, and how they are scored."""
import pytest

from lmjax.evaluation.downstream.written import states


def test_a_state_is_read_back_from_its_text_in_any_order():
  state = {'food': 'thai', 'area': 'the  north', 'price': ' '}
  assert states.text(state) == 'area = the north; food = thai'
  want = {'area': 'the north', 'food': 'thai'}
  assert states.read(states.text(state)) == want
  assert states.read('Food=Thai;area =the north => It is = far; a = b') == want
  assert states.read(states.text({})) == states.read('') == {}


@pytest.mark.parametrize('state', [{'a=b': 'c'}, {'a': 'b; c'}])
def test_marks_within_a_slot_are_refused(state):
  with pytest.raises(ValueError, match='separate slots'):
    states.text(state)


def test_what_is_no_pair_is_left_out():
  assert states.read('food thai; = x; area =; day = friday') == {
      'day': 'friday'}


def test_scores_by_hand():
  found = states.scores(
      ['a = 1; b = 2', 'a = 1', 'nothing', 'b = 1 => a = 2'],
      ['b = 2; a = 1', 'a = 2; b = 1', 'nothing', 'b = 1 => a = 3'])
  assert found['joint_goal'].value == 75
  assert found['slot_f1'].value == pytest.approx(100 * 2 * 3 / (4 + 3 + 0 + 2))
  assert states.scores(['x'], ['nothing'])['slot_f1'].value is None
