"""What a new user does first: the README's commands on files of one's own."""
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def _commands():
  """Returns the commands under the README's heading on one's own text."""
  text = (ROOT / 'README.md').read_text()
  block = re.search(
      r'## Your own text, in five commands\n.*?```bash\n(.*?)```', text,
      flags=re.DOTALL)[1]
  return [line.split(' && ') for line in block.splitlines()]


def _run(command, folder):
  python, script, *arguments = shlex.split(command)
  assert python == 'python'
  if script.endswith(('pretrain.py', 'finetune.py')):
    arguments.append('--config.training.steps=3')
  return subprocess.run(
      [sys.executable, ROOT / script, *arguments], cwd=folder, text=True,
      capture_output=True, timeout=900, check=False,
      env=os.environ | {'PYTHONPATH': str(ROOT)})


def test_there_are_five_commands():
  assert len(_commands()) == 5


@pytest.mark.slow
def test_the_five_commands_run_one_after_another(tmp_path):
  words = 'the soup was cold and a waiter came with more bread for us'.split()
  (tmp_path / 'book.txt').write_text('\n'.join(
      ' '.join(words[(i * k) % len(words)] for k in range(1, 9)) + '.'
      for i in range(1500)))
  (tmp_path / 'reviews.csv').write_text('review,stars\n' + ''.join(
      f'The soup was {["cold", "hot"][i % 2]} on day {i}.,{1 + 4 * (i % 2)}\n'
      for i in range(120)))
  said = []
  for line in _commands():
    for command in line:
      done = _run(command, tmp_path)
      assert done.returncode == 0, (command, done.stdout, done.stderr)
      said.append(' '.join(done.stdout.split()))
  trained, continued, tuned, answered, _, compared = said
  assert 'each scored once' in trained and 'last 10% of it is held' in trained
  assert continued.startswith('The ')
  assert 'labels: 1 (60), 5 (60)' in tuned
  assert '"predicted": ' in answered
  assert 'mine' in compared and 'wide' in compared
