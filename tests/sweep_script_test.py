"""experiments/sweep.py: runs, skips, continues, fails and prints commands."""
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.reference import environment

ROOT = pathlib.Path(__file__).parents[1]

def command(tmp_path, *flags):
  for name in 'one', 'two':
    (tmp_path / f'{name}.txt').write_text('\n\n'.join(
        f'Line {i} of a text that says {name} and {i % 7}.'
        for i in range(300)))
  return [sys.executable, str(ROOT / 'experiments/sweep.py'),
          f'--workdir={tmp_path / "sweep"}',
          '--config.data.source.kind=TextFiles',
          '--config.data.source.split_on=paragraph',
          '--config.data.tokenizer.kind=Bytes', *flags]


def run(*args):
  done = subprocess.run(
      args, capture_output=True, text=True, timeout=600, env=environment.clean(), check=False)
  return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_one_run_fails_and_the_others_are_compared(tmp_path):
  paths = [str(tmp_path / f'{name}.txt') for name in ('one', 'absent', 'two')]
  swept = command(tmp_path, '--config=ngram',
                  f'--sweep.data.source.paths={",".join(paths)}')
  code, told, wrong = run(*swept)
  assert code == 1, wrong
  assert 'absent.txt failed with exit code 2; the sweep goes on.' in wrong
  assert 'Error: 1 of 3 runs failed: ' in wrong
  saved = json.loads((tmp_path / 'sweep/sweep.json').read_text())
  assert [len(row['runs']) for row in saved['rows']] == [1, 0, 1]
  assert (tmp_path / 'sweep/sweep.png').exists()

  (tmp_path / 'absent.txt').write_text((tmp_path / 'one.txt').read_text())
  code, told, wrong = run(*swept)
  assert code == 0, wrong
  assert told.count('finished already') == 2
  saved = json.loads((tmp_path / 'sweep/sweep.json').read_text())
  assert [len(row['runs']) for row in saved['rows']] == [1, 1, 1]


@pytest.mark.slow
def test_commands_are_printed_for_a_scheduler(tmp_path):
  swept = command(tmp_path, '--config=ngram', '--sweep.model.order=2,3',
                  f'--config.data.source.paths={tmp_path / "one.txt"}',
                  '--watchdog_s=0', '--print')
  code, told, wrong = run(*swept)
  assert code == 0, wrong
  first, second = told.splitlines()
  assert not (tmp_path / 'sweep').exists()
  assert '--watchdog_s=0' in first
  assert run(*shlex.split(first))[0] == 0
  assert run(*swept)[1] == second + '\n'


@pytest.mark.slow
def test_a_mistake_is_refused_before_the_first_run(tmp_path):
  for flag, message in (
      ('--sweep.model.num_layers=2,x', '--sweep.model.num_layers should be'),
      ('--sweep.model.layers=2,3', 'sweep.model.layers is not a field'),
      ('--seeds=1', 'There is nothing to sweep')):
    code, told, wrong = run(*command(
        tmp_path, flag, f'--config.data.source.paths={tmp_path / "one.txt"}'))
    assert (code, told) == (2, '') and not (tmp_path / 'sweep').exists()
    assert message in wrong, wrong


@pytest.mark.slow
def test_a_signal_saves_the_run_and_the_same_command_continues(tmp_path):
  swept = command(
      tmp_path, f'--config.data.source.paths={tmp_path / "one.txt"}',
      '--config.model.context=32', '--config.model.width=32',
      '--config.model.num_layers=1', '--config.training.steps=800',
      '--config.training.eval_every=400', '--config.samples.prompts=[]',
      '--config.training.log_every=1', '--seeds=2')
  process = subprocess.Popen(
      swept, env=environment.clean(), stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, text=True)
  metrics = tmp_path / 'sweep/seed=0/metrics.jsonl'
  while not metrics.exists() or not metrics.read_text():
    assert process.poll() is None, process.stdout.read()
    time.sleep(0.1)
  process.send_signal(signal.SIGTERM)
  told = process.communicate(timeout=300)[0]
  assert process.returncode == 75, told
  assert 'the same command continues it' in told
  assert not (tmp_path / 'sweep/seed=1').exists()
  code, told, wrong = run(*swept)
  assert code == 0, wrong
  assert (tmp_path / 'sweep/seed=1/report.json').exists()
