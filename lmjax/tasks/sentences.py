"""Sentences of words, with a tag a word."""
from collections.abc import Sequence
from typing import NamedTuple

from lmjax.core import errors
from lmjax.core import strict_json
from lmjax.evaluation import entities


class Sentence(NamedTuple):
  """Words with their tags.

  Attributes:
    words: The words.
    tags: The tag of each; None if they are unknown.
    where: File and line, or the like, for messages.
  """
  words: tuple[str, ...]
  tags: tuple[str, ...] | None
  where: str

  @property
  def texts(self) -> tuple[str]:
    """The sentence as a text."""
    return (' '.join(self.words),)

  @property
  def content(self) -> tuple[tuple[str, ...] | None, ...]:
    """All that results depend on."""
    return self.words, self.tags

  def in_bio(self) -> 'Sentence':
    """Returns the sentence with the same entities in BIO."""
    return self._replace(
        tags=entities.bio(entities.read(self.tags), len(self.words)))


def sentence(texts: Sequence[str], where: str, label: str | None = None
             ) -> Sentence:
  """Returns the sentence of a text.

  Args:
    texts: One text: words with whitespace between, or a JSON list of words.
    where: Its place, for messages.
    label: Its tags, in the same form; None if they are unknown.

  Raises:
    InputError: If it is a pair, has no word or not as many tags as words, or a
      tag is none of an entity.

  Example:
    >>> sentence(['["New York", "!"]'], 'line 1', 'B-place O')
    Sentence(words=('New York', '!'), tags=('B-place', 'O'), where='line 1')
  """
  if len(texts) != 1:
    raise errors.InputError(
        f'{where}: tagging reads single texts; got {len(texts)} texts.')
  words = _listed(texts[0])
  if not words:
    raise errors.InputError(f'{where}: there is no word to tag; remove it.')
  if label is None:
    return Sentence(words, None, where)
  return tagged(words, _listed(label), where)


def tagged(words: Sequence[str], tags: Sequence[str], where: str) -> Sentence:
  """Returns the sentence of words and tags.

  Raises:
    InputError: If there are not as many tags as words, or one is no tag of an
      entity.
  """
  if len(words) != len(tags):
    raise errors.InputError(
        f'{where}: {len(words)} words, but {len(tags)} tags.')
  for tag in tags:
    entities.check(tag, where)
  return Sentence(tuple(words), tuple(tags), where)


def _listed(text: str) -> tuple[str, ...]:
  """Returns the items of a JSON list of text, or of any other text its words.
  """
  try:
    found = strict_json.loads(text)
  except ValueError:
    found = None
  is_list = isinstance(found, list) and all(
      isinstance(word, str) and word.strip() for word in found)
  return tuple(found if is_list else text.split())
