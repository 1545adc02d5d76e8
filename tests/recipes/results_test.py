"""The results of a run are from all held-out text and the right model."""
import dataclasses
import json

import jax.numpy as jnp
import pytest

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import trees
from lmjax.data.corruption import spans
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import by_document
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.objectives import prefix
from lmjax.objectives import seq2seq
from lmjax.recipes import prepared
from lmjax.recipes import results
from lmjax.run import directory
from lmjax.training import options
from lmjax.training import stopping

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
def parts(tmp_path_factory):
  return prepared.prepare(CONFIG, str(tmp_path_factory.mktemp('cache')))


@pytest.fixture(scope='module')
def params(parts):
  return decoder.initial_params(parts.model, 0)


def changed(parts, **fields):
  return dataclasses.replace(
      parts, config=dataclasses.replace(parts.config, **fields))


@pytest.mark.slow
def test_measure_scores_every_held_out_token_beside_baselines(parts, params):
  reports, valid = results.Results(parts).measure(params), parts.data.valid
  expected = valid.num_tokens - valid.num_documents  # BOS is given.
  assert [r.name for r in reports] == ['model', 'uniform', 'unigram', 'bigram']
  assert {r.tokens for r in reports} == {expected}
  assert reports[0].parameters_hash == trees.digest(params)
  assert reports[0].stride == CONFIG.model.context // 2


@pytest.mark.slow
def test_a_model_that_fills_in_spans_is_scored_by_its_spans(tmp_path):
  config = dataclasses.replace(
      CONFIG, model=encoder_decoders.t5(8, 1, 2, 8, context=16, head_size=4),
      objective=seq2seq.Seq2Seq(), data=dataclasses.replace(
          CONFIG.data, sentinels=5, corruption=spans.SpanCorruption()),
      samples=samples.Samples(prompts=()))
  parts = prepared.prepare(config, str(tmp_path))
  found = results.Results(parts)
  params = decoder.initial_params(parts.model, 0)
  own, *baselines = found.measure(params)
  assert own.name == 'model (span pseudo)' and own.stride is None
  assert own.tokens == baselines[0].tokens
  assert own.data_hash == baselines[0].data_hash
  assert any('sentinels are not counted' in note for note in own.notes)
  # An untrained model fills in spans as well as any other text.
  spans_loss = found.watcher()(params, 0)['valid/loss']
  assert own.nats_per_token == pytest.approx(spans_loss, rel=0.02)


@pytest.mark.slow
def test_watcher_looks_at_a_part_and_says_so_by_its_number(parts, params):
  found = results.Results(parts)
  row = found.watcher()(params, 0)
  whole = found.measure(params)[0]
  assert row.keys() == {'valid/loss', 'valid/accuracy'}
  assert row['valid/loss'] != whole.nats_per_token
  assert row['valid/loss'] == pytest.approx(whole.nats_per_token, rel=0.05)


def test_without_a_held_out_split_the_report_names_its_text(
    tmp_path, parts, params):
  data = pipeline.DataConfig(
      source=CONFIG.data.source, split=None,
      tokenizer=symbols.Bytes()).build(tmp_path, length=16)
  found = results.Results(dataclasses.replace(parts, data=data))
  assert found.watcher() is None
  assert 'training text' in found.measure(params)[0].name


@pytest.mark.slow
def test_samples_do_not_depend_on_each_other(parts, params):
  both = results.Results(parts).draw(params)
  one = samples.Samples(prompts=('',), max_new_tokens=5)
  first = results.Results(changed(parts, samples=one)).draw(params)
  assert [prompt for prompt, _ in both] == ['', 'doc']
  assert both[0] == first[0]


def finished(tmp_path):
  run = directory.open_run(tmp_path / 'run', CONFIG)
  run.metrics.write_text('{"step": 1, "loss": 2.0, "valid/loss": 2.5}\n')
  return run


@pytest.mark.slow
def test_conclude_writes_report_curve_and_page(
    tmp_path, parts, params, capsys, monkeypatch):
  run, found = finished(tmp_path), results.Results(parts)
  monkeypatch.setattr(found, 'draw', lambda params: [('doc', '<b>\x1b[2J')])
  reports = found.conclude(run, params, 0.0, step=1)
  tracked, = (run.path / 'tensorboard').iterdir()
  assert b'samples/0/text_summary' in tracked.read_bytes()
  kept = by_document.read(run.held_out)
  assert kept.nats.sum() == pytest.approx(reports[0].nats)
  assert len(kept) == reports[0].documents
  assert json.loads(run.report.read_text())['step'] == 1
  assert run.curve.read_bytes().startswith(b'\x89PNG')
  page = run.page.read_text()
  assert '<b>\x1b' not in page
  assert 'DecoderConfig: 1 layers, width 8' in page and '<dt>device</dt>' in page
  assert 'Held-out loss is 2.5000 in the curve' in page
  printed = capsys.readouterr().out
  assert 'bigram' in printed and '\x1b' not in printed.partition('sample')[2]


