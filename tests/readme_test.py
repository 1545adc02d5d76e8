"""What the README shows is run: its Python as one session, its files exist."""
import ast
import pathlib
import re
import shlex

import jax
import pytest

from lmjax.core.flags import config_flags
from lmjax.core.flags import named
from lmjax import experiment
from lmjax.models import presets

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / 'README.md').read_text()


def _blocks(language):
  return re.findall(rf'```{language}\n(.*?)```', TEXT, flags=re.DOTALL)


def test_python_runs_as_one_session(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  blocks, session = _blocks('python'), {}
  assert len(blocks) >= 5
  # Users have none of the strictness that our tests switch on.
  with jax.numpy_rank_promotion('allow'):
    for block in blocks:
      exec(compile(block, 'README.md', 'exec'), session)
  assert session['result'].rows[-1]['loss'] > 0


def test_files_that_are_linked_or_run_exist():
  linked = [path for path in re.findall(r'\]\(([^)#]+)\)', TEXT)
            if not path.startswith('http')]
  run = [word for block in _blocks('bash') + re.findall(r'`([^`\n]+)`', TEXT)
         for word in block.split() if re.fullmatch(
             r'(experiments|notebooks|benchmarks)/[\w/.]+\.\w+', word)]
  assert linked and run
  for path in linked + run:
    assert (ROOT / path).exists(), path


def _commands():
  """Yields (script, arguments) of the commands in README and docstrings."""
  texts = [TEXT, *(ast.get_docstring(ast.parse(path.read_text()), clean=False)
                   for path in (ROOT / 'experiments').rglob('*.py'))]
  for text in texts:
    found = re.findall(r'experiments/(\w+)\.py((?: |\\\n|[^`\s]+)*)',
                       text.replace('\\\n', ' '))
    for script, arguments in found:
      yield script, shlex.split(arguments.partition('#')[0])


def test_flags_that_are_shown_are_flags_of_the_config():
  classes = {'pretrain': (experiment.Pretrain | experiment.Count, 'demo'),
             'finetune': (experiment.Finetune, 'finetune_docstrings'),
             'evaluate': (experiment.Evaluate, 'evaluate')}
  classes['plan'], seen = classes['pretrain'], 0
  for script, arguments in _commands():
    shown = [a for a in arguments if a.startswith(('--config', '--noconfig'))]
    if script in classes and shown:
      cls, default = classes[script]
      flag = config_flags.ConfigFlag(named.Named(
          cls, ROOT / f'experiments/configs/{default}.py',
          presets.PRESETS), {})
      for word in flag.take(shown):
        flag.value = word.removeprefix('--config=')
      flag.config()
      seen += 1
  assert seen > 25


def test_the_test_command_is_what_ci_runs():
  command = next(b for b in _blocks('bash') if 'pytest' in b).strip()
  ci = (ROOT / '.ci/run').read_text()
  for part in command.split('&&')[1:]:
    words = shlex.split(part.replace('.venv/', ''))
    assert words[0].removeprefix('bin/') in ci, words[0]
    for word in words[1:]:
      assert word in ci, word


def test_tests_that_ci_names_exist():
  named = re.findall(r'tests/[\w/]+\.py', (ROOT / '.ci/run').read_text())
  assert named
  for path in named:
    assert (ROOT / path).exists(), path


@pytest.mark.parametrize('path', sorted(
    p for folder in ('lmjax', 'experiments', 'benchmarks')
    for p in (ROOT / folder).rglob('*.py')), ids=lambda p: str(
        p.relative_to(ROOT)))
def test_no_file_outgrows_its_room(path):
  assert path.read_text().count('\n') <= 400
