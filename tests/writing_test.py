"""All that lmjax writes is written at once, and is there after a power cut."""
import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(path for room in ('lmjax', 'experiments')
               for path in (ROOT / room).rglob('*.py'))
FUNCTIONS = {
    'os.rename', 'os.replace', 'os.renames', 'os.mkdir', 'os.makedirs',
    'shutil.rmtree', 'shutil.move', 'shutil.copy', 'shutil.copytree',
    'shutil.copyfile'}
METHODS = {
    'write_text', 'write_bytes', 'mkdir', 'rename', 'rmdir', 'savefig'}
ALLOWED = {  # File and call -> why it need not be synced there and then.
    ('lmjax/core/files/atomic.py', '*'): 'it is what syncs',
    ('lmjax/core/files/durable.py', '*'): 'it is what syncs',
    ('lmjax/checkpoints/writing.py', 'place.mkdir'): 'it is synced when full',
    ('lmjax/checkpoints/writing.py', 'place.rmdir'): 'a start removes it too',
    ('lmjax/checkpoints/writing.py', 'shutil.rmtree'): 'a start tries again',
    ('lmjax/data/token_store.py', 'open'): 'an empty file, to be locked',
    ('lmjax/parallel/processes.py', 'open'): 'it is os.devnull',
    ('lmjax/run/lock.py', 'made.rmdir'): 'an empty folder means nothing',
    ('lmjax/testing/faults.py', '*'): 'damaging files is its purpose',
    ('lmjax/testing/power_cut.py', '*'): 'it writes what a test looks at',
    ('lmjax/training/writers.py', 'open'):
        'a log is appended to, and synced when a checkpoint is saved',
    ('lmjax/core/cli.py', 'open'): 'pipes and devices are written immediately',
}


def calls(tree):
  """Yields (line, name, node) of calls outside `with atomic.folder`."""
  if isinstance(tree, ast.With) and any(
      ast.unparse(item.context_expr).startswith('atomic.folder(')
      for item in tree.items):
    return
  if isinstance(tree, ast.Call):
    yield tree.lineno, ast.unparse(tree.func), tree
  for child in ast.iter_child_nodes(tree):
    yield from calls(child)


def writes(name, call):
  """Returns whether a call changes a file or folder without syncing it."""
  if name in ('open', 'io.open', 'os.fdopen', 'gzip.open'):
    modes = [*call.args[1:2], *(
        word.value for word in call.keywords if word.arg == 'mode')]
    return any(not isinstance(mode, ast.Constant) or {*'wax+'} & {*mode.value}
               for mode in modes)
  if name.startswith('durable.'):
    return False
  if name.endswith('.savefig'):
    return ast.unparse(call.args[0]) != 'file'
  return name in FUNCTIONS or name.rpartition('.')[2] in METHODS


def found(path, source):
  return [f'{path}:{line} {name}' for line, name, call in calls(
      ast.parse(source)) if writes(name, call)
          and not {(path, name), (path, '*')} & ALLOWED.keys()]


@pytest.mark.parametrize(
    'path', [path.relative_to(ROOT).as_posix() for path in FILES])
def test_everything_is_written_by_the_files_room(path):
  assert not found(path, (ROOT / path).read_text()), (
      'Use `atomic` or `durable` of lmjax.core.files, or name the exception.')


@pytest.mark.parametrize('source', [
    "open(path, 'w')", "open(path, mode='ab')", 'open(path, mode)',
    'path.write_text(text)', 'pathlib.Path(path).write_bytes(b"")',
    'os.replace(a, b)', 'os.rename(a, b)', 'path.rename(b)', 'path.mkdir()',
    'os.makedirs(path)', 'shutil.rmtree(path)', 'picture.savefig(path)'])
def test_a_write_that_is_not_synced_is_seen(source):
  assert found('lmjax/x.py', source)


@pytest.mark.parametrize('source', [
    "open(path)", "open(path, 'rb')", "atomic.opened(path, 'wb')",
    'durable.rename(a, b)', 'picture.savefig(file)',
    'with atomic.folder(path) as new:\n  (new / "a").write_text(text)'])
def test_other_calls_pass(source):
  assert not found('lmjax/x.py', source)


@pytest.mark.slow
def test_every_exception_is_needed():
  needed = set()
  for path in FILES:
    path = path.relative_to(ROOT).as_posix()
    for _, name, call in calls(ast.parse((ROOT / path).read_text())):
      if writes(name, call):
        needed |= {(path, name), (path, '*')}
  assert ALLOWED.keys() <= needed
