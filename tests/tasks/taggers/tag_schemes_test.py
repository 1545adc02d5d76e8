"""What tags mean: entities and names answer the same questions."""
import pytest

from lmjax.core import errors
from lmjax.tasks.taggers import sentences
from lmjax.tasks.taggers import tag_schemes

MEMBERS = [name for name in vars(tag_schemes.Scheme)
           if not name.startswith('_')]
ENTITIES, NAMES = (tag_schemes.SCHEMES[name] for name in ('entities', 'names'))


def sentence(tags):
  tags = tuple(tags.split())
  return sentences.Sentence(('w',) * len(tags), tags, 'f:1')


def test_every_scheme_has_every_method():
  assert len(MEMBERS) == 7
  for scheme in tag_schemes.SCHEMES.values():
    assert all(callable(getattr(scheme, name)) for name in MEMBERS)


def test_entities_become_bio_and_names_stay():
  given = sentence('I-x I-x O S-y')
  assert ENTITIES.checked(given).tags == ('B-x', 'I-x', 'O', 'B-y')
  assert NAMES.checked(given) == given
  assert NAMES.settle('train', [given], 'fail') == ([given], [])
  with pytest.raises(errors.InputError, match="f:1, word 2: 'NN' is no tag"):
    ENTITIES.checked(sentence('O NN'))


def test_only_the_tags_of_entities_restrict_their_neighbours():
  assert NAMES.allowed(('O', 'I-x')) is None
  assert ENTITIES.allowed(('O', 'I-x')).start == (True, False)


def test_answers_and_results_are_the_schemes_own():
  tags = [('B-x', 'I-x', 'O')]
  assert ENTITIES.answer(('a', 'b', 'c'), tags[0]) == {'entities': [
      {'type': 'x', 'start': 0, 'end': 2, 'text': 'a b'}]}
  assert NAMES.answer(('a', 'b', 'c'), tags[0]) == {}
  assert ENTITIES.judge(tags, tags, ('O',)).metrics['f1'].value == 1
  assert NAMES.judge(tags, tags, ('O',)).metrics.keys() == {
      'accuracy', 'macro_f1'}
