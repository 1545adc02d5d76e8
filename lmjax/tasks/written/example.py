"""A source text with the texts that may be written for it."""
from typing import Any, NamedTuple

from lmjax.core import errors


class Pair(NamedTuple):
  """A source and its targets.

  Attributes:
    source: The text to read.
    targets: The texts to write: the first is learned, and results compare with
      all; () if they are unknown.
    where: The place of the pair, such as file and line, for messages.
  """
  source: str
  targets: tuple[str, ...]
  where: str

  @property
  def texts(self) -> tuple[str, ...]:
    """The source, by which splits are compared."""
    return (self.source,)

  @property
  def content(self) -> tuple[str, ...]:
    """The values that results depend on."""
    return (self.source, *self.targets)


def pair(source: str, targets: tuple[str, ...], where: str) -> Pair:
  """Returns a pair with whitespace around its texts stripped.

  Args:
    source: The text to read.
    targets: The text to learn, followed by further references; a further one
      that is blank is left out.
    where: The place of the pair, for messages.

  Raises:
    InputError: If the source or the first target is empty.
  """
  source, (first, *more) = source.strip(), [text.strip() for text in targets]
  for what, text in (('source', source), ('target', first)):
    if not text:
      raise errors.InputError(
          f'{where}: the {what} is empty; remove the row, or check which '
          'columns or files are source and target.')
  return Pair(source, (first, *filter(None, more)), where)


def shown(example: Pair) -> dict[str, Any]:
  """Returns a pair as JSON types; targets only if they are known."""
  found = {'text': example.source}
  return found | ({'targets': list(example.targets)} if example.targets else {})
