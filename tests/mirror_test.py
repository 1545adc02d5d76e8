"""Every module has its test, and every test its module."""
import pathlib

from tests.reference import families

ROOT = pathlib.Path(__file__).parents[1]
TESTS = ROOT / 'tests'
ABOUT_THE_WHOLE = {'golden', 'reference'}  # Folders that test no one module.


def modules():
  return {path.relative_to(ROOT / 'lmjax').with_suffix('')
          for path in (ROOT / 'lmjax').rglob('*.py')
          if path.name != '__init__.py'}


def mirrored():
  return {path.relative_to(TESTS).with_name(
      path.name.removesuffix('_test.py')) for path in TESTS.rglob('*_test.py')}


def tables():
  """Rooms whose __init__.py holds a table: its test is called table_test."""
  return {path.relative_to(ROOT / 'lmjax').with_name('table')
          for path in (ROOT / 'lmjax').rglob('__init__.py')
          if path.read_text() and path.parent != ROOT / 'lmjax'}


def compared():
  """Families that are rows of a table: their own files would repeat its test.

  A row of tests/reference/families/ROOM.py is named like its module, and
  tests/interop/families/table_test.py compares it with the reference.
  """
  return {pathlib.Path('interop/families', room, name)
          for room, names in families.ROOMS.items() for name in names}


def test_every_module_has_its_test():
  untested = modules() - mirrored() - compared()
  assert not untested, (
      'These need tests/<room>/<module>_test.py: '
      f'{sorted(map(str, untested))}')


def test_every_test_has_its_module():
  stray = {path for path in mirrored() - modules() - tables()
           if len(path.parts) > 1 and path.parts[0] not in ABOUT_THE_WHOLE}
  assert not stray, f'Tests without their module: {sorted(map(str, stray))}'


def test_every_row_of_a_table_has_its_module():
  assert compared() <= modules()


def test_every_test_file_is_found_by_pytest():
  allowed = {'conftest.py', '__init__.py'}
  for path in TESTS.rglob('*.py'):
    folder = path.relative_to(TESTS).parts[0]
    assert (path.name.endswith('_test.py') or path.name in allowed
            or folder in ABOUT_THE_WHOLE), f'{path} holds no tests.'
