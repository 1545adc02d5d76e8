"""An installed lmjax runs its scripts by name, and is light to import."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from lmjax import __main__ as main_lib
from lmjax.recipes import loading
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


@pytest.mark.parametrize('args', [(), ('train',)])
def test_an_unknown_script_prints_all_names(args, monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['lmjax', *args])
  with pytest.raises(SystemExit) as ended:
    main_lib.main()
  assert ended.value.code == 2
  assert 'evaluate, fill_mask' in capsys.readouterr().err


def test_load_reads_a_run_and_is_imported_late():
  assert lmjax.load is loading.load
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


@pytest.mark.slow
def test_a_wheel_holds_scripts_and_types(tmp_path):
  copy, installed = tmp_path / 'copy', tmp_path / 'installed'
  for name in 'lmjax', 'experiments':
    shutil.copytree(ROOT / name, copy / name)
  for name in 'setup.py', 'README.md':
    shutil.copy(ROOT / name, copy)
  built = run('-m', 'pip', 'install', '--quiet', '--no-deps', '--target',
              str(installed), '--no-build-isolation', str(copy))
  if 'setuptools' in built.stderr and built.returncode:
    pytest.skip('setuptools is not installed.')
  assert built.returncode == 0, built.stderr
  for name in ('py.typed', 'experiments/pretrain.py',
               'experiments/configs/demo.py'):
    assert (installed / 'lmjax' / name).is_file(), name
  assert not (installed / 'experiments').exists()
  entry = next(installed.glob('*.dist-info/entry_points.txt'))
  assert 'lmjax = lmjax.__main__:main' in entry.read_text()
  done = run('-m', 'lmjax', 'pretrain', f'--workdir={tmp_path / "run"}',
             '--config=demo', '--config.data.tokenizer.kind=Bytes',
             '--dry_run', path=installed)
  assert done.returncode == 0 and 'First batch' in done.stdout, done.stderr
