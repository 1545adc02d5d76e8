"""The examples in docstrings run and print what they say."""
import doctest
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
NAMES = sorted(
    '.'.join(path.relative_to(ROOT).with_suffix('').parts)
    for path in (ROOT / 'lmjax').rglob('*.py') if '>>> ' in path.read_text())


@pytest.mark.parametrize('name', NAMES)
def test_examples(name):
  module = importlib.import_module(name)
  assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
