"""An installed lmjax runs its scripts by name, and is light to import."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

from lmjax import __main__ as main_lib
from lmjax.recipes import interactive
from lmjax.recipes.loaded import loading
import lmjax

ROOT = pathlib.Path(__file__).parents[1]


def run(*args, path=ROOT):
  return subprocess.run(
      [sys.executable, *args], capture_output=True, text=True, timeout=300,
      check=False, cwd='/', env=os.environ | {'PYTHONPATH': str(path)})


def test_each_script_is_found_by_its_name():
  assert main_lib.scripts() == {
      path.stem: path for path in (ROOT / 'experiments').glob('*.py')}


def test_a_script_runs_by_its_name():
  found = run('-m', 'lmjax', 'rollback', '--to_step=3')
  assert found.returncode == 2 and '--workdir' in found.stderr
  shown = run('-m', 'lmjax', 'train_tokenizer', '--help')
  assert shown.returncode == 0 and '--config.source' in shown.stdout


@pytest.mark.parametrize('args, sentence', [
    ((), ''), (('pretain',), 'Did you mean `lmjax pretrain`?')])
def test_an_unknown_script_prints_all_names(
    args, sentence, monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['lmjax', *args])
  with pytest.raises(SystemExit) as ended:
    main_lib.main()
  assert ended.value.code == 2
  told = capsys.readouterr().err
  assert sentence in told and ('Error:' in told) == bool(args)
  assert all(f'\n  {name} ' in told for name in main_lib.scripts())


def test_help_lists_each_script_with_its_first_line(monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['lmjax', '--help'])
  main_lib.main()
  told, wrong = capsys.readouterr()
  assert not wrong
  assert re.search(r'\n  fill_mask +Fills the masks in a text with', told)


@pytest.mark.slow
def test_load_reads_a_run_and_is_imported_late():
  assert lmjax.load is loading.load
  assert lmjax.pretrain is interactive.pretrain
  assert lmjax.finetune is interactive.finetune
  with pytest.raises(AttributeError, match="no attribute 'save'"):
    lmjax.save  # pylint: disable=pointless-statement
  found = run('-c', (
      'import sys, lmjax\n'
      'heavy = {"jax", "flax", "tensorflow", "sentencepiece", "orbax"}\n'
      'print(sorted(heavy & sys.modules.keys()))\n'
      'print([name for name in sys.modules if name.startswith("lmjax.")])\n'
      'from lmjax import load\n'
      'lazy = {"tensorflow", "sentencepiece", "grain", "matplotlib"}\n'
      'print(sorted(lazy & sys.modules.keys()))'))
  assert found.stdout.split('\n')[:3] == ['[]', '[]', '[]'], found.stderr


def _wheel(folder):
  """Returns the wheel that is built from a copy of the checkout."""
  copy = folder / 'copy'
  shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(
      '.git', '__pycache__', '*.egg-info', '.venv', 'build', 'site'))
  for options in ['--no-build-isolation'], []:  # With our setuptools, or new.
    built = subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
         *options, '--wheel-dir', str(folder), str(copy)],
        capture_output=True, text=True, check=False)
    if not built.returncode:
      break
  if built.returncode and 'No matching distribution' in built.stderr:
    pytest.skip('setuptools is neither installed nor on an index.')
  assert not built.returncode, built.stderr
  path, = folder.glob('lmjax-*.whl')
  return path


def _environment(folder, wheel):
  """Returns a Python with the wheel and the packages of this Python.

  Lines of a .pth file add folders without reading the .pth files in them, so a
  checkout that is installed in this Python is not found.
  """
  venv.create(folder, with_pip=False)
  python = folder / 'bin/python'
  site, = folder.glob('lib/*/site-packages')
  ours = [path for path in sys.path if path.endswith('site-packages')]
  (site / 'packages.pth').write_text('\n'.join(ours))
  subprocess.run(
      [sys.executable, '-m', 'pip', '--python', str(python), 'install',
       '--quiet', '--no-deps', '--no-index', '--ignore-installed', str(wheel)],
      check=True)
  return python


@pytest.mark.slow
def test_a_wheel_runs_without_the_checkout(tmp_path):
  wheel = _wheel(tmp_path)
  names = zipfile.ZipFile(wheel).namelist()
  assert {name.partition('/')[0] for name in names
          if '.dist-info' not in name} == {'lmjax'}
  for name in ('py.typed', 'experiments/pretrain.py',
               *(f'experiments/configs/{path.name}' for path in (
                   ROOT / 'experiments/configs').glob('*.py'))):
    assert f'lmjax/{name}' in names, name

  python = _environment(tmp_path / 'venv', wheel)
  elsewhere = tmp_path / 'elsewhere'
  elsewhere.mkdir()
  environment = {
      key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}

  def lmjax_run(*args):
    done = subprocess.run(
        [str(python.parent / 'lmjax'), *args], cwd=elsewhere, text=True,
        env=environment, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

  assert 'Fine-tunes a pretrained run' in lmjax_run('--help')
  told = lmjax_run('pretrain', '--help')
  assert '\n  lmjax pretrain --workdir=runs/demo\n' in told
  assert 'shakespeare_char_better' in told
  small = ('--config.training.steps=2', '--config.training.eval_every=2',
           '--config.optimizer.schedule.warmup=1')
  lmjax_run('pretrain', '--workdir=demo', '--config=demo', *small,
            '--config.data.tokenizer.kind=Bytes', '--config.model.num_layers=1',
            '--config.scoring.tokens=500', '--config.samples.prompts=The',
            '--config.samples.max_new_tokens=4')
  assert (elsewhere / 'demo/report.html').is_file()
  assert 'bigram' in lmjax_run(
      'evaluate', '--workdir=demo', '--config.scoring.tokens=500')
  assert lmjax_run('generate', '--workdir=demo', '--prompt=The ',
                   '--max_new_tokens=4').startswith('The ')
  lmjax_run('finetune', '--workdir=labels', '--config.init=demo', *small,
            '--config=finetune_docstrings')
  assert '"text": "Parse a date."' in lmjax_run(
      'predict', '--workdir=labels', '--texts=Parse a date.')
  where = subprocess.run(
      [python, '-c', 'import lmjax; print(lmjax.__file__, lmjax.load)'],
      cwd=elsewhere, env=environment, capture_output=True, text=True,
      check=True)
  assert where.stdout.startswith(str(tmp_path / 'venv'))
