"""A run goes on from the parameters of another one."""
import dataclasses
import json
import shutil

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.interop import runs
from lmjax.models.counted import word_vectors
from lmjax.recipes import beginning
from lmjax.recipes import importing
from lmjax.recipes.loaded import trained
from lmjax.recipes import prepared
from lmjax.recipes import pretraining
from lmjax.run import directory
from lmjax.training import options
from tests.reference import published

TEXTS = tuple(f'Text {i} is about the number {i * i}.\n' for i in range(60))


@pytest.fixture(name='config', scope='module')
def _config(tmp_path_factory):
  """The config of a run that goes on from an imported model."""
  folder = tmp_path_factory.mktemp('beginning')
  published.llama(folder / 'files', {'eos_token_id': [256, 3]})
  run = importing.save(*importing.load(folder / 'files'), folder / 'run')
  return on(run.path)


def on(path):
  own = trained.read_config(directory.RunDir(path))
  return dataclasses.replace(
      own, init=str(path), samples=samples.Samples(prompts=()),
      data=dataclasses.replace(
          own.data, source=sources.InMemory(TEXTS), split=splits.HashSplit(),
          length=32, batch_size=4),
      training=options.Training(
          steps=2, eval_every=1, parallel='mesh', mesh='fsdp:4,tensor:2'))


def test_the_first_parameters_are_those_of_the_run(config, tmp_path):
  before = runs.load(config.init)
  want = dict(trees.items(before.params))
  parts = prepared.prepare(config, str(tmp_path))
  assert parts.tokenizer.digest == before.tokenizer.digest
  for path, array in trees.items(parts.initial_params()):
    np.testing.assert_array_equal(array, want[path])
  scanned = dataclasses.replace(config.model, scan=True)
  assert 'layers' in beginning.params(config.init, scanned)


@pytest.mark.parametrize('change, told', [
    (lambda config: dict(model=dataclasses.replace(config.model, context=32)),
     'model.context: 64 -> 32'),
    (lambda config: dict(data=dataclasses.replace(
        config.data, tokenizer=symbols.Bytes())), 'data.tokenizer.kind'),
    (lambda config: dict(data=dataclasses.replace(
        config.data, specials=('[MASK]',))), 'data.specials')])
def test_another_model_or_tokenizer_is_refused(config, change, told, tmp_path):
  other = dataclasses.replace(config, **change(config))
  with pytest.raises(errors.InputError, match=f'(?s){told}.*--config=/'):
    beginning.tokenizer(other, str(tmp_path))


def test_vectors_would_replace_the_embedding():
  with pytest.raises(errors.InputError, match='config.init .* config.vectors'):
    experiment.Pretrain(init='run', vectors=word_vectors.SkipGram())


def test_without_another_run_nothing_is_read(tmp_path):
  config = experiment.Pretrain(data=pipeline.DataConfig())
  assert beginning.tokenizer(config, str(tmp_path)) is None
  assert beginning.hashes(config, None) == {}


@pytest.mark.slow
def test_a_run_goes_on_where_the_other_one_ended(config, tmp_path):
  shutil.copytree(config.init, tmp_path / 'init')
  config = on(tmp_path / 'init')
  before = trained.load(config.init)
  pretraining.pretrain(config, str(tmp_path / 'run'))
  run = directory.RunDir(tmp_path / 'run')
  rows = [json.loads(line) for line in run.metrics.open()]
  losses = {row['step']: row['valid/loss'] for row in rows
            if 'valid/loss' in row}
  found = before.score(
      list(config.data.part('valid').documents()),
      scoring.Scoring(context=config.scoring.context, stride=63))
  assert losses.keys() == {0, 1, 2}
  assert losses[0] == pytest.approx(
      sum(each.nats for each in found) / sum(each.tokens for each in found),
      rel=1e-5)
  assert losses[2] < losses[0]
  hashes = json.loads(run.facts.read_text())[0]['hashes']
  assert hashes['init: parameters'] == before.digest
  assert trained.load(run.path).published == before.published

  shutil.rmtree(config.init)  # It is not read again.
  pretraining.pretrain(config, str(run.path))
  assert rows == [json.loads(line) for line in run.metrics.open()]
  with pytest.raises(errors.InputError, match='init: '):
    pretraining.pretrain(
        dataclasses.replace(config, init=str(tmp_path)), str(run.path))
