"""A user's mistake gives one sentence and exit code 2, a bug a traceback."""
import os
import functools
import io
import pathlib
import signal
import subprocess
import sys
import threading
import time
import types

from lmjax.core import cli
from lmjax.core import errors
from lmjax.testing import faults
import pytest

SCRIPT = '''
import dataclasses
import gc
import sys
import time
from lmjax.core import cli
from lmjax.core import errors
from absl import flags

@dataclasses.dataclass(frozen=True)
class Adam:
  rate: float = 1e-3

@dataclasses.dataclass(frozen=True)
class Lion:
  rate: float = 1e-4

@dataclasses.dataclass(frozen=True)
class Config:
  width: int = 3
  parallel: str = 'jit'
  rule: Adam | Lion = Adam()

def interrupted(phase, info):
  if phase == 'start':
    gc.callbacks.remove(interrupted)
    raise KeyboardInterrupt

def main(argv):
  config = _CONFIG()
  print('depth', flags.FLAGS.depth, 'width', config.width, config.parallel,
        *[argv[1:]] * (len(argv) > 1))
  if flags.FLAGS.depth == 1:
    raise errors.InputError('model.depth should be >= 2; got 1.')
  if flags.FLAGS.depth == -1:
    raise errors.RunError('The disk stays full.')
  if flags.FLAGS.depth == -2:
    raise KeyboardInterrupt
  if flags.FLAGS.depth == -4:
    raise BrokenPipeError('of another process')
  if flags.FLAGS.depth == -3:
    gc.callbacks.append(interrupted)
    while interrupted in gc.callbacks:  # None begins during another thread's.
      gc.collect()
    for _ in range(1000):
      time.sleep(0.01)
  if flags.FLAGS.depth == 0:
    raise KeyError('ours')

if __name__ == '__main__':
  flags.DEFINE_integer('depth', 2, 'Layers.')
  flags.DEFINE_bool('few', False, 'Takes arguments.')
  _CONFIG = cli.config_flag(Config, Config(), devices='parallel', w='width')
  cli.run(main, arguments='--few' in sys.argv)
'''


slowly = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """Runs the script with arguments; returns (exit code, stdout, stderr)."""
  path = tmp_path_factory.mktemp('cli') / 'script.py'
  path.write_text(SCRIPT)
  root = pathlib.Path(__file__).parents[2]

  def run(*args, stdout=subprocess.PIPE, **env):
    done = subprocess.run(
        [sys.executable, path, *args], cwd=root, text=True, stdout=stdout,
        stderr=subprocess.PIPE, env={'PYTHONPATH': str(root), **env})
    return done.returncode, done.stdout, done.stderr

  return run


@pytest.mark.slow
def test_a_run_without_mistakes_prints_no_warnings(run):
  assert run('--depth=3', '--config.width=4', '--devices=pmap') == (
      0, 'depth 3 width 4 pmap\n', '')


@pytest.mark.slow
def test_a_short_flag_has_the_type_of_its_field(run):
  assert run('--w=5') == (0, 'depth 2 width 5 jit\n', '')


@pytest.mark.slow
def test_arguments_without_a_flag_are_for_scripts_that_take_them(run):
  assert run('a', '--depth=3', '--few', 'b')[:2] == (
      0, "depth 3 width 3 jit ['a', 'b']\n")
  code, _, wrong = run('--depth=3', 'a')
  assert code == 2 and "Arguments are given as --flag=value; got ['a']" in wrong


@pytest.mark.slow
def test_flags_of_the_config_come_in_any_form(run, tmp_path):
  file = tmp_path / 'flags'
  file.write_text('--config.width=7\n--depth=3\n')
  assert run(f'--flagfile={file}', '--config.parallel', 'pmap') == (
      0, 'depth 3 width 7 pmap\n', '')


@pytest.mark.slow
def test_another_kind_is_reported_once(run):
  assert run('--config.rule.kind=Lion') == (
      0, 'depth 2 width 3 jit\n',
      'rule: Lion with its own defaults (rate 0.0001).\n')


@pytest.mark.slow
def test_help_shows_the_flags_and_the_tree_of_the_config(run):
  code, told, wrong = run('--help', '--config.rule.kind=Lion')
  assert (code, wrong) == (0, 'rule: Lion with its own defaults (rate 0.0001).'
                           '\n')
  for text in '--depth', '--devices: Short for --config.parallel', (
      '--[no]traceback'), (
      'rule.kind=Lion'), 'width=3', 'rule.rate=0.0001', 'Or: Adam.':
    assert text in told, text
  _, told, _ = run('--help', '--config.parallel=https://me:secret@host')
  assert 'https://[redacted]@host' in told and 'secret' not in told
  code, _, wrong = run('--help', '--config.widht=4')
  assert code == 2 and '--config.width?' in wrong


@pytest.mark.slow
def test_help_that_is_cut_off_by_its_reader_ends_quietly(run):
  read, write = os.pipe()
  os.close(read)
  code, _, wrong = run('--help', stdout=write)
  os.close(write)
  assert (code, wrong) == (128 + 13, '')


def test_help_of_an_installed_script_shows_the_command_lmjax():
  doc = 'Does it.\n\n  python experiments/pretrain.py --workdir=x\n'
  installed = pathlib.Path(cli.__file__).parents[1] / 'experiments/pretrain.py'
  assert cli._commands(doc, str(installed)) == (
      'Does it.\n\n  lmjax pretrain --workdir=x\n')
  assert cli._commands(doc, 'experiments/pretrain.py') == doc
  assert cli._commands(None, str(installed)) is None


