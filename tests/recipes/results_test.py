"""What a run shows is measured on all held-out text, with the right model."""
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import held_out
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.objectives import lm
from lmjax.objectives import prefix
from lmjax.recipes import results
from lmjax.recipes import trained
from lmjax.run import directory
from lmjax.training import options

CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=tuple(
            f'document {i} says {i * i}' for i in range(40))),
        split=splits.HashSplit(valid=0.3, test=0), tokenizer=symbols.Bytes()),
    model=decoders.gpt2(8, 1, 2, vocab_size=258, context=16),
    training=options.Training(eval_tokens=60),
    scoring=scoring.Scoring(batch_size=4),
    samples=samples.Samples(prompts=('', 'doc'), max_new_tokens=5))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  data = CONFIG.data.build(
      tmp_path_factory.mktemp('cache'), length=CONFIG.model.context)
  model = CONFIG.model.build()
  score_of = trained.scorer(lm.Causal(), model)
  return data, model, score_of, decoder.initial_params(model, 0)


def test_measure_scores_every_held_out_token_beside_baselines(made):
  data, _, score_of, params = made
  reports = results.measure(CONFIG, data, score_of, params)
  expected = data.valid.num_tokens - data.valid.num_documents  # BOS is given.
  assert [r.name for r in reports] == ['model', 'uniform', 'unigram', 'bigram']
  assert {r.tokens for r in reports} == {expected}
  assert reports[0].parameters_hash == trees.digest(params)
  assert reports[0].stride == CONFIG.model.context // 2


def test_watcher_looks_at_a_part_and_says_so_by_its_number(made):
  data, _, score_of, params = made
  row = results.watcher(CONFIG, data, None, score_of)(params, 0)
  whole = results.measure(CONFIG, data, score_of, params)[0]
  assert row.keys() == {'valid/loss', 'valid/accuracy'}
  assert row['valid/loss'] != whole.nats_per_token
  assert row['valid/loss'] == pytest.approx(whole.nats_per_token, rel=0.05)


def test_without_a_held_out_split_the_report_names_its_text(tmp_path, made):
  _, _, score_of, params = made
  data = pipeline.DataConfig(
      source=CONFIG.data.source, split=None,
      tokenizer=symbols.Bytes()).build(tmp_path, length=16)
  assert results.watcher(CONFIG, data, None, score_of) is None
  name = results.measure(CONFIG, data, score_of, params)[0].name
  assert 'training text' in name


def test_samples_do_not_depend_on_each_other(made):
  data, model, _, params = made
  both = results.draw(CONFIG, data.tokenizer, model, params)
  one = samples.Samples(prompts=('',), max_new_tokens=5)
  first = results.draw(dataclasses.replace(CONFIG, samples=one),
                       data.tokenizer, model, params)
  assert [prompt for prompt, _ in both] == ['', 'doc']
  assert both[0] == first[0]


def test_prompts_that_cannot_be_continued_are_refused(made):
  data, model, _, _ = made
  with pytest.raises(errors.InputError, match='16'):
    results.prompts(dataclasses.replace(CONFIG, samples=samples.Samples(
        prompts=('', 'a' * 14), max_new_tokens=5)), data.tokenizer, model)


def test_publish_writes_report_curve_and_page(tmp_path, made, capsys):
  data, _, score_of, params = made
  run = directory.open_run(tmp_path / 'run', CONFIG)
  run.metrics.write_text('{"step": 1, "loss": 2.0, "valid/loss": 2.5}\n')
  results.publish(run, CONFIG, results.measure(CONFIG, data, score_of, params),
                  [('doc', '<b>\x1b[2J')], step=1)
  assert json.loads(run.report.read_text())['step'] == 1
  assert run.curve.read_bytes().startswith(b'\x89PNG')
  assert '<b>\x1b' not in run.page.read_text()
  printed = capsys.readouterr().out
  assert 'bigram' in printed and '\x1b' not in printed.partition('sample')[2]


def test_what_has_no_exact_likelihood_is_watched_by_its_objective(made):
  data, model, score_of, params = made
  looked = []
  def objective(params, batch):
    looked.append(batch['inputs'].shape)
    return {'loss': metrics.Mean.of(jnp.arange(3.0)[None]),
            'share': metrics.Mean(1.0, 4.0)}
  class Bound(prefix.PrefixLM):
    likelihood = 'bound'
  config = dataclasses.replace(CONFIG, objective=Bound())
  row = results.watcher(config, data, objective, score_of)(params, 0)
  assert row == {'valid/loss': 1.0, 'valid/share': 0.25}
  assert looked == [(32, 16)]  # Compiled once.
