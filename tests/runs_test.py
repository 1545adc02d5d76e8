"""A run directory is read back whole, or refused."""
import pytest

from lmjax import counting
from lmjax import experiment
from lmjax import runs
from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data import sources
from lmjax.data import splits
from lmjax.data import symbols
from lmjax.models import decoder
from lmjax.models import ngram
from lmjax.models import presets
from lmjax.objectives import replaced
from lmjax.training import checkpoints
from lmjax.training import optimizers
from lmjax.training import rundir
from lmjax.training import step

CONFIG = experiment.Pretrain(
    model=presets.gpt2(8, 1, 2, vocab_size=None, context=8))


def _run(path):
  """Writes a run directory without training."""
  run = rundir.open_run(path, CONFIG, {'data': 'd', 'tokenizer': 't'})
  tokenizer = symbols.Bytes().build()
  tokenizer.save(run.tokenizer)
  model = CONFIG.model.with_vocab(tokenizer.vocab_size).build()
  params = decoder.initial_params(model, 0)
  optimizer = optimizers.SGD().build(params, 1)
  with checkpoints.Checkpoints(run.checkpoints) as saved:
    saved.save(1, step.init_state(params, optimizer, 0), score=1.0)
  return run


def test_a_run_is_read_back_whole(tmp_path):
  run = _run(tmp_path)
  trained = runs.load(run.path)
  assert trained.step == 1
  assert trained.config.model.vocab_size == trained.tokenizer.vocab_size == 258
  logits_BTV, _ = trained.model.apply(
      {'params': trained.params}, trained.tokenizer.encode('abc')[None])
  assert logits_BTV.shape == (1, 3, 258)


def test_what_is_no_run_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='not a run directory'):
    runs.load(tmp_path)
  (tmp_path / 'config.json').write_text('{')
  with pytest.raises(errors.InputError, match='not JSON'):
    runs.load(tmp_path)


def _counted(path, order, tokenizer):
  config = experiment.Count(
      data=pipeline.DataConfig(
          source=sources.InMemory(texts=tuple(
              f'text {i} is {i * i}' for i in range(60))),
          split=splits.HashSplit(valid=0.3, test=0), tokenizer=tokenizer),
      model=ngram.NgramConfig(order=order))
  counting.count(config, str(path))
  return str(path)


def test_runs_mix_under_weights_of_their_validation_text(tmp_path):
  one = _counted(tmp_path / 'one', 1, symbols.Bytes())
  other = _counted(tmp_path / 'other', 3, symbols.Bytes())
  run, config = runs.load_any(one), experiment.Evaluate(mix=(other,))
  found = runs.mixtures(run, run.score(), config, 32, one)['mixture']
  assert found.weights[1] > 0.9  # The trigram knows more.
  text, train = runs.texts(run, config, one)
  assert text.digest != train.digest
  assert runs.mixtures(run, run.score(), experiment.Evaluate(), 32, one) == {}


def test_runs_of_other_tokenizers_do_not_mix(tmp_path):
  one = _counted(tmp_path / 'one', 1, symbols.Bytes())
  other = _counted(tmp_path / 'other', 1, symbols.Characters())
  run = runs.load_any(one)
  with pytest.raises(errors.InputError, match='another tokenizer'):
    runs.mixtures(
        run, run.score(), experiment.Evaluate(mix=(other,)), 32, one)


def test_an_objective_without_likelihood_scores_no_text():
  assert runs.scorer(replaced.ReplacedTokens(), None) is None
