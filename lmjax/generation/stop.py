"""Stop strings, which end a text even if they arrive in several pieces."""
from collections.abc import Sequence

from lmjax.core import errors


class Stopper:
  """Passes text on until a stop string is complete.

  Text that could become a stop string is held back, so that no part of a stop
  string is passed on. The string that is completed first ends the text; if
  several are completed by the same character, the longest does. The output does
  not depend on how the text is cut into pieces.

  Args:
    strings: The stop strings; without any, all text is passed on.

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
    """Returns the text that may be shown after `text` has arrived."""
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
    """Returns the text that is held back; call it after the last piece."""
    held, self._held = self._held, ''
    return held

  @staticmethod
  def _overlap(text: str, string: str) -> int:
    """Returns the length of the longest start of `string` that ends `text`."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
      if text.endswith(string[:length]):
        return length
    return 0