@pytest.mark.parametrize('args, sentence', [
    (['--w=wide'], "Error: --w should be a whole number; got 'wide'.\n"),
    slowly(['--depth=1'], 'Error: model.depth should be >= 2; got 1.\n'),
    (['--config.widht=4'],
     'Error: config.widht is not a field of Config. Did you mean '
     '--config.width?\n'),
    slowly(['--config=no.py'], 'Error: --config=no.py cannot be read: there is '
           'no such file.\n'),
    slowly(['train'], 'Error: Arguments are given as --flag=value; got '
           "['train'].\n"),
    (['https://me:secret@host'], 'Error: Arguments are given as --flag=value; '
     "got ['https://[redacted]@host'].\n"),
])
def test_a_users_mistake_is_one_sentence(run, args, sentence):
  code, _, told = run(*args)
  assert (code, told) == (2, sentence)


def test_messages_have_no_control_characters_or_secrets():
  assert cli.told('\x1b]0;x\x07a\u202e\n\tpassword=xyz') == (
      ']0;xa\n\tpassword=[redacted]')


@pytest.mark.slow
def test_an_unknown_flag_names_the_nearest(run):
  code, _, told = run('--dept=3')
  assert code not in (0, None)
  assert 'depth' in told and 'Traceback' not in told


@pytest.mark.parametrize('depth, code, sentence', [
    (-1, 1, 'Error: The disk stays full.\n'),
    slowly(-2, 130, 'Error: interrupted.\n'),
    (-3, 130, 'Error: interrupted.\n')])  # While garbage is collected.
def test_run_errors_and_interrupts_are_one_sentence(
    run, depth, code, sentence):
  assert run(f'--depth={depth}') == (
      code, f'depth {depth} width 3 jit\n', sentence)


def test_a_signal_that_is_handled_while_garbage_is_collected_is_repeated():
  handled = []
  before = signal.signal(
      signal.SIGTERM, lambda number, frame: handled.append(number))
  try:
    cli._unraisable(types.SimpleNamespace(
        exc_value=errors.Stopped('SIGTERM', 75, signal.SIGTERM)))
    until = time.monotonic() + 10
    while not handled and time.monotonic() < until:
      time.sleep(0.01)
    assert handled == [signal.SIGTERM]
  finally:
    signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_a_bug_shows_its_traceback(run):
  code, _, told = run('--depth=0')
  assert code == 1
  assert 'Traceback' in told and "KeyError: 'ours'" in told
  code, _, told = run('--depth=-4')
  assert code == 1 and 'BrokenPipeError: of another process' in told


def test_a_file_appears_whole_or_not_at_all(tmp_path, capsys):
  path = tmp_path / 'out.jsonl'
  with pytest.raises(errors.InputError, match='no'):
    with cli.writing(str(path)):
      raise errors.InputError('no')
  assert not list(tmp_path.iterdir())
  with cli.writing(str(path)) as file:
    file.write('x\n')
    assert not path.exists()
  assert path.read_text() == 'x\n' and len(list(tmp_path.iterdir())) == 1
  with pytest.raises(errors.InputError, match='--out=.*cannot be written'):
    with cli.writing(str(tmp_path / 'absent' / 'out')):
      pass
  with cli.writing(None) as file:
    print('y', file=file)
  assert capsys.readouterr().out == 'y\n'


def test_a_folder_for_results_is_refused_before_there_are_any(tmp_path):
  folder = tmp_path / 'new' / 'results'
  assert cli.results_folder(str(folder)) == folder and not os.listdir(folder)
  for path in folder, tmp_path / 'other':
    with faults.read_only(tmp_path):
      with pytest.raises(errors.InputError, match=f'{path}: .*--out'):
        cli.results_folder(path)


@pytest.mark.parametrize('name', [
    'lr=[1,2]', 'a*', 'a?b', 'a\\b', 'x' * 255, '-~{x} it\'s a "q"\n\t%20#$日本',
    os.fsdecode(b'\xff')])
def test_a_file_may_have_any_name(tmp_path, name):
  for content, mode in ('text', 'w'), (b'bytes', 'wb'):
    with cli.writing(str(tmp_path / name), mode) as file:
      file.write(content)
  assert os.listdir(tmp_path) == [name]
  assert (tmp_path / name).read_bytes() == b'bytes'


def test_a_link_is_written_where_it_leads_and_a_device_stays_one(tmp_path):
  real, link = tmp_path / 'real', tmp_path / 'link'
  link.symlink_to(real)
  for text in 'first', 'second':
    with cli.writing(str(link)) as file:
      file.write(text)
    assert link.is_symlink() and real.read_text() == text
  os.mkfifo(tmp_path / 'pipe')
  found = []
  reader = threading.Thread(
      target=lambda: found.append((tmp_path / 'pipe').read_text()))
  reader.start()
  with cli.writing(str(tmp_path / 'pipe')) as file:
    file.write('x')
  reader.join()
  assert found == ['x']
  assert sorted(p.name for p in tmp_path.iterdir()) == ['link', 'pipe', 'real']


def test_output_in_any_encoding_is_no_mistake(monkeypatch):
  file = io.TextIOWrapper(io.BytesIO(), encoding='ascii')
  for name, value in (('stdout', file), ('excepthook', None),
                      ('unraisablehook', None)):  # `run` sets the hooks.
    monkeypatch.setattr(sys, name, value)
  monkeypatch.setattr(cli.app, 'run', lambda *_, **__: print('\u00fc'))
  cli.run(None)
  file.flush()
  assert file.buffer.getvalue() == b'\\xfc\n'


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_mistake(run):
  read, write = os.pipe()
  os.close(read)
  for env in {}, {'PYTHONUNBUFFERED': '1'}:  # Written at the end, or at once.
    code, _, told = run('--depth=7', stdout=write, **env)
    assert (code, told) == (141, '')
  os.close(write)
