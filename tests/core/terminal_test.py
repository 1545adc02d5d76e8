"""Text is shown as far as a terminal can, and does not control it."""
import io

from lmjax.core import terminal


def test_control_characters_are_removed_and_text_is_kept():
  text = 'naïve 日本 \U0001f600\n\tx'
  assert terminal.printable(text) == text
  assert terminal.printable('\x1b[31mred\x1b]0;title\x07') == '[31mred]0;title'
  assert terminal.printable('a\rb\bc\x7fd\x9b31m\0') == 'abcd31m'
  assert terminal.printable('\u202eevil\u2066\ud800') == 'evil'
  every = ''.join(map(chr, range(0x110000)))
  assert not set(terminal.printable(every)) & set(
      map(chr, [*range(9), *range(11, 32), *range(127, 160)]))


def test_characters_that_the_encoding_lacks_are_escaped():
  file = io.TextIOWrapper(io.BytesIO(), encoding='ascii')
  terminal.escape_unencodable(file, io.StringIO())
  print('Gr\u00fc\u00dfe', file=file, flush=True)
  assert file.buffer.getvalue() == b'Gr\\xfc\\xdfe\n'
