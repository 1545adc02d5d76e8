"""The words of a question: fields of its line, letters, and no content."""
import pytest

from lmjax.core import errors
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import wording

ROW = {'query': 'Why?', 'choices': ['x', 'y', 'z'], 'gold': 2, 'year': 1999}
ITEM = questions.Item(('Why?',) * 3, ('x', 'y', 'z'), 2, 'f:1', ROW)
LISTED = 'A. x\nB. y\nC. z'


def _asked(item=ITEM, **given):
  form, = wording.Template(**given).forms(item)
  return form.asked.contexts[0], form.asked.continuations


def test_a_template_is_filled_with_the_fields_of_a_line():
  assert _asked() == ('Why?', ('x', 'y', 'z'))
  assert _asked(context='Q: {query} ({year}) {{}}\\nA:')[0] == (
      'Q: Why? (1999) {}\nA:')
  assert _asked(context='{context}\n{options}')[0] == 'Why?\n' + LISTED
  two = questions.Item(('A', 'B'), ('c', 'c'), 1, 'f:1', {'gold': 1})
  form, = wording.Template('So: {context}').forms(two)
  assert form.asked.contexts == ('So: A', 'So: B')
  assert form.asked.gold == 1


def test_letters_take_the_place_of_options():
  assert _asked(letters=True) == (f'Why?\n{LISTED}\nAnswer:', ('A', 'B', 'C'))
  assert _asked(context='{options}: {query}', letters=True) == (
      f'{LISTED}: Why?', ('A', 'B', 'C'))


def test_rotations_put_each_option_at_each_letter_once():
  forms = wording.Template(letters=True, rotations=True).forms(ITEM)
  assert [form.asked.continuations for form in forms] == [
      ('A', 'B', 'C'), ('B', 'C', 'A'), ('C', 'A', 'B')]
  assert forms[1].asked.contexts[0] == 'Why?\nA. z\nB. x\nC. y\nAnswer:'
  assert {form.asked.gold for form in forms} == {2}


def test_content_is_taken_out_of_every_field():
  def empty(contents=('N/A', ''), **given):
    form, = wording.Template(**given).forms(ITEM, contents)
    return [(one.contexts[0], one.continuations) for one in form.empty]
  assert empty() == [('N/A', ITEM.continuations), ('', ITEM.continuations)]
  assert empty(context='Q: {query} ({year})\nA:')[0][0] == 'Q: N/A (N/A)\nA:'
  assert empty(('-',), letters=True) == [
      ('-\nA. -\nB. -\nC. -\nAnswer:', ('A', 'B', 'C'))]
  alone = questions.Item(('Q',), ('a',), 0, 'f:1')
  form, = wording.Template().forms(alone, ('N/A',))
  assert form.empty == ()  # There is no other option to compare with.


@pytest.mark.parametrize('given, words', [
    ({'context': '{qurey}'}, "f:1: .*{qurey}.*Did you mean 'query'"),
    ({'context': '{choices}'}, 'should be a text.*{options} lists'),
    ({'context': '{query'}, 'brace that is alone'),
    ({'context': '}'}, 'brace that is alone'),
    ({'context': '{}'}, 'name of a field'),
    ({'context': '{query.__class__}'}, 'name of a field'),
    ({'context': '{query!r}'}, 'name of a field'),
    ({'context': '{query:9}'}, 'name of a field'),
    ({'context': '{query}', 'letters': True}, 'should have {options}'),
    ({'rotations': True}, 'letters=true')])
def test_a_template_that_does_not_fit_is_refused(given, words):
  with pytest.raises(errors.InputError, match=words):
    _asked(**given)


def test_options_without_letters_are_refused():
  for item in (questions.Item(('Q',), ('a',), 0, 'f:1'),
               questions.Item(('A', 'B'), ('c', 'c'), 0, 'f:1'),
               questions.Item(('Q',) * 27, ('c',) * 27, 0, 'f:1')):
    with pytest.raises(errors.InputError, match='needs 2 to 26 options'):
      _asked(item, letters=True)
