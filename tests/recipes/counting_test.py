"""A counted model makes a run that is read back and scored like any other."""
import dataclasses
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import by_document
from lmjax.evaluation import held_out
from lmjax.evaluation import likelihood
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_cache
from lmjax.recipes import counting
from lmjax.recipes.loaded import trained

TEXTS = tuple(f'document {i} says {i * i}, and {i} again' for i in range(60))
CONFIG = experiment.Count(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=TEXTS),
        split=splits.HashSplit(valid=0.3, test=0), tokenizer=symbols.Bytes()),
    model=ngram.NgramConfig(order=4),
    scoring=scoring.Scoring(context=16, stride=13, batch_size=4))


def test_a_run_is_reported_and_read_back_as_it_was(tmp_path):
  reports = counting.count(CONFIG, str(tmp_path / 'run'))
  assert [r.name for r in reports] == [
      '4-gram ModifiedKneserNey', 'uniform', 'unigram', 'bigram']
  assert reports[0].nats_per_token < reports[3].nats_per_token
  saved = json.loads((tmp_path / 'run/report.json').read_text())
  assert saved['reports'][0]['nats_per_token'] == reports[0].nats_per_token
  assert (reports[0].context, reports[0].stride) == (16, 13)
  kept = by_document.read(tmp_path / 'run/held_out.jsonl')
  assert kept.nats.sum() == pytest.approx(reports[0].nats)

  run = trained.load_any(tmp_path / 'run')
  assert run.digest == reports[0].parameters_hash and run.kind == 'exact'
  data = CONFIG.data.build(tmp_path / 'run', run.tokenizer)
  assert saved['tokens'] == data.train.num_tokens
  assert run.digest == CONFIG.model.fit(
      held_out.Documents(data.train), 258, run.tokenizer.bos_id).digest
  documents = [data.valid.document(i) for i in range(data.valid.num_documents)]
  whole = likelihood.evaluate(  # Windows of 16 lose no context of order 4.
      run.scorer(), documents, vocab_size=258, context=64, stride=64,
      bos_id=run.tokenizer.bos_id)
  assert whole.nats_per_token == pytest.approx(
      reports[0].nats_per_token, rel=1e-6)


def test_text_that_is_not_held_out_is_named_so(tmp_path):
  config = dataclasses.replace(
      CONFIG, model=ngram.NgramConfig(order=2),
      data=dataclasses.replace(CONFIG.data, split=None),
      scoring=dataclasses.replace(CONFIG.scoring, tokens=100))
  first = counting.count(config, str(tmp_path / 'run'))[0]
  assert 'on its training text' in first.name
  assert first.tokens < 100


def test_a_cache_is_kept_with_the_run(tmp_path):
  config = experiment.Count(
      CONFIG.data, ngram.NgramConfig(
          order=2, cache=ngram_cache.CacheConfig()), CONFIG.scoring)
  reports = counting.count(config, str(tmp_path / 'run'))
  run = trained.load_any(tmp_path / 'run')
  batch = {'inputs': np.array([[256, 97, 98, 97]]),
           'targets': np.array([[97, 98, 97, 98]]),
           'weights': np.ones((1, 4)), 'positions': np.arange(4)[None],
           'segments': np.ones((1, 4), int)}
  assert np.all(np.isfinite(run.scorer()(batch)[0]))
  assert np.isfinite(reports[0].nats_per_token)


@pytest.mark.slow
def test_a_hidden_markov_model_is_a_run_too(tmp_path):
  config = experiment.Count(
      CONFIG.data, hmm.HmmConfig(num_states=2, steps=2, length=32),
      CONFIG.scoring)
  reports = counting.count(config, str(tmp_path / 'run'))
  assert reports[0].name == 'HMM of 2 states'
  assert trained.load_any(tmp_path / 'run').digest == reports[0].parameters_hash


def test_a_counted_run_is_no_start_for_what_needs_parameters(tmp_path):
  counting.count(CONFIG, str(tmp_path / 'run'))
  with pytest.raises(errors.InputError, match='can only be scored'):
    trained.load(tmp_path / 'run')


def test_an_open_context_is_the_length_of_rows_for_counting_and_reading(
    tmp_path):
  config = dataclasses.replace(
      CONFIG, scoring=scoring.Scoring(),
      data=dataclasses.replace(CONFIG.data, length=24))
  reports = counting.count(config, str(tmp_path))
  assert reports[0].context == trained.load_any(tmp_path).context == 24


def test_a_stride_beyond_the_context_is_refused_before_counting(
    tmp_path, monkeypatch):
  monkeypatch.setattr(ngram.NgramConfig, 'fit', lambda *args: pytest.fail())
  config = dataclasses.replace(CONFIG, scoring=scoring.Scoring(stride=1025))
  with pytest.raises(errors.InputError, match='scoring.stride = 1025'):
    counting.count(config, str(tmp_path))


def test_a_page_that_fails_leaves_the_report(tmp_path, monkeypatch):
  def fail(*args, **kwargs):
    raise errors.RunError('no room.')
  monkeypatch.setattr(counting.run_page, 'write', fail)
  with pytest.raises(errors.RunError, match=r'the page \(no room\)'):
    counting.count(CONFIG, str(tmp_path))
  assert json.loads((tmp_path / 'report.json').read_text())['reports']
