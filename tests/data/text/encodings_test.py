"""Encodings of text files: which are known, and how wide ones are read."""
import io

import pytest

from lmjax.core import errors
from lmjax.data.text import encodings


@pytest.mark.parametrize('name', ['latin-1', 'UTF8', 'utf-16', 'gb18030'])
def test_encodings_that_python_knows_are_accepted(name):
  encodings.check(name)


@pytest.mark.parametrize('name, message', [
    ('latin-11', "encoding is 'latin-11'.* Did you mean 'latin-1'"),
    ('rot13', 'choose one that Python knows'),
    ('hex', 'choose one that Python knows'),
    ('a\0b', 'choose one that Python knows'),
])
def test_other_names_are_refused_with_the_nearest(name, message):
  with pytest.raises(errors.InputError, match=message):
    encodings.check(name)


def test_only_encodings_with_wide_line_breaks_are_wide():
  wide = ['utf-16', 'UTF-16LE', 'utf-32', 'utf_32_be']
  narrow = [None, 'utf-8', 'utf-8-sig', 'latin-1', 'shift_jis', 'gb18030']
  assert [encodings.is_wide(name) for name in wide + narrow] == (
      [True] * len(wide) + [False] * len(narrow))


def test_a_wide_file_is_read_in_utf8_however_its_bytes_are_cut():
  text = 'déjà \U0001f600\n' * 40_000  # Pairs of surrogates cross the parts.
  file = encodings.Recoded(io.BytesIO(text.encode('utf-16')), 'utf-16')
  assert io.BufferedReader(file).read() == text.encode()
