"""Baselines of tagging, by hand."""
from lmjax.tasks.baselines import tags as tag_baselines
from lmjax.tasks.taggers import sentences

TRAIN = [sentences.Sentence(tuple(words.split()), tuple(tags.split()), '')
         for words, tags in (('Jo is Jo', 'B-x O B-x'),
                             ('a Jo b', 'O O O'), ('is a c', 'B-x O B-x'))]


def test_majority_says_the_commonest_tag():
  assert tag_baselines.Majority.fit(TRAIN)(['Jo', 'new']) == ('O', 'O')


def test_memory_says_each_words_commonest_tag():
  fitted = tag_baselines.Memory.fit(TRAIN)
  # 'is' was B-x and O equally often: the first by alphabet.
  assert fitted(['Jo', 'new', 'is', 'jo', 'c']) == (
      'B-x', 'O', 'B-x', 'O', 'B-x')
  assert tag_baselines.Memory.fit(TRAIN, 'NOUN')(['new']) == ('NOUN',)


def test_names_differ():
  assert len({kind.name for kind in tag_baselines.BASELINES}) == 2
