"""A run that is started with secrets leaves none of them behind."""
import json
import os
import re
import shlex
import sys

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.core import secrets
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.presets import decoders
from lmjax.recipes.loaded import trained
from lmjax.recipes import pretraining
from lmjax.run import directory
from lmjax.training import options
from lmjax.training import step as step_lib
import numpy as np
import optax
import pytest

# One a way in, each unlike the keys that are known by how they begin.
ENVIRONMENT, FLAG, APART, USER, SIGNATURE = (
    f'SENTINEL{name}{"x" * 8}' for name in (
        'env', 'flag', 'apart', 'user', 'signature'))
KNOWN = 'hf_SENTINEL0123456789'


def traces(folder):
  """Returns the files, or names of files, that hold a sentinel."""
  found = []
  for path in folder.rglob('*'):
    content = path.read_bytes() if path.is_file() else b''
    if 'SENTINEL' in path.name or b'SENTINEL' in content:
      found.append((str(path.relative_to(folder)), sorted(set(
          re.findall(rb'.{0,40}SENTINEL\w*', content)))[:3]))
  return found


def test_names_beside_digests_hold_none_either(tmp_path):
  config, name = experiment.Count(), f'data.source: https://{USER}@host/x'
  directory.open_run(tmp_path, config, {name: 'a' * 64})
  assert not traces(tmp_path)
  directory.open_run(tmp_path, config, {name: 'a' * 64})
  with pytest.raises(errors.InputError, match='x changed: a+ -> b+') as caught:
    directory.open_run(tmp_path, config, {name: 'b' * 64})
  assert 'SENTINEL' not in str(caught.value)


def test_checkpoints_keep_none(tmp_path):
  state = step_lib.init_state(
      {'kernel': np.ones((2, 2), np.float32)}, optax.sgd(0.1), 0)
  facts = {'config': {'hf_token': FLAG, 'path': f'https://me:{USER}@host/'},
           'pipeline': {f'data: https://{USER}@host/x': [KNOWN]}}
  for number in 1, 2:  # What is hidden is equal when the run goes on.
    with store.Checkpoints(tmp_path / 'run', facts=facts) as saved:
      state, _ = saved.resume(state)
      saved.save(number, state)
  assert not traces(tmp_path)


@pytest.mark.slow
def test_no_secret_is_in_the_files_of_a_run(tmp_path, monkeypatch, capfd):
  # A folder that is an address: with a user, and a file that is signed.
  folder = tmp_path / f'https:/me:{USER}@host/'
  folder.mkdir(parents=True)
  (folder / f'x.txt?sig={SIGNATURE}').write_text('\n\n'.join(
      f'Line {i} says that {i} is {i % 7}.' for i in range(200)))
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HF_TOKEN', ENVIRONMENT)
  monkeypatch.setattr(sys, 'orig_argv', [
      'pretrain.py', f'--api_key={FLAG}', '--password', APART,
      f'--title={KNOWN}', f'--config.data.source.paths=https://me:{USER}@host/',
      f'--note={ENVIRONMENT}', '--eval_tokens=77'])
  config = experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.TextFiles(
              (f'https://me:{USER}@host/x.txt?sig={SIGNATURE}',), 'paragraph'),
          split=splits.HashSplit(valid=0.2, test=0.0),
          tokenizer=symbols.Bytes(), batch_size=4),
      model=decoders.llama(16, 1, 2, 1, 32, vocab_size=None, context=48),
      training=options.Training(steps=2, eval_every=1),
      samples=samples.Samples(
          prompts=('<img src=x onerror=alert(1)>', 'b'),
          max_new_tokens=2))
  run = tmp_path / 'run'
  pretraining.pretrain(config, str(run))
  assert len(list((run / 'checkpoints').iterdir())) == 2
  assert list((run / 'tensorboard').iterdir())
  assert not traces(run)
  assert 'SENTINEL' not in ''.join(capfd.readouterr())

  start, = json.loads((run / 'run.json').read_text())
  command = shlex.split(start['command'])
  assert command[1:4] == [
      f'--api_key={secrets.HIDDEN}', '--password', secrets.HIDDEN]
  assert command[-1] == '--eval_tokens=77'
  path, = json.loads((run / 'config.json').read_text())[
      'data']['source']['paths']
  assert path == (f'https://{secrets.HIDDEN}@host/x.txt?sig={secrets.HIDDEN}')

  # What is hidden is equal to what is hidden: the run can go on, ...
  pretraining.pretrain(config, str(run))
  assert len(json.loads((run / 'run.json').read_text())) == 2
  assert not traces(run)
  assert trained.load(run).config.training == config.training
  # ... and what is not hidden is still compared, and told without it.
  os.rename(folder / f'x.txt?sig={SIGNATURE}',
            folder / f'y.txt?sig={SIGNATURE}')
  other = experiment.Pretrain(**{**vars(config), 'data': pipeline.DataConfig(
      **{**vars(config.data), 'source': sources.TextFiles(
          (f'https://me:{USER}@host/y.txt?sig={SIGNATURE}',), 'paragraph')})})
  with pytest.raises(errors.InputError, match='y.txt') as caught:
    pretraining.pretrain(other, str(run))
  assert 'SENTINEL' not in str(caught.value)
  assert not traces(run)
