"""The documentation builds, and its reference covers every module."""
import dataclasses
import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / 'docs'


@pytest.fixture(scope='module')
def reference():
  spec = importlib.util.spec_from_file_location('reference',
                                                DOCS / 'reference.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_the_reference_has_every_module(reference):
  modules = {
      '.'.join(path.relative_to(ROOT).with_suffix('').parts)
      for path in (ROOT / 'lmjax').rglob('*.py') if path.read_text().strip()}
  ours = {name.removesuffix('.__init__') for name in modules
          if name not in ('lmjax.__init__', 'lmjax.__main__')}
  listed = [name for room in reference.ROOMS
            for name in reference.modules(room)]
  assert len(listed) == len(set(listed))
  assert set(listed) == ours


def test_rooms_stand_below_those_that_import_them(reference):
  seen = set()
  for room in reference.ROOMS:
    text = ''.join(path.read_text() for path in (
        *(ROOT / 'lmjax' / room).rglob('*.py'), ROOT / f'lmjax/{room}.py')
                   if path.is_file())
    found = set(re.findall(r'^from lmjax\.(\w+)', text, re.M))
    found |= set(re.findall(r'^from lmjax import (\w+)', text, re.M))
    assert found <= seen | {room}, room
    seen.add(room)


@pytest.mark.parametrize('what, lines, expected', [
    ('function', ['Maps *x* to x_BT and y_.'],
     [r'Maps \*x\* to x_BT and y\_.']),
    ('function', ['Takes `*x` or `Prompt`s.'], ['Takes `*x` or `Prompt`\\ s.']),
    ('module', ['For example:', '', '  f(**x)', '', 'Then.'],
     ['For example:', '', '::', '', '  f(**x)', '', 'Then.'])])
def test_docstrings_become_restructured_text(reference, what, lines, expected):
  reference.as_restructured_text(None, what, 'name', None, None, lines)
  assert lines == expected


def test_a_dataclass_shows_its_fields_but_not_theirs(reference):
  @dataclasses.dataclass(frozen=True)
  class Part:
    size: int = 3

  @dataclasses.dataclass(frozen=True)
  class Whole:
    width: int
    part: Part = Part()
    names: list = dataclasses.field(default_factory=list)
    name: str = 'x'
  shown = reference.signature(
      None, 'class', 'Whole', Whole, None, '(...)', None)
  assert shown == ('(width, part=Part(), names=...)', None)
  assert reference.signature(
      None, 'function', 'f', len, None, '(x)', 'int') == ('(x)', 'int')


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path, reference):
  for name in 'sphinx', 'myst_nb', 'furo':
    pytest.importorskip(name, reason="Needs `pip install -e '.[docs]'`.")
  built = subprocess.run(
      [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-c',
       str(DOCS), '-d', str(tmp_path / 'trees'), str(ROOT),
       str(tmp_path / 'site')], cwd=ROOT, capture_output=True, text=True,
      check=False)
  assert built.returncode == 0, built.stderr
  site = tmp_path / 'site'
  losses = (site / 'docs/reference/objectives.html').read_text()
  assert 'cross_entropy' in losses
  assert 'Parameters' in losses and 'Raises' in losses
  for path in site.rglob('*.html'):
    loaded = re.findall(
        r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)',
        path.read_text())
    assert not loaded, (path, loaded)  # Reading needs no other server.
  assert (site / 'CHANGELOG.html').is_file()
