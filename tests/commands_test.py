"""Every command that a text shows has flags that its script accepts."""
import ast
import contextlib
import functools
import json
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

from absl import app
from absl import flags
import pytest

from lmjax.core import cli
from lmjax.core import config as config_lib
from lmjax.core.flags import config_flags
from lmjax.core.flags import sweep_flags
from lmjax.recipes.comparing import sweep

ROOT = pathlib.Path(__file__).parents[1]
_INDENTED = re.compile(r'^ +(?:.*\| )?(?:python|lmjax) \S.*', re.M)
_CALL = re.compile(
    r'(?:python3? (?:\S*/)?(experiments|benchmarks)/|\blmjax )(\w+)'
    r'(?:\.py)?(?=\s|$)([^|;&#]*)')
_PLACEHOLDER = re.compile(r'^\.\.\.$|=[A-Z]+$')
_SHORT = re.compile(r'^(experiments|benchmarks)/(\w+)\.py ([^|;&#]*)')


def _calls(text):
  """Yields (script, arguments) of the lines of a shell."""
  for line in text.replace('\\\n', ' ').splitlines():
    for folder, name, arguments in _CALL.findall(line):
      words = [word.strip('[]') for word in shlex.split(arguments)]
      if not any(_PLACEHOLDER.search(word) for word in words):
        yield f'{folder or "experiments"}/{name}.py', words


def _of_page(text):
  """Yields the commands of a page: its shell blocks, and code in a line."""
  for language, block in re.findall(r'```(\w*)\n(.*?)```', text, re.S):
    if language == 'bash':
      yield from _calls(block)
  for span in re.findall(r'`([^`]+)`', re.sub(r'```.*?```', '', text,
                                             flags=re.S)):
    span = ' '.join(span.split())
    found = _SHORT.match(span)
    yield from _calls(f'python {span}' if found else span)


def _of_docstring(text):
  """Yields the commands of a docstring: its indented lines, and code."""
  yield from _calls('\n'.join(_INDENTED.findall(text.replace('\\\n', ' '))))
  yield from _of_page(re.sub(r'^ {2,}.*$', '', text, flags=re.M))


def _texts():
  """Yields (file, its commands)."""
  for path in (*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'),
               ROOT / 'benchmarks/README.md'):
    yield path, _of_page(path.read_text())
  for folder in 'lmjax', 'experiments', 'benchmarks':
    for path in (ROOT / folder).rglob('*.py'):
      nodes = [node for node in ast.walk(ast.parse(path.read_text()))
               if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
      docs = [ast.get_docstring(node) for node in nodes]
      yield path, [call for doc in docs if doc for call in _of_docstring(doc)]
  for path in (ROOT / 'notebooks').glob('*.ipynb'):
    for cell in json.loads(path.read_text())['cells']:
      source = ''.join(cell['source'])
      if cell['cell_type'] == 'markdown':
        yield path, _of_page(source)
      else:
        yield path, _calls('\n'.join(
            line[1:] for line in source.splitlines() if line.startswith('!')))


@functools.cache
def _commands():
  return [(path.relative_to(ROOT).as_posix(), script, tuple(arguments))
          for path, calls in _texts() for script, arguments in calls]


@contextlib.contextmanager
def _defined(script):
  """Defines the flags of a script, as running it would, inside the block.

  Yields a list that holds whether the script takes arguments without a flag.
  """
  before, takes = set(flags.FLAGS), []
  def run(main, arguments=False):
    del main
    takes.append(arguments)
    flags.FLAGS.set_gnu_getopt(arguments)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, 'argv', [script])
    patch.syspath_prepend((ROOT / script).parent)
    patch.setattr(cli, 'run', run)
    patch.setattr(app, 'run', lambda main: None)
    try:
      runpy.run_path(str(ROOT / script), run_name='__main__')
      yield takes
    finally:
      flags.FLAGS.set_gnu_getopt(False)
      for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
      flags.FLAGS.unparse_flags()


@pytest.mark.parametrize('script', sorted({each[1] for each in _commands()}))
def test_commands_have_flags_of_their_script(
    script, capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  demo = runpy.run_path(str(ROOT / 'experiments/configs/demo.py'))
  if not re.search(r'(cli|app)\.run\(', (ROOT / script).read_text()):
    pytest.skip('The script has no flags.')
  for path, _, arguments in (c for c in _commands() if c[1] == script):
    if '--help' in arguments:
      continue
    for run in re.findall(r'--config=(runs/\w+)', ' '.join(arguments)):
      pathlib.Path(run).mkdir(parents=True, exist_ok=True)
      pathlib.Path(run, 'config.json').write_text(
          config_lib.dumps(demo['get_config']()))
    with _defined(script) as takes:
      try:
        rest = cli._parse([script, *arguments])
        if (config := config_flags.defined()) is not None:
          config.config()
        if isinstance(config, sweep_flags.SweepFlag):
          assert sweep.points(
              config.named.load(config.value), config.named.cls,
              config.given()[0], config.swept, 1, pathlib.Path('x'))
      except (SystemExit, Exception) as error:  # Of any class: all are shown.
        pytest.fail(f'{path}: {script} {shlex.join(arguments)}: {error!r} '
                    f'{capsys.readouterr().err}')
      assert any(takes) or not rest[1:], f'{path}: {script} {shlex.join(arguments)}'


def test_commands_are_found_in_texts_of_each_kind():
  files = {path for path, _, _ in _commands()}
  for start in ('README.md', 'docs/', 'benchmarks/README.md',
                'experiments/pretrain.py', 'experiments/configs/', 'lmjax/'):
    assert any(path.startswith(start) for path in files), start
  assert len(_commands()) > 80


def test_a_wrong_flag_is_seen(capsys):
  with _defined('experiments/rollback.py'), pytest.raises(SystemExit):
    cli._parse(['rollback', '--workdir=x', '--to_stop=3'])
  assert 'to_step' in capsys.readouterr().err


@pytest.mark.parametrize('path', sorted(
    (ROOT / 'experiments').rglob('*.py')), ids=lambda path: path.stem)
def test_docstrings_show_commands_as_they_are_typed(path):
  source = path.read_text()
  written = source.split('"""')[1]
  shown = ast.get_docstring(ast.parse(source), clean=False)
  assert shown in (written, written.replace('\\\\', '\\'))


@pytest.mark.slow
@pytest.mark.parametrize('script, arguments', sorted({
    (script, arguments) for _, script, arguments in _commands()
    if script == 'experiments/plan.py' and '--compile' not in arguments
    or script == 'experiments/pretrain.py' and not any(
        'path=' in word or 'paths=' in word or 'Tfds' in word
        or '--mesh' in word
        or '--config=' in word and not word.startswith('--config=markov')
        for word in arguments)}), ids=str)
def test_commands_that_need_no_files_run(script, arguments, tmp_path):
  if script == 'experiments/pretrain.py':
    arguments += '--dry_run',
  done = subprocess.run(
      [sys.executable, str(ROOT / script), *arguments], cwd=tmp_path,
      env=os.environ | {'PYTHONPATH': str(ROOT)}, capture_output=True,
      text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert done.stdout