@pytest.mark.slow
@pytest.mark.parametrize('result', ['samples', 'curve', 'page'])
def test_a_result_that_fails_leaves_the_others_and_is_made_by_the_next_start(
    tmp_path, parts, params, capsys, monkeypatch, result):
  run, found = finished(tmp_path), results.Results(parts)
  def fail(*args, **kwargs):
    raise errors.RunError('no <ink> left.')
  owner, name = {'samples': (found, 'draw'), 'curve': (results.curve, 'plot'),
                 'page': (results.run_page, 'write')}[result]
  with monkeypatch.context() as broken:
    broken.setattr(owner, name, fail)
    with pytest.raises(errors.RunError, match=rf'the {result} \(no <ink> left'):
      found.conclude(run, params, 0.0, step=1)
  assert json.loads(run.report.read_text())['reports'][0]['tokens']
  assert 'bigram' in capsys.readouterr().out
  assert run.curve.exists() == (result != 'curve')
  assert run.page.exists() == (result != 'page')
  if run.page.exists():
    assert 'no &lt;ink&gt; left' in run.page.read_text()
  written = run.report.read_bytes()
  monkeypatch.setattr(found, 'measure', fail)  # The scores are not made again.
  found.conclude(run, params, 0.0, step=1)
  assert run.report.read_bytes() == written
  assert run.curve.exists() and 'Left out' not in run.page.read_text()


@pytest.mark.slow
def test_scores_of_another_scoring_or_other_parameters_are_made_again(
    tmp_path, parts, params):
  run = finished(tmp_path)
  first, = {r.parameters_hash for r in results.Results(parts).conclude(
      run, params, 0.0, step=1)[:1]}
  other = results.Results(changed(parts, scoring=scoring.Scoring(stride=3)))
  assert other.conclude(run, params, 0.0, step=1)[0].stride == 3
  moved = decoder.initial_params(parts.model, 1)
  assert other.conclude(
      run, moved, 0.0, step=1)[0].parameters_hash not in (None, first)


LATE = {
    'scoring.stride = 17': dict(scoring=scoring.Scoring(stride=17)),
    'scoring.stride = 9': dict(scoring=scoring.Scoring(context=8, stride=9)),
    'stop.metric': dict(training=options.Training(
        stop=stopping.EarlyStopping(metric='valid/f1'))),
    'Prompt 1 has 16 tokens, and the model reads 16': dict(
        samples=samples.Samples(prompts=('', 'a' * 15), max_new_tokens=5)),
}


@pytest.mark.parametrize('message', LATE)
def test_a_config_that_could_not_be_concluded_is_refused_at_once(
    parts, message):
  with pytest.raises(errors.InputError, match=message):
    results.Results(changed(parts, **LATE[message]))


def test_a_model_that_cannot_continue_text_is_refused_at_once(
    parts, monkeypatch):
  def broken(model, params, batch):
    raise errors.InputError('this cache has no room.')
  monkeypatch.setattr(results.sample.steps, 'prefill', broken)
  with pytest.raises(errors.InputError, match='no room'):
    results.Results(changed(parts, samples=samples.Samples(
        prompts=('longer', 'doc'), max_new_tokens=3)))


def test_what_has_no_exact_likelihood_is_watched_by_its_objective(parts, params):
  looked = []
  def objective(params, batch):
    looked.append(batch['inputs'].shape)
    return {'loss': metrics.Mean.of(jnp.arange(3.0)[None]),
            'share': metrics.Mean(1.0, 4.0)}
  class Bound(prefix.PrefixLM):
    likelihood = 'bound'
  bound = dataclasses.replace(
      changed(parts, objective=Bound()), objective=objective)
  row = results.Results(bound).watcher()(params, 0)
  assert row == {'valid/loss': 1.0, 'valid/share': 0.25}
  assert looked == [(32, 16)]  # Compiled once.


@pytest.mark.slow
def test_a_padded_vocabulary_is_scored_and_never_drawn(tmp_path):
  model = dataclasses.replace(CONFIG.model, vocab_size=512)
  drawn = samples.Samples(prompts=('',), max_new_tokens=14)
  parts = prepared.prepare(
      dataclasses.replace(CONFIG, model=model, samples=drawn), str(tmp_path))
  found = results.Results(parts)
  params = decoder.initial_params(parts.model, 0)
  report, uniform, *_ = found.measure(params)
  assert report.nats_per_token > 6 > uniform.nats_per_token  # log(512), log(258)
  (_, text), = found.draw(params)  # Decoding another id would raise.
  assert text


@pytest.mark.slow
def test_samples_end_where_the_context_is_full(parts, params):
  long = samples.Samples(prompts=('', 'a' * 12), max_new_tokens=80)
  drawn = results.Results(changed(parts, samples=long)).draw(params)
  assert [prompt for prompt, _ in drawn] == ['', 'a' * 12]
