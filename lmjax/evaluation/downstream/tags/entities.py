"""Entities in sequences of tags: reads them like conlleval, writes BIO."""
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lmjax.core import errors
from lmjax.nn import crf

PREFIXES = 'BIESLU'  # All prefixes of IOB1, BIO (IOB2), IOBES and BILOU.
# The prefixes of an entity: of its first word, of those inside, of its last
# word, and of an entity of one word.
SCHEMES = {'IOB1': 'BIIB', 'BIO': 'BIIB', 'IOBES': 'BIES', 'BILOU': 'BILU'}
_CLOSING = 'ESLU'  # An entity ends with a word of these prefixes.
_OPENING = 'OBSU'  # An entity ends before a word of these prefixes.


class Entity(NamedTuple):
  """Adjacent words that name an entity.

  Attributes:
    type: Its type, such as 'person'; '' if tags have no type.
    start: The place of its first word.
    end: The place after its last word.
  """
  type: str
  start: int
  end: int


def split(tag: str) -> tuple[str, str]:
  """Returns prefix and type of a tag.

  Example:
    >>> split('B-creative-work'), split('O')
    (('B', 'creative-work'), ('O', ''))
  """
  prefix, _, kind = tag.partition('-')
  return prefix, kind


def check(tag: str, where: str) -> None:
  """Checks that a string is a tag; `where` is its place, for messages.

  Raises:
    InputError: If the string is neither 'O' nor a prefix and a type.
  """
  prefix, kind = split(tag)
  if tag != 'O' and (not prefix or len(prefix) > 1 or prefix not in PREFIXES
                     or tag == f'{prefix}-'):
    raise errors.InputError(
        f'{where}: {tag!r} is no tag of an entity; tags are O, or one of '
        f'{", ".join(PREFIXES)} with a type, such as B-person. If each tag is '
        'a name of its own, such as a part of speech, set '
        '--config.task.source.tags=names.')


def read(tags: Iterable[str]) -> list[Entity]:
  """Returns the entities of tags, which for BIO are the ones conlleval counts.

  Reads leniently: an entity begins at B, and also at an I, E or L that does not
  continue an entity of its type.

  Args:
    tags: Tags of a sentence, in IOB1, BIO, IOBES or BILOU.

  Example:
    >>> [tuple(entity) for entity in read(['I-x', 'I-y', 'B-y', 'O'])]
    [('x', 0, 1), ('y', 1, 2), ('y', 2, 3)]

  References:
    Tjong Kim Sang and Buchholz, Introduction to the CoNLL-2000 Shared Task:
    Chunking, 2000, and its script conlleval.
  """
  found, start, before = [], None, ('O', '')
  for i, tag in enumerate((*tags, 'O')):
    prefix, kind = split(tag)
    if start is not None and (
        before[0] in _CLOSING or prefix in _OPENING or kind != before[1]):
      found.append(Entity(before[1], start, i))
      start = None
    if start is None and prefix != 'O':
      start = i
    before = prefix, kind
  return found


def read_strictly(tags: Sequence[str]) -> list[Entity]:
  """Returns the entities of BIO tags that begin with a B.

  Leaves out the entities of `read` that begin with an I.

  References:
    Nakayama, seqeval, 2018, mode 'strict' with the scheme IOB2.
  """
  return [entity for entity in read(tags)
          if split(tags[entity.start])[0] == 'B']


def bio(entities: Iterable[Entity], length: int) -> tuple[str, ...]:
  """Returns the BIO tags of a sentence of `length` words.

  Example:
    >>> bio([Entity('person', 1, 3)], 4)
    ('O', 'B-person', 'I-person', 'O')
  """
  return spelled(entities, length, 'BIO')


def spelled(entities: Iterable[Entity], length: int, name: str
            ) -> tuple[str, ...]:
  """Returns the tags of a sentence of `length` words in a scheme of `SCHEMES`.

  Example:
    >>> spelled([Entity('x', 0, 2), Entity('x', 2, 3)], 3, 'IOBES')
    ('B-x', 'E-x', 'S-x')
    >>> spelled([Entity('x', 0, 2), Entity('x', 2, 3)], 3, 'IOB1')
    ('I-x', 'I-x', 'B-x')
  """
  tags, before = ['O'] * length, Entity('', -1, -1)
  begin, inside, last, alone = SCHEMES[name]
  for entity in entities:
    kind, start, end = entity
    prefixes = [begin, *[inside] * (end - start - 2), last]
    if end - start == 1:
      prefixes = [alone]
    if name == 'IOB1' and (before.end, before.type) != (start, kind):
      prefixes[0] = 'I'
    tags[start:end] = [f'{p}-{kind}' if kind else p for p in prefixes]
    before = entity
  return tuple(tags)


def scheme(sentences: Iterable[Sequence[str]]) -> str:
  """Returns the scheme of tags, a name of `SCHEMES`.

  E and S are of IOBES, L and U of BILOU. Other tags are in IOB1 if some entity
  begins with an I, and each B separates an entity from one of its type before
  it; if not, they are in BIO, though perhaps not valid.

  Args:
    sentences: The tags of each sentence.
  """
  prefixes, inside, outside = set(), 0, 0
  for tags in sentences:
    prefixes |= {split(tag)[0] for tag in tags}
    before = Entity('', -1, -1)
    for entity in read(tags):
      if split(tags[entity.start])[0] == 'I':
        inside += 1
      elif (before.end, before.type) != (entity.start, entity.type):
        outside += 1
      before = entity
  if prefixes & set('LU'):
    return 'BILOU'
  if prefixes & set('ES'):
    return 'IOBES'
  return 'IOB1' if inside and not outside else 'BIO'


def allowed(tags: Sequence[str]) -> crf.Allowed:
  """Returns which tags may follow each other in valid BIO.

  Each I follows a B or an I of its type.

  Args:
    tags: Names of the C tags.
  """
  parts = [split(tag) for tag in tags]
  return crf.Allowed(
      tuple(prefix != 'I' for prefix, _ in parts),
      tuple(tuple(prefix != 'I' or before != 'O' and kind == other
                  for prefix, kind in parts) for before, other in parts))


def best_valid(log_p_WC: np.ndarray, tags: Sequence[str]) -> np.ndarray:
  """Returns the most probable tags among the sequences that are valid BIO.

  A sequence is valid if each I follows a B or an I of its type. Apart from
  that, words are independent; Viterbi's algorithm finds the best sequence.

  Args:
    log_p_WC: Log-probability of each tag for each word.
    tags: Names of the C tags, 'O' included.

  Returns:
    The index of each word's tag, [W].
  """
  start, step = allowed(tags)
  step_CC = np.where(np.array(step), 0.0, -np.inf)
  score_C = np.where(np.array(start), 0.0, -np.inf)
  back_WC = np.zeros(log_p_WC.shape, int)
  for word, log_p_C in enumerate(log_p_WC):
    if word:
      paths_CC = score_C[:, None] + step_CC
      back_WC[word] = paths_CC.argmax(axis=0)
      score_C = paths_CC.max(axis=0)
    score_C = score_C + log_p_C
  best = np.zeros(len(log_p_WC), int)
  best[-1:] = score_C.argmax()
  for word in range(len(best) - 1, 0, -1):
    best[word - 1] = back_WC[word, best[word]]
  return best
