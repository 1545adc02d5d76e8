"""Sentences: words, and a tag for each word."""
from collections.abc import Sequence
from typing import Any, NamedTuple

from lmjax.core import errors
from lmjax.core.files import strict_json


class Sentence(NamedTuple):
  """Words with their tags.

  Attributes:
    words: The words.
    tags: The tag of each; None if they are unknown.
    where: The place of the sentence, such as file and line, for messages.
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
    """The values that results depend on."""
    return self.words, self.tags


class Utterance(NamedTuple):
  """Words with their tags, and an intent.

  Attributes:
    words: The words.
    tags: The tag of each; None if they are unknown.
    where: The place of the utterance, such as file and line, for messages.
    label: The intent; None if it is unknown.
  """
  words: tuple[str, ...]
  tags: tuple[str, ...] | None
  where: str
  label: str | None

  @property
  def texts(self) -> tuple[str]:
    """The utterance as a text."""
    return (' '.join(self.words),)

  @property
  def content(self) -> tuple[Any, ...]:
    """The values that results depend on."""
    return self.words, self.tags, self.label


def sentence(texts: Sequence[str], where: str, label: str | None = None
             ) -> Sentence:
  """Returns the sentence of a text.

  Args:
    texts: One text: words separated by whitespace, or a JSON list of words.
    where: The place of the text, for messages.
    label: The tags, in the same form; None if they are unknown.

  Raises:
    InputError: If `texts` is a pair, there are no words, or the numbers of tags
      and words differ.

  Example:
    >>> sentence(['["New York", "!"]'], 'line 1', 'B-place O')
    Sentence(words=('New York', '!'), tags=('B-place', 'O'), where='line 1')
  """
  if len(texts) != 1:
    raise errors.InputError(
        f'{where}: tagging reads single texts; got {len(texts)} texts.')
  words = listed(texts[0])
  if not words:
    raise errors.InputError(
        f'{where}: there is no word to tag; remove this sentence.')
  if label is None:
    return Sentence(words, None, where)
  return tagged(words, listed(label), where)


def tagged(words: Sequence[str], tags: Sequence[str], where: str) -> Sentence:
  """Returns the sentence of words and tags.

  Raises:
    InputError: If the numbers of tags and words differ.
  """
  if len(words) != len(tags):
    raise errors.InputError(
        f'{where}: {len(words)} words, but {len(tags)} tags.')
  return Sentence(tuple(words), tuple(tags), where)


def listed(text: str) -> tuple[str, ...]:
  """Returns the items of a JSON list of words, or the words of any other text.
  """
  try:
    found = strict_json.loads(text)
  except ValueError:
    found = None
  is_list = isinstance(found, list) and all(
      isinstance(word, str) and word.strip() for word in found)
  return tuple(found if is_list else text.split())
