"""HellaSwag as the harness words it."""
import pytest

from lmjax.evaluation.choice import hellaswag

ROWS = [
    {'activity_label': 'Home and Garden', 'label': '2', 'ctx_b': '',
     'ctx_a': '[header] How to sew [title] Get a needle. [step] Look  for it.',
     'endings': ['[substeps] Use  it.', 'It is  [title] here. ', 'No.', 'So.']},
    {'activity_label': 'Juggling', 'label': 1, 'ctx_b': 'a man named BOB',
     'ctx_a': ' Two men juggle.', 'endings': ['runs.', 'stays.']}]


def test_marks_are_removed_and_parts_are_joined():
  first, second = map(hellaswag.question, ROWS)
  assert first['query'] == (
      'Home and Garden: How to sew. Get a needle. Look for it.')
  assert first['choices'] == [' Use it.', 'It is . here.', 'No.', 'So.']
  assert (first['gold'], second['gold']) == (2, 1)
  assert second['query'] == 'Juggling: Two men juggle. A man named bob'


@pytest.mark.slow
def test_a_question_has_the_words_of_the_harness():
  utils = pytest.importorskip('lm_eval.tasks.hellaswag.utils')
  datasets = pytest.importorskip('datasets')
  for row in ROWS:
    doc = utils.process_docs(datasets.Dataset.from_list([row]))[0]
    assert hellaswag.question(row) == {
        name: doc[name] for name in ('query', 'choices', 'gold')}


def test_a_context_without_parts_is_taken_as_it_is():
  found = hellaswag.question({'ctx': 'A man [step] sits', 'label': 0,
                              'endings': ['down.', 'up.']})
  assert found == {'query': 'A man sits', 'choices': ['down.', 'up.'],
                   'gold': 0}
  odd = hellaswag.question({'endings': 'down', 'label': 'x'})
  assert odd == {'query': None, 'choices': 'down', 'gold': 'x'}
