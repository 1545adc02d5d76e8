"""Texts without labels, one per line."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import lines


def found(tmp_path, text, texts=1):
  path = tmp_path / 'a.txt'
  path.write_text(text)
  return [(*example.texts, example.label, example.where == f'{path}:{number}')
          for number, example in enumerate(
              lines.Lines((str(path),), texts).examples(), 1)]


def test_every_line_is_an_example(tmp_path):
  assert found(tmp_path, ' a\tb \n\n\t\nc') == [
      ('a\tb', None, True), ('', None, True), ('', None, True),
      ('c', None, True)]


def test_a_tab_separates_a_pair(tmp_path):
  assert found(tmp_path, 'a \tb\n\n', 2) == [
      ('a', 'b', None, True), ('', '', None, True)]


def test_a_line_of_too_few_texts_is_refused():
  with pytest.raises(errors.InputError, match="f:7 should hold 2 .* got 1: 'a"):
    lines.example('a b', 2, 'f:7')
