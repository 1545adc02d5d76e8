"""What a researcher adds is one new file and one line of a table."""
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
NEW = ROOT / 'tests/reference/extensions'
SMALL = (
    '--config.tokenizer.kind=Bytes', '--config.model.context=128',
    '--config.model.width=16', '--config.model.num_layers=1',
    '--config.optimizer.schedule.kind=Constant')
PRETRAIN = (
    'pretrain', '--config.data.source.kind=TextFiles',
    '--config.data.source.paths=text.txt',
    '--config.data.source.split_on=line', '--config.data.batch_size=4',
    SMALL[0].replace('config.', 'config.data.'), *SMALL[1:],
    '--config.samples.prompts=[]')
FINETUNE = ('finetune', *SMALL, '--config.init=None')
ADDED = {  # Its file, where that goes, its name, and how flags choose it.
    'an objective': (
        'focal', 'objectives', 'Focal', PRETRAIN,
        '--config.objective.kind=Focal'),
    'a mixer': (
        'shift', 'nn', 'ShiftConfig', PRETRAIN,
        '--config.model.block.mixer.kind=ShiftConfig'),
    'a kind of task': (
        'parity', 'tasks', 'Parity', FINETUNE, '--config.task.kind=Parity'),
    'a source': (
        'numerals', 'data/text', 'Numerals', PRETRAIN,
        '--config.data.source.kind=Numerals'),
    'an optimizer': (
        'signs', 'training/optimizers', 'SignSGD', PRETRAIN,
        '--config.optimizer.kind=SignSGD'),
}


def listed(package, room, file, name):
  """Writes a name into the table of a room, or the union of the mixers."""
  module = f'lmjax.{room.replace("/", ".")}'
  if room == 'nn':
    table, = (path for path in (package / 'nn').rglob('*.py')
              if re.search('^Mixer = ', path.read_text(), re.M))
    old, new = r'^(Mixer = .*)$', rf'\1 | {file}.{name}'
  else:
    table, old = package / room / '__init__.py', r'^([A-Z]+ = \{)$'
    new = rf"\1\n    '{name}': {file}.{name},"
  text, count = re.subn(old, new, table.read_text(), flags=re.M)
  assert count == 1
  text, count = re.subn(
      r'^(from lmjax\.\S+ import \w+)$', rf'\1\nfrom {module} import {file}',
      text, count=1, flags=re.M)
  assert count == 1
  table.write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize('what', ADDED)
def test_a_new_file_and_a_line_make_it_a_choice_of_the_flags(what, tmp_path):
  file, room, name, (script, *flags), chosen = ADDED[what]
  for folder in 'lmjax', 'experiments':
    shutil.copytree(ROOT / folder, tmp_path / folder)
  shutil.copy(NEW / f'{file}.py', tmp_path / 'lmjax' / room)
  listed(tmp_path / 'lmjax', room, file, name)
  (tmp_path / 'text.txt').write_text(''.join(
      f'Line {i} says that {i} times {i} is {i * i}.\n' for i in range(300)))
  if room == 'data/text':  # Other sources' fields are not its own.
    flags = [flag for flag in flags if '.source.' not in flag]

  done = subprocess.run(
      [sys.executable, f'experiments/{script}.py', '--workdir=run', *flags,
       '--config.training.steps=2', '--config.training.log_every=1', chosen],
      capture_output=True, text=True, timeout=500, check=False, cwd=tmp_path,
      env=os.environ | {
          'PYTHONPATH': str(tmp_path), 'JAX_PLATFORMS': 'cpu'})

  assert done.returncode == 0, done.stderr
  config = json.loads((tmp_path / 'run/config.json').read_text())
  for part in chosen.partition('=')[0].split('.')[1:]:
    config = config[part]
  assert config == name
  rows = map(json.loads, (tmp_path / 'run/metrics.jsonl').open())
  losses = [row['loss'] for row in rows if 'loss' in row]
  assert len(losses) == 2 and all(map(math.isfinite, losses))
