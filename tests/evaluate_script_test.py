"""experiments/evaluate.py on a run of one step: text, questions, bad input."""
import dataclasses
import importlib.util
import json
import pathlib

import lmjax
from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols as symbols_lib
from lmjax.evaluation.choice import choices
from lmjax.evaluation.choice import open_answers
from lmjax.evaluation.choice import shots
from lmjax.evaluation import report
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.recipes.loaded import trained
from lmjax.recipes import pretraining
from lmjax.run import directory
from lmjax.testing import faults
from lmjax.training.optimizers import sgd
from lmjax.training import options
from lmjax.training import step
import pytest

_SCRIPTS = pathlib.Path(__file__).parents[1] / 'experiments'


def _script(name):
  spec = importlib.util.spec_from_file_location(name, _SCRIPTS / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  path = tmp_path_factory.mktemp('runs') / 'tiny'
  config = experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.InMemory(tuple(f'text {i} of a few' * 3
                                        for i in range(60))),
          split=splits.HashSplit(valid=0.2, test=0.0),
          tokenizer=symbols_lib.Bytes(), batch_size=8),
      model=decoder.DecoderConfig(context=32, width=32, num_layers=1),
      training=options.Training(steps=1, log_every=1),
      samples=samples.Samples(prompts=()))
  pretraining.pretrain(config, str(path))
  return path


def test_its_own_text_as_the_run_itself_reported_it(workdir):
  found, answers, _ = _script('evaluate').evaluate(
      experiment.Evaluate(), str(workdir))
  reported = report.load(workdir / 'report.json')
  assert [r.name for r in found] == ['model', 'uniform', 'unigram', 'bigram']
  for now, then in zip(found, reported):
    assert now.nats_per_token == pytest.approx(then.nats_per_token, abs=1e-6)
    assert (now.data_hash, now.parameters_hash, now.stride) == (
        then.data_hash, then.parameters_hash, then.stride)
  assert report.load(workdir / 'evaluation/report.json') == found
  assert (workdir / 'evaluation/held_out.jsonl').read_text().count(
      '\n') == found[0].documents
  assert not answers


@pytest.mark.slow
def test_any_text_and_questions(workdir, tmp_path):
  (tmp_path / 'mine.txt').write_text('Grüße an alle.\nZwei Zeilen.')
  (tmp_path / 'q.jsonl').write_text(
      '{"query": "text", "choices": ["of", "off"], "answer": "of"}\n')
  config = experiment.Evaluate(
      data=sources.TextFiles((str(tmp_path / 'mine.txt'),)), baselines=False,
      scoring=scoring.Scoring(context=16, stride=4, batch_size=8),
      choices=choices.Choices((str(tmp_path / 'q.jsonl'),)))
  texts, answers, _ = _script('evaluate').evaluate(
      config, str(workdir), tmp_path / 'out')
  assert [r.name for r in texts] == ['model', 'uniform']
  assert (texts[0].bytes, texts[0].tokens) == (29, 30)  # EOS is one more.
  assert (texts[0].context, texts[0].stride) == (16, 4)
  assert (answers[0].name, answers[0].items) == ('q', 1)
  tree = json.loads((tmp_path / 'out/report.json').read_text())
  assert tree['schema'] == report.SCHEMA and tree['step'] == 1
  assert tree['choices'][0]['parameters_hash'] == texts[0].parameters_hash
  only = dataclasses.replace(config, data=None)
  assert not _script('evaluate').evaluate(only, str(workdir))[0]


@pytest.mark.slow
def test_answers_are_written_and_kept(workdir, tmp_path):
  path = tmp_path / 'q.jsonl'
  path.write_text('\n'.join(json.dumps(
      {'question': f'text {i}', 'answers': ['of', 'no']}) for i in range(3)))
  config = experiment.Evaluate(answers=open_answers.OpenAnswers(
      paths=(str(path),), tokens=4, shots=shots.Shots(count=1)))
  *none, written = _script('evaluate').evaluate(
      config, str(workdir), tmp_path / 'out')
  assert none == [[], []]
  run = trained.load(workdir)
  lines = [json.loads(line) for line in (
      tmp_path / 'out/answers.jsonl').read_text().splitlines()]
  for line in lines:
    prompt = line['prompt']
    assert prompt.startswith('text ') and ' of\n\ntext ' in prompt
    want = run.generate(prompt, max_new_tokens=4, stop=['\n'], temperature=0)
    assert line['written'] == want.strip()
  tree = json.loads((tmp_path / 'out/report.json').read_text())['answers'][0]
  assert tree['questions'] == 3 and tree['exact'] == written[0].exact
  assert tree['parameters_hash'] == run.digest


@pytest.mark.slow
def test_a_run_that_cannot_be_written_to_is_evaluated(
    workdir, tmp_path, monkeypatch, caplog):
  own, text = experiment.Evaluate(), experiment.Evaluate(
      data=sources.InMemory(('Text that no cache has.',)), baselines=False)
  with faults.read_only(workdir):
    with pytest.raises(errors.InputError, match='evaluation: .*Read-only.*--out'):
      with monkeypatch.context() as context:
        context.setattr(trained, 'load_any', None)  # Before anything is read.
        _script('evaluate').evaluate(own, str(workdir))
    assert not caplog.messages
    for config in own, text:
      found, *_ = _script('evaluate').evaluate(
          config, str(workdir), tmp_path / 'out')
      assert found and report.load(tmp_path / 'out/report.json') == found
    assert 'cannot be written to, so text is tokenized' in caplog.text


@pytest.mark.slow
def test_a_run_that_cannot_be_written_to_is_asked(workdir):
  with faults.read_only(workdir):
    run = lmjax.load(workdir)
    assert isinstance(run.generate('te', max_new_tokens=2), str)
    assert run.embed(['a text']).shape == (1, 32)
    assert run.score('a text').bytes == 6


@pytest.mark.parametrize('change, words', [
    ({'split': 'test', 'data': None}, 'has no test split'),
    ({'scoring': scoring.Scoring(context=64, batch_size=8)}, 'context'),
    ({'scoring': scoring.Scoring(batch_size=3)}, 'multiple of the 8')])
def test_what_cannot_be_is_told(workdir, tmp_path, change, words):
  config = dataclasses.replace(
      experiment.Evaluate(data=sources.InMemory(('abc',)), baselines=False),
      **change)
  with pytest.raises(errors.InputError, match=words):
    _script('evaluate').evaluate(config, str(workdir), tmp_path)


@pytest.mark.slow
def test_questions_need_no_carried_state(tmp_path):
  path = tmp_path / 'lstm'
  run = directory.open_run(path, experiment.Pretrain(
      model=lstm.RecurrentConfig(width=8, num_layers=1, context=16)))
  symbols = symbols_lib.Bytes().build()
  symbols.save(run.tokenizer)
  config = trained.read_config(run).model.with_vocab(symbols.vocab_size)
  params = decoder.initial_params(config.build(), 0)
  with store.Checkpoints(run.checkpoints) as saved:
    saved.save(1, step.init_state(
        params, sgd.SGD().build(params, 1), 0), score=1.0)
  (tmp_path / 'q.jsonl').write_text(
      '{"query": "text", "choices": ["of", "off"], "answer": "of"}\n')
  asked = choices.Choices((str(tmp_path / 'q.jsonl'),))
  found = [_script('evaluate').evaluate(experiment.Evaluate(
      choices=asked, scoring=scoring.Scoring(carried=flag, batch_size=8)),
                                        str(path))[1] for flag in (True, False)]
  assert found[0][0].nats_per_item == found[1][0].nats_per_item > 0
