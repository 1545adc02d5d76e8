"""A run trained in Python is the run of the script, with or without a folder.
"""
import dataclasses
import os
import signal
import threading

import pytest

import lmjax
from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.presets import decoders
from lmjax.recipes import interactive
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows
from lmjax.training import options

CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=tuple(
            f'document {i} says {i * i}' for i in range(40))),
        split=splits.HashSplit(valid=0.3, test=0), tokenizer=symbols.Bytes(),
        batch_size=2),
    model=decoders.gpt2(8, 1, 2, vocab_size=None, context=16),
    training=options.Training(
        steps=12, eval_every=4, eval_tokens=99, log_every=2),
    samples=samples.Samples(prompts=()))


@pytest.fixture(scope='module')
def run():
  return lmjax.pretrain(CONFIG)


@pytest.mark.slow
def test_a_run_in_memory_is_the_run_in_a_directory(run, tmp_path):
  other = lmjax.pretrain(CONFIG, str(tmp_path / 'run'))
  assert run.digest == other.digest == lmjax.load(tmp_path / 'run').digest
  assert (run.step, run.config) == (other.step, other.config)
  assert [r.nats for r in run.reports] == [r.nats for r in other.reports]
  timed = 'tokens_per_s', 'mfu', 'seconds'
  plain = [[{name: value for name, value in row.items() if name not in timed}
            for row in history] for history in (run.history, other.history)]
  assert plain[0] == plain[1] and plain[0][-1]['step'] == 12
  assert run.generate('doc', seed=1) == other.generate('doc', seed=1)
  assert run.score('doc').tokens == 4


@pytest.mark.slow
def test_averaged_parameters_are_those_of_a_directory(tmp_path):
  config = dataclasses.replace(CONFIG, training=dataclasses.replace(
      CONFIG.training, ema_decay=0.9, steps=4))
  assert lmjax.pretrain(config).digest == lmjax.pretrain(
      config, tmp_path / 'run').digest


@pytest.mark.slow
def test_nothing_is_written(run, tmp_path, monkeypatch):
  temporary, here = tmp_path / 'temporary', tmp_path / 'here'
  temporary.mkdir(), here.mkdir()
  monkeypatch.chdir(here)
  monkeypatch.setattr('tempfile.tempdir', str(temporary))
  found = []

  def train():  # Outside the main thread, as some servers of notebooks do.
    found.append(lmjax.pretrain(CONFIG))
  thread = threading.Thread(target=train)
  thread.start()
  thread.join()
  assert found[0].digest == run.digest
  assert not list(temporary.iterdir()) and not list(here.iterdir())


@pytest.mark.slow
def test_an_interrupt_returns_the_run_as_it_is(monkeypatch, capsys):
  def evaluate(self):
    def interrupted(params, step):
      os.kill(os.getpid(), signal.SIGINT)
      return {'valid/loss': 1.0, 'valid/accuracy': 0.0}
    return interrupted
  monkeypatch.setattr(interactive._Results, 'watcher', evaluate)
  run = lmjax.pretrain(CONFIG)
  assert 'Interrupted: training ends' in capsys.readouterr().err
  assert run.step in (4, 5) and run.history[-1]['step'] <= 5
  assert run.generate('doc', max_new_tokens=3) is not None


def test_another_config_is_refused():
  with pytest.raises(errors.InputError, match='Pretrain; got Count'):
    lmjax.pretrain(experiment.Count())
  with pytest.raises(errors.InputError, match='Finetune; got Pretrain'):
    lmjax.finetune(CONFIG)


@pytest.mark.slow
def test_fine_tuning_in_memory_is_fine_tuning_in_a_directory(
    tmp_path, monkeypatch):
  examples = tuple((f'{word} {i}', word[0]) for i in range(4)
                   for word in ('good', 'bad'))
  config = experiment.Finetune(
      task=classification.Classification(
          source=labelled.Labelled(*[in_memory.InMemory(examples)] * 3,
                                   drop_shared=False),
          features=rows.Features(lengths=(8,), batch_size=4)),
      tokenizer=symbols.Bytes(),
      model=decoders.gpt2(8, 1, 2, vocab_size=None, context=8),
      training=options.Training(steps=4, eval_every=2))
  other = lmjax.finetune(config, str(tmp_path / 'run'))
  (tmp_path / 'here').mkdir()
  monkeypatch.chdir(tmp_path / 'here')
  run = lmjax.finetune(config)
  assert run.digest == other.digest and run.step == other.step
  assert run.predict(['good day']) == other.predict(['good day'])
  assert run.results['model'].metrics == other.results['model'].metrics
  assert [row['step'] for row in run.history] == [
      row['step'] for row in other.history]
  assert not list((tmp_path / 'here').iterdir())


@pytest.mark.slow
def test_a_padded_vocabulary_trains_draws_scores_and_fine_tunes(tmp_path):
  config = dataclasses.replace(
      CONFIG, model=decoders.gpt2(8, 1, 2, vocab_size=512, context=16),
      samples=samples.Samples(prompts=('', 'doc')))
  run = lmjax.pretrain(config, tmp_path / 'run')
  assert run.params['embed']['embedding'].shape == (512, 8)
  assert (tmp_path / 'run/report.html').exists()
  drawn = run.generate(['doc'] * 20, max_new_tokens=12, top_p=1.0)
  assert len(set(drawn)) > 1  # Decoding an id beyond the tokenizer would raise.
  assert lmjax.load(tmp_path / 'run').score('doc') == run.score('doc')
  examples = tuple((f'{word} {i}', word) for i in range(4)
                   for word in ('good', 'bad'))
  tuned = lmjax.finetune(experiment.Finetune(
      init=str(tmp_path / 'run'),
      task=classification.Classification(
          source=labelled.Labelled(*[in_memory.InMemory(examples)] * 3,
                                   drop_shared=False),
          features=rows.Features(lengths=(8,), batch_size=4)),
      training=options.Training(steps=2)))
  assert tuned.predict('good')['predicted'] in ('good', 'bad')


def test_a_vocabulary_smaller_than_the_tokenizers_is_refused():
  config = dataclasses.replace(
      CONFIG, model=decoders.gpt2(8, 1, 2, vocab_size=100, context=16))
  with pytest.raises(errors.InputError, match='has 258 ids, but .* is 100'):
    lmjax.pretrain(config)
