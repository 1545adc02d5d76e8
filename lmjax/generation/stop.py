"""Strings that end a text, even where they come in several pieces."""
from collections.abc import Sequence

from lmjax.core import errors


class Stopper:
  """Passes text on until a stop string is complete.

  Text that could still become a stop string is held back, so that no part of
  one is ever shown. The string completed first ends the text, and of several
  completed at once the longest; what comes out does not depend on how the text
  was cut into pieces.

  Args:
    strings: The stop strings; none passes everything on.

  Example:
    >>> stopper = Stopper(['END'])
    >>> [stopper.feed(piece) for piece in ('in the E', 'N', 'D?')]
    ['in the ', '', '']
    >>> stopper.stopped
    True
  """

  def __init__(self, strings: Sequence[str] = ()):
    if '' in strings:
      raise errors.InputError(
          'A stop string is empty, which would stop everything; leave it out.')
    self._strings = tuple(strings)
    self._held = ''
    self.stopped = False

  def feed(self, text: str) -> str:
    """Returns what may be shown now that `text` has come as well."""
    if self.stopped:
      return ''
    text = self._held + text
    found = [(text.find(s) + len(s), -len(s)) for s in self._strings
             if s in text]
    if found:
      end, negative_length = min(found)
      self.stopped, self._held = True, ''
      return text[:end + negative_length]
    hold = max((self._overlap(text, s) for s in self._strings), default=0)
    self._held = text[len(text) - hold:]
    return text[:len(text) - hold]

  def flush(self) -> str:
    """Returns what was held back, once no more text will come."""
    held, self._held = self._held, ''
    return held

  @staticmethod
  def _overlap(text: str, string: str) -> int:
    """Returns the length of the longest end of `text` that begins `string`."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
      if text.endswith(string[:length]):
        return length
    return 0
