"""Every model with every objective trains, resumes and is evaluated."""
import dataclasses
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.recipes.loaded import trained
from lmjax.recipes import pretraining
from lmjax.training import options

ROOT = pathlib.Path(__file__).parents[1] / 'experiments'


def _module(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


CONFIGS = _module(ROOT / 'configs/objectives.py')
TRAINED = sorted(name for name, config in CONFIGS.PAIRS.items()
                 if isinstance(config, experiment.Pretrain))
SOME = ['t5_spans']  # Without -m slow.
# One of each way to make batches and to divide a loss, in CI.
RESUMED = ['decoder_middle', 'encoder_next_sentence', 'electra',
           'lstm_truncated', 'decoder_ul2', 'bart', 'xlnet']
SPEECH = 'Speaker {}:\nI say that {} times {} is {}, and so do you say it.'


def _small(tree):
  """Returns a tree of configs with every model in it made small."""
  sizes = {'width': 32, 'num_layers': 1, 'context': 48, 'hidden': 32}
  if not dataclasses.is_dataclass(tree):
    return tree
  changes = {}
  for field in dataclasses.fields(tree):
    value = getattr(tree, field.name)
    if field.name in sizes and isinstance(value, int):
      changes[field.name] = sizes[field.name]
    elif dataclasses.is_dataclass(value):
      changes[field.name] = _small(value)
  if isinstance(tree, parts.Embed) and tree.size is not None:
    changes['size'] = 32
  return dataclasses.replace(tree, **changes)


def _tiny(name, folder):
  """Returns a pair as its config says, but small, on 80 short speeches."""
  path = folder / 'play.txt'
  path.write_text('\n\n'.join(
      SPEECH.format(i % 9, i, i, i * i) for i in range(80)))
  config = CONFIGS.PAIRS[name]
  packing = config.data.packing
  if isinstance(packing, continuous.Continuous):
    packing = continuous.Continuous(streams=4)
  return dataclasses.replace(
      config, model=_small(config.model),
      data=dataclasses.replace(
          config.data, packing=packing, length=48, batch_size=4,
          source=sources.TextFiles(paths=(str(path),), split_on='paragraph')),
      optimizer=dataclasses.replace(
          config.optimizer, schedule=type(config.optimizer.schedule)()),
      training=options.Training(
          steps=4, eval_every=2, eval_tokens=200, log_every=1),
      scoring=scoring.Scoring(batch_size=4, tokens=120))


@pytest.mark.parametrize('name', [
    name if name in SOME else pytest.param(name, marks=pytest.mark.slow)
    for name in TRAINED])
def test_a_pair_learns_with_every_parameter_and_evaluates_alike(name, tmp_path):
  config = _tiny(name, tmp_path)
  data = config.data.build(tmp_path, length=config.model.context)
  model = config.model.with_vocab(data.tokenizer.vocab_size).build()
  objective = config.objective.build(model, data.tokenizer)
  params, batch = decoder.initial_params(model, 0), data.batches()(0)

  def value(params, key):
    found = objective(params, batch, rng=key)
    return found['loss'].total / found['loss'].weight, found

  (loss, found), grads = jax.jit(jax.value_and_grad(value, has_aux=True))(
      params, jax.random.key(0))
  assert np.isfinite(loss) and float(found['loss'].weight) > 0
  for path, leaf in trees.items(grads):
    assert np.all(np.isfinite(leaf)), path
  lower, _ = jax.jit(value)(jax.tree.map(
      lambda p, g: p - 1e-3 * g / (1e-6 + jnp.linalg.norm(g)), params, grads),
                            jax.random.key(0))
  assert lower < loss
  evaluated = jax.jit(objective)
  one, other = evaluated(params, batch), evaluated(params, batch)
  jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=(
        pytest.mark.slow if name in RESUMED else pytest.mark.exhaustive))
    for name in TRAINED])
def test_a_pair_trains_resumes_and_is_scored(name, tmp_path, monkeypatch):
  config = _tiny(name, tmp_path)
  whole = pretraining.pretrain(config, str(tmp_path / 'whole'))
  if config.objective.likelihood != 'none':
    assert whole[0].tokens > 50 and np.isfinite(whole[0].nats_per_token)
    assert trained.load(tmp_path / 'whole').kind == config.likelihood
  page = (tmp_path / 'whole/report.html').read_text()
  # No baseline's numbers are shown as those of a model without a likelihood.
  assert ('bits per byte' in page) == (config.objective.likelihood != 'none')
  draw = pipeline.Batches.__call__
  def fails(self, step):
    if step == 3:
      raise OSError('the disk is gone')
    return draw(self, step)
  with monkeypatch.context() as patch:
    patch.setattr(pipeline.Batches, '__call__', fails)
    with pytest.raises(OSError, match='the disk is gone'):
      pretraining.pretrain(config, str(tmp_path / 'broken'))
  pretraining.pretrain(config, str(tmp_path / 'broken'))  # From step 2 on.
  one, other = (trained.load(tmp_path / name, 'latest')
                for name in ('whole', 'broken'))
  assert one.step == other.step == 4
  assert one.digest == other.digest


def test_the_counted_pair_is_there():
  assert isinstance(CONFIGS.PAIRS['ngram'], experiment.Count)
  with pytest.raises(ValueError, match="Did you mean 'xlnet'"):
    CONFIGS.get_config('xlnt')


def test_a_text_without_speakers_is_refused_before_any_pair_trains(
    tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(str(ROOT))
  script = _module(ROOT / 'compare_objectives.py')
  monkeypatch.setattr(script.comparison, 'within', lambda *args: pytest.fail())
  monkeypatch.setattr(script.counting, 'count', lambda *args: pytest.fail())
  text = tmp_path / 'input.txt'
  text.write_text('\n\n'.join(f'Verse {i} of a poem.' for i in range(90)))
  with pytest.raises(errors.InputError, match='2 speakers'):
    script.compare(str(text), str(tmp_path), ['ngram', 'lstm_causal'], 0.01)


@pytest.mark.slow
def test_a_pair_that_fails_leaves_out_its_row(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(str(ROOT))
  script = _module(ROOT / 'compare_objectives.py')
  monkeypatch.setattr(script.comparison, 'untrained', lambda *args: (
      lambda texts: np.eye(len(texts))))
  def train(*args):
    raise errors.RunError('the loss is NaN.')
  monkeypatch.setattr(script.comparison, 'within', train)
  play = tmp_path / 'play.txt'
  play.write_text('\n\n'.join(
      f'{name}:\nI {word} {i}, and {word} again {i * i}.' for i in range(250)
      for name, word in (('Romeo', 'love'), ('Tybalt', 'hate'))))
  with pytest.raises(errors.RunError, match=r'the lstm_causal \(the loss is'):
    script.compare(str(play), str(tmp_path), ['lstm_causal', 'ngram'], 0.01)
  rows = json.loads((tmp_path / 'table.json').read_text())['rows']
  assert [row['name'] for row in rows] == ['ngram']
  assert (tmp_path / 'table.png').exists()
