"""A run directory is loaded completely, or refused."""
import dataclasses
import re

import numpy as np
import pytest

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import branches
from lmjax.evaluation import held_out
from lmjax.evaluation import scoring as scoring_lib
from lmjax import experiment
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.objectives.encoders import mlm
from lmjax.recipes import counting
from lmjax.recipes.loaded import trained as trained_lib
from lmjax.run import directory
from lmjax.training.optimizers import sgd
from lmjax.training import step

CONFIG = experiment.Pretrain(
    model=decoders.gpt2(8, 1, 2, vocab_size=None, context=8))


LSTM = lstm.RecurrentConfig(width=8, num_layers=1, context=8)


def _run(path, data=CONFIG.data, model=CONFIG.model, **changes):
  """Writes a run directory without training."""
  config = dataclasses.replace(CONFIG, data=data, model=model, **changes)
  run = directory.open_run(path, config, {'data': 'd', 'tokenizer': 't'})
  tokenizer = symbols.Bytes().build()
  tokenizer.save(run.tokenizer)
  model = model.with_vocab(tokenizer.vocab_size).build()
  params = decoder.initial_params(model, 0)
  optimizer = sgd.SGD().build(params, 1)
  with store.Checkpoints(run.checkpoints) as saved:
    saved.save(1, step.init_state(params, optimizer, 0), score=1.0)
  return run


def test_a_run_is_read_back_whole(tmp_path):
  run = _run(tmp_path)
  trained = trained_lib.load(run.path)
  assert trained.step == 1
  assert trained.config.model.vocab_size == trained.tokenizer.vocab_size == 258
  logits_BTV, _ = trained.model.apply(
      {'params': trained.params}, trained.tokenizer.encode('abc')[None])
  assert logits_BTV.shape == (1, 3, 258)


def test_what_is_no_run_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='not a run directory'):
    trained_lib.load(tmp_path)
  (tmp_path / 'config.json').write_text('{')
  with pytest.raises(errors.InputError, match='not JSON'):
    trained_lib.load(tmp_path)


DATA = pipeline.DataConfig(
    source=sources.InMemory(texts=tuple(
        f'text {i} is {i * i}' for i in range(60))),
    split=splits.HashSplit(valid=0.3, test=0), tokenizer=symbols.Bytes())


def _counted(path, model, tokenizer=symbols.Bytes(), split=DATA.split):
  counting.count(experiment.Count(
      data=dataclasses.replace(DATA, tokenizer=tokenizer, split=split),
      model=model, scoring=scoring_lib.Scoring(context=16)), str(path))
  return str(path)


def _mixed(workdir, *others, **scoring):
  """Returns the reports of a run and of its mixture with others."""
  config = experiment.Evaluate(
      mix=others, baselines=False,
      scoring=scoring_lib.Scoring(batch_size=4, **scoring))
  run = trained_lib.load_any(workdir)
  text, _ = trained_lib.texts(run, config, workdir)
  score, lay = trained_lib.reading(run, config.scoring)
  return held_out.reports(
      score, text, run.tokenizer, context=run.context, stride=1, batch_size=4,
      lay=lay, tokens=scoring.get('tokens'),
      others=trained_lib.mixtures(run, config, workdir, text))[:2]


def test_runs_mix_under_weights_of_their_validation_text(tmp_path, capsys):
  one = _counted(tmp_path / 'one', ngram.NgramConfig(order=1))
  other = _counted(tmp_path / 'other', ngram.NgramConfig(order=3))
  alone, mixed = _mixed(one, other)
  better = _mixed(other)[0]
  assert mixed.nats_per_token <= better.nats_per_token < alone.nats_per_token
  shown = capsys.readouterr().out
  first, second = re.search(r'mixture: (\S+) \S+, (\S+)', shown).groups()
  assert float(second) > 0.9 > float(first)  # The trigram knows more.
  run = trained_lib.load_any(one)
  text, train = trained_lib.texts(run, experiment.Evaluate(), one)
  assert text.digest != train.digest
  assert trained_lib.mixtures(run, experiment.Evaluate(), one, text) == {}


@pytest.fixture(scope='module')
def alike(tmp_path_factory):
  """Runs of one text, by the names of their models."""
  path = tmp_path_factory.mktemp('alike')
  return {
      'ngram': _counted(path / 'ngram', ngram.NgramConfig(order=2)),
      'hmm': _counted(path / 'hmm', hmm.HmmConfig(num_states=2, steps=1)),
      'transformer': str(_run(path / 'transformer', DATA).path),
      'lstm': str(_run(path / 'lstm', DATA, LSTM).path)}


@pytest.mark.parametrize('one, other', [
    ('lstm', 'ngram'), ('lstm', 'transformer'),
    *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (
        ('ngram', 'lstm'), ('transformer', 'ngram'), ('transformer', 'hmm')))])
@pytest.mark.slow
def test_any_two_models_mix_with_states_carried(alike, one, other):
  alone, mixed = _mixed(alike[one], alike[other], carried=True)
  unmixed = _mixed(alike[other], carried=True)[0]
  assert alone.tokens == mixed.tokens
  # Both are of the same text: EM finds no less than the better one of the two.
  best = min(alone.nats_per_token, unmixed.nats_per_token)
  assert mixed.nats_per_token < best + 1e-5
  assert alone.data_hash == mixed.data_hash


@pytest.mark.slow
def test_a_state_is_carried_where_there_is_one(alike):
  carried, windows = (_mixed(alike['lstm'], carried=flag)[0]
                      for flag in (True, False))
  assert carried.by_position != windows.by_position
  assert carried.nats_per_token != windows.nats_per_token
  same = [_mixed(alike['transformer'], carried=flag)[0].nats_per_token
          for flag in (True, False)]
  assert same[0] == same[1]


@pytest.mark.slow
def test_a_state_is_carried_in_others_where_either_config_says_so(
    alike, tmp_path, monkeypatch):
  monkeypatch.setattr(
      trained_lib.interpolation, 'fit_weights', lambda tables: (0.5, 0.5))
  own = str(_run(tmp_path / 'own', DATA, LSTM, scoring=scoring_lib.Scoring(
      carried=True)).path)
  flagged, neither, itself = (
      _mixed(alike['ngram'], other, carried=flag)[1].nats_per_token
      for other, flag in (
          (alike['lstm'], True), (alike['lstm'], False), (own, False)))
  assert flagged == itself != neither


@pytest.mark.slow
def test_a_part_of_the_text_is_mixed_where_a_part_is_scored(alike):
  alone, mixed = _mixed(alike['ngram'], alike['transformer'], tokens=60)
  assert alone.tokens == mixed.tokens < 60


def test_windows_have_the_runs_length_by_default(alike):
  scoring = scoring_lib.Scoring(batch_size=4)
  batches = {}
  for name, change in (('transformer', {}), ('ngram', {}), (
      'ngram', {'context': 6, 'stride': 2})):
    _, lay = trained_lib.reading(trained_lib.load_any(alike[name]), dataclasses.replace(
        scoring, **change))
    batch = next(iter(lay([np.arange(30)])))
    batches[name, bool(change)] = batch
    assert batch['weights'].sum(1)[1] == change.get(
        'stride', batch['inputs'].shape[1] // 2)
  assert batches['transformer', False]['inputs'].shape == (4, 8)
  assert batches['ngram', False]['inputs'].shape == (4, 16)
  assert batches['ngram', True]['inputs'].shape == (4, 6)


def test_runs_of_other_tokenizers_do_not_mix(tmp_path):
  one, other = (
      _counted(tmp_path / tokenizer.__name__, ngram.NgramConfig(order=1),
               tokenizer()) for tokenizer in (symbols.Bytes, symbols.Characters))
  with pytest.raises(errors.InputError, match='another tokenizer'):
    _mixed(one, other)


@pytest.mark.slow
def test_what_cannot_be_mixed_is_refused(alike, tmp_path):
  prefixed = _run(tmp_path / 'conditional', DATA, decoders.gpt2(
      8, 1, 2, vocab_size=None, context=8), objective=mlm.MaskedLM()).path
  with pytest.raises(errors.InputError, match='run is exact, .* is pseudo'):
    _mixed(alike['ngram'], str(prefixed))
  alone = _counted(tmp_path / 'alone', ngram.NgramConfig(order=1), split=None)
  text = DATA.build(tmp_path, tokenizer=symbols.Bytes().build()).valid
  with pytest.raises(errors.InputError, match='the run has none'):
    trained_lib.mixtures(trained_lib.load_any(alone), experiment.Evaluate(
        mix=(alike['ngram'],)), alone, text)


@pytest.mark.slow
@pytest.mark.parametrize('model', [CONFIG.model, LSTM])
def test_continuations_are_rated_as_the_text_before_and_after_them(
    tmp_path, model):
  trained = trained_lib.load(_run(tmp_path, model=model).path)
  ids = np.concatenate([[trained.tokenizer.bos_id], [*b'abcd']])
  rate = trained_lib.rate(trained, 8, 2)
  (whole, tail), _ = rate([branches.Span(ids, 1), branches.Span(ids, 3)])
  (head,), _ = rate([branches.Span(ids[:3], 1)])
  assert whole == pytest.approx(head + tail, abs=1e-5) and tail > 1
  assert trained.score('ab').nats > head
