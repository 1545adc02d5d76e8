"""finetune.py and predict.py in experiments: whole runs, and bad input."""
import collections
import contextlib
import csv
import dataclasses
import importlib.util
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import lmjax
from lmjax.checkpoints import store
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import embeddings
from lmjax import experiment
from lmjax.generation import samples
from lmjax.interop import runs
from lmjax.models import decoder
from lmjax.models import encoder
from lmjax.models.heads import pooled
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.recipes import finetuning
from lmjax.recipes.loaded import predicting
from lmjax.recipes.loaded import trained
from lmjax.recipes.loaded import tuned
from lmjax.recipes import pretraining
from lmjax.recipes import starting
from lmjax.recipes import tested
from lmjax.run import launch
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import regression
from lmjax.tasks import rows
from lmjax.tasks import together
from lmjax.testing import commands
from lmjax.testing import faults
from lmjax.training.optimizers import adamw
from lmjax.training import options
from lmjax.training import stopping
import numpy as np
import pytest

_SCRIPTS = pathlib.Path(__file__).parents[1] / 'experiments'


MODEL = decoder.DecoderConfig(
    context=16, width=16, num_layers=2, block=block.PreNorm(
        mixer=attention.AttentionConfig(num_heads=2),
        mlp=layers.MLPConfig(hidden=32)))
# The label is whether an 'a' is in the text: no model is needed to see it.
PAIRS = tuple((f'{"a" * (i % 3)}{"bcdef"[i % 5] * 3}{i}', str(int(i % 3 > 0)))
              for i in range(120))
CONFIG = experiment.Finetune(
    task=classification.Classification(
        source=labelled.Labelled(in_memory.InMemory(PAIRS), held_out=0.2),
        features=rows.Features(lengths=(12,), batch_size=16)),
    tokenizer=symbols.Bytes(), model=MODEL,
    optimizer=adamw.AdamW(learning_rate=1e-2),
    training=options.Training(
        steps=30, log_every=5, eval_every=10, stop=stopping.EarlyStopping(
            metric='valid/accuracy', higher_is_better=True)))


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
  path = tmp_path_factory.mktemp('runs') / 'pretrained'
  pretraining.pretrain(experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.InMemory(tuple(text for text, _ in PAIRS)),
          split=splits.HashSplit(valid=0.2, test=0.0),
          tokenizer=symbols.Bytes(), batch_size=8),
      model=MODEL, training=options.Training(steps=1, log_every=1),
      samples=samples.Samples(prompts=())), str(path))
  return path


@pytest.fixture(scope='module')
def done(tmp_path_factory):
  """A run from scratch, its results, and what it printed."""
  path, shown = tmp_path_factory.mktemp('runs') / 'run', io.StringIO()
  with contextlib.redirect_stdout(shown):
    results = finetuning.finetune(CONFIG, str(path))
  return path, results, shown.getvalue()


def test_from_scratch_it_learns_and_leaves_what_was_promised(done):
  run, results, shown = done
  assert list(results) == ['model', 'majority', 'naive Bayes', 'linear']
  assert results['model'].accuracy > 0.9 > results['majority'].accuracy
  assert 'macro-F1' in shown and 'keep their head' in shown
  assert shown.startswith('labels: 0 (40), 1 (80).')  # Before it trains.
  report = json.loads((run / 'report.json').read_text())
  assert report['results']['model'] == results['model'].to_dict()
  for name in ('confusion.png', 'curve.png', 'metrics.jsonl', 'config.json',
               'run.json', 'predictions.jsonl'):
    assert (run / name).stat().st_size > 0, name
  page = (run / 'report.html').read_text()
  assert 'naive Bayes' in page and page.count('data:image/png') == 3
  assert 'Classes' in page and 'average-precision' in page
  predictions = [json.loads(line) for line in
                 (run / 'predictions.jsonl').read_text().splitlines()]
  right = sum(row['label'] == row['predicted'] for row in predictions)
  assert right / len(predictions) == results['model'].accuracy


@pytest.mark.slow
def test_a_picture_that_fails_leaves_out_one_result(done, monkeypatch, capsys):
  run, results, _ = done
  def fail(*args, **kwargs):
    raise errors.RunError('no <ink> left.')
  (run / 'predictions.jsonl').unlink()
  with monkeypatch.context() as broken:
    broken.setattr(tested.curve, 'plot', fail)
    with pytest.raises(errors.RunError, match=r'the curve \(no <ink> left\)'):
      finetuning.finetune(CONFIG, str(run))
  assert 'naive Bayes' in capsys.readouterr().out
  assert (run / 'predictions.jsonl').stat().st_size > 0
  page = (run / 'report.html').read_text()
  assert 'no &lt;ink&gt; left' in page and page.count('data:image/png') == 2
  assert finetuning.finetune(CONFIG, str(run))['model'].to_dict() == (
      results['model'].to_dict())
  assert (run / 'report.html').read_text().count('data:image/png') == 3


@pytest.mark.slow
def test_a_run_that_is_done_goes_on_to_the_same_results(done):
  run, results, _ = done
  other = dataclasses.replace(
      CONFIG, training=dataclasses.replace(CONFIG.training, seed=1))
  with pytest.raises(errors.InputError, match='--override=training.seed'):
    finetuning.finetune(other, str(run))
  (run / 'task.json').unlink()  # As an older lmjax left it.
  again = finetuning.finetune(
      other, str(run), launch.Launch(override=('training.seed',)))
  assert again['model'].to_dict() == results['model'].to_dict()
  assert tuned.load(run).splits.labels == ('0', '1')


def _written(path, examples):
  """Writes examples as a CSV file; returns its path."""
  with open(path, 'w', newline='', encoding='utf-8') as file:
    csv.writer(file).writerows([('text', 'label'), *(
        (e.text, e.label) for e in examples)])
  return str(path)


def test_predictions_are_those_of_the_test_split_digit_for_digit(
    done, tmp_path):
  path, results, _ = done
  run, out = lmjax.load(path), str(tmp_path / 'out.jsonl')
  inputs = predicting.Inputs(
      _written(tmp_path / 'test.csv', CONFIG.task.read().test), label='label')
  want = [json.loads(line) for line in
          (path / 'predictions.jsonl').read_text().splitlines()]
  result = predicting.predict(run, inputs, out)
  assert result.to_dict() == results['model'].to_dict()
  rows = [json.loads(line) for line in pathlib.Path(out).read_text().splitlines()]
  assert rows == [{'index': i} | row for i, row in enumerate(want)]

  predicting.predict(run, dataclasses.replace(inputs, label=None), out)
  rows = [json.loads(line) for line in pathlib.Path(out).read_text().splitlines()]
  for row, known in zip(rows, want, strict=True):
    assert row == {name: value for name, value in (
        {'index': row['index']} | known).items() if name != 'label'}
  assert run.predict([row['text'] for row in want]) == rows


def test_a_fine_tuned_run_is_no_language_model_but_embeds(done):
  path, _, _ = done
  for load in trained.load, trained.load_any, runs.load:
    with pytest.raises(errors.InputError, match='fine-tuned on a task.*predict'):
      load(path)
  run = runs.backbone(path)
  vectors_ND = embeddings.embed(
      run.model, run.params, run.tokenizer, ['a', 'bc'])
  assert vectors_ND.shape == (2, 16) and np.isfinite(vectors_ND).all()


@pytest.mark.slow
def test_from_a_fine_tuned_run_all_but_the_head_is_taken(done):
  path, _, _ = done
  splits = dataclasses.replace(CONFIG.task.read(), labels=('a', 'b', 'c'))
  begin = starting.start(
      dataclasses.replace(CONFIG, init=str(path), model=MODEL), splits)
  params = dict(trees.items(begin.initial_params(
      CONFIG.task.model(begin.backbone, splits), 0)))
  before = dict(trees.items(tuned.load(path).params))
  assert params.keys() == before.keys()
  assert params.pop('classes/kernel').shape == (16, 3)
  assert params.pop('classes/bias').shape == (3,)
  for name, leaf in params.items():
    assert (leaf == before[name]).all(), name


def _command(*flags):
  return [sys.executable, str(_SCRIPTS / 'predict.py'), *flags]


@pytest.mark.slow
def test_the_script_reads_pipes_and_tells_mistakes_in_a_sentence(
    done, pretrained):
  path, _, _ = done

  def run(*flags, workdir=path, given=None):
    found = subprocess.run(
        _command(f'--workdir={workdir}', *flags), input=given, timeout=300,
        capture_output=True, check=False)
    return found.returncode, found.stdout.decode(), found.stderr.decode()

  code, out, told = run('--input=-', given='a\n\nbcd\n'.encode())
  assert code == 0 and '3 answers' in told
  assert [json.loads(line)['predicted'] for line in out.splitlines()] == [
      '1', None, '0']
  for flags, workdir, words in (
      (('--texts=a',), pretrained, 'no fine-tuned run.*--config.init='),
      (('--texts=a', '--step=newest'), path, "no step 'newest' in"),
      (('--input=-',), path, '- holds no text')):
    code, out, told = run(*flags, workdir=workdir, given=b'')
    assert (code, out) == (2, '') and 'Traceback' not in told
    assert re.search(words, told), told


@pytest.mark.slow
def test_a_script_that_is_killed_leaves_the_file_as_it_was(done, tmp_path):
  path, _, _ = done
  out, pipe = tmp_path / 'out.jsonl', tmp_path / 'pipe'
  out.write_text('old')
  os.mkfifo(pipe)
  flags = f'--workdir={path}', f'--input={pipe}', f'--out={out}'
  with commands.started(_command(*flags)) as process:
    with open(pipe, 'w') as file:
      file.write('abc\n' * 2000)  # More than is answered at once.
      file.flush()
      assert process.wait_until(
          lambda: any(p.stat().st_size for p in tmp_path.glob('*.tmp')))
      process.send(signal.SIGKILL)
      process.wait()
    assert out.read_text() == 'old'
  with commands.started(_command(*flags)) as process:
    pipe.write_text('abc\nd\n')
    assert process.wait().returncode == 0
  assert len(out.read_text().splitlines()) == 2
  assert {*tmp_path.iterdir()} == {out, pipe}


def _repeats(path, answers):
  """Sees that a run read back says of texts what it said of the test split."""
  with faults.read_only(path):
    found = {(row.get('task'), row['text']): row for row in lmjax.load(
        path).predict([answer['text'] for answer in answers])}
  for answer in answers:
    answer = {name: answer[name] for name in answer if name != 'label'}
    row = found[answer.get('task'), answer['text']]
    assert row == {'index': row['index']} | answer


@pytest.mark.slow
def test_numbers_are_learned_beside_their_baselines(tmp_path, capsys):
  counts = tuple((text, str(10 * text.count('a'))) for text, _ in PAIRS)
  config = dataclasses.replace(
      CONFIG, task=regression.Regression(
          labelled.Labelled(in_memory.InMemory(counts), held_out=0.2),
          CONFIG.task.features, head=pooled.PooledConfig(dropout=0.0)),
      training=dataclasses.replace(
          CONFIG.training, steps=90, stop=stopping.EarlyStopping(
              metric='valid/pearson', higher_is_better=True)))
  results = finetuning.finetune(config, str(tmp_path / 'run'))
  assert list(results) == ['model', 'mean', 'ridge regression']
  metrics = results['model'].metrics
  assert metrics['pearson'].value > 0.9 and metrics['pearson'].stderr < 0.1
  assert metrics['loss'].value < 0.3 < results['mean'].metrics['loss'].value
  undefined = 'pearson, spearman of mean: undefined, as all predictions are'
  assert undefined in capsys.readouterr().out.replace('\n', ' ')
  run = tmp_path / 'run'
  report = json.loads((run / 'report.json').read_text())
  assert report['results']['mean']['pearson'] is None
  assert any(undefined in note for note in report['notes'])
  assert (run / 'scatter.png').stat().st_size > 0
  rows = [json.loads(line) for line in (run / 'predictions.jsonl').open()]
  _repeats(run, rows)
  errors_N = [row['label'] - row['predicted'] for row in rows]
  assert sum(error**2 for error in errors_N) / len(rows) == pytest.approx(
      metrics['mse'].value, rel=1e-4)


@pytest.mark.slow
def test_two_tasks_are_learned_by_one_encoder(tmp_path, capsys):
  counts = tuple((text, str(10 * text.count('a'))) for text, _ in PAIRS)
  features = rows.Features(lengths=(12,), batch_size=8)
  head = pooled.PooledConfig(dropout=0.0)
  config = dataclasses.replace(
      CONFIG, task=together.Together((
          dataclasses.replace(CONFIG.task, features=features, head=head),
          regression.Regression(
              labelled.Labelled(in_memory.InMemory(counts), held_out=0.2,
                                valid=in_memory.InMemory(counts[:1])),
              features, head)), ('has_a', 'how_many')),
      model=encoder.EncoderConfig(
          context=16, width=16, num_layers=1, tokens=None, block=MODEL.block),
      training=dataclasses.replace(
          CONFIG.training, steps=60, eval_every=30, stop=stopping.EarlyStopping(
              metric='valid/has_a/accuracy', higher_is_better=True)))
  results = finetuning.finetune(config, str(tmp_path / 'run'))
  best = {metric: max(result.metrics[metric].value or 0.0
                      for name, result in results.items()
                      if name not in ('model', 'has_a/linear')
                      and metric in result.metrics)
          for metric in ('has_a/accuracy', 'how_many/pearson')}
  found = results['model'].metrics
  assert found['has_a/accuracy'].value > max(0.9, best['has_a/accuracy'])
  assert found['how_many/pearson'].value > max(0.9, best['how_many/pearson'])

  shown = capsys.readouterr().out
  assert 'has_a' in shown and 'naive Bayes' in shown and 'ridge' in shown
  run = tmp_path / 'run'
  page = (run / 'report.html').read_text()
  assert 'Test split has_a' in page and 'Test split how_many' in page
  report = json.loads((run / 'report.json').read_text())
  assert [*report['results']['model']['tasks']] == ['has_a', 'how_many']
  for name in 'has_a-confusion.png', 'how_many-scatter.png':
    assert (run / name).stat().st_size > 0
  answers = [json.loads(line) for line in (run / 'predictions.jsonl').open()]
  _repeats(run, answers)
  by_task = collections.Counter(answer['task'] for answer in answers)
  assert by_task == {name: result.examples for name, result in
                     results['model'].parts.items()}
  metrics = [json.loads(line) for line in (run / 'metrics.jsonl').open()]
  trained = {key for row in metrics for key in row}
  assert {'has_a/accuracy', 'how_many/loss', 'valid/loss', 'valid/has_a/loss',
          'valid/how_many/spearman'} <= trained

  again = tuned.load(run).predict([answers[0]['text']])
  assert [line['task'] for line in again] == ['has_a', 'how_many']
  assert again[0] == {'index': 0} | {
      key: value for key, value in answers[0].items() if key != 'label'}

  # Of the one example that it is validated on there is no correlation.
  assert {row['valid/how_many/pearson'] for row in metrics
          if 'valid/how_many/pearson' in row} == {'nan'}


@pytest.mark.slow
def test_flags_train_tasks_together_and_a_stopped_run_goes_on(tmp_path):
  for name, column in ('has', 1), ('count', 2):
    (tmp_path / f'{name}.csv').write_text('text,label\n' + ''.join(
        f'{text},{(label, text.count("a"))[column - 1]}\n'
        for text, label in PAIRS))
  task = [f'--config.task.tasks.{place}.{flag}' for place, kind, name in (
      (0, 'Classification', 'has'), (1, 'Regression', 'count')) for flag in (
          f'kind={kind}', 'source.kind=Labelled', 'source.held_out=0.2',
          'source.train.kind=Delimited', f'source.train.paths={name}.csv',
          'features.lengths=12', 'features.batch_size=8')]
  def run(steps):
    return subprocess.run(
        [sys.executable, str(_SCRIPTS / 'finetune.py'), '--workdir=run', *task,
         '--config.task.kind=Together', '--config.task.names=has,count',
         '--config.task.temperature=2', '--config.tokenizer.kind=Bytes',
         '--config.model.kind=EncoderConfig', '--config.model.context=12',
         '--config.model.width=8', '--config.model.num_layers=1',
         '--config.optimizer.schedule.kind=Constant',
         '--config.training.stop.metric=valid/count/pearson',
         '--config.training.stop.higher_is_better=true',
         f'--config.training.steps={steps}', '--override=training.steps'],
        capture_output=True, text=True, timeout=500, check=False, cwd=tmp_path,
        env=os.environ | {'JAX_PLATFORMS': 'cpu',
                          'PYTHONPATH': str(_SCRIPTS.parent)})
  first, second = run(3), run(5)
  assert first.returncode == second.returncode == 0, first.stderr
  assert 'ridge regression' in first.stdout and 'naive Bayes' in first.stdout
  kept = [json.loads(line) for line in (tmp_path / 'run/metrics.jsonl').open()]
  assert [row['step'] for row in kept if 'valid/has/accuracy' in row] == [3, 5]


@pytest.mark.slow
def test_from_a_run_only_what_matches_trains(pretrained, tmp_path):
  config = dataclasses.replace(
      CONFIG, init=str(pretrained), train_only=('layer_1/', 'classes/'),
      dropout=0.1, training=dataclasses.replace(CONFIG.training, steps=2))
  finetuning.finetune(config, str(tmp_path / 'run'))
  _, before = store.restore_params(pretrained / 'checkpoints')
  _, after = store.restore_params(tmp_path / 'run/checkpoints')
  before = dict(trees.items(before))
  for path, leaf in trees.items(after):
    if path.startswith('classes/'):
      continue
    assert (leaf == before[path]).all() == ('layer_1' not in path), path


@pytest.mark.parametrize('change, message', [
    ({'train_only': ('layer_9',)}, "'layer_9' matches no parameter"),
    ({'model': dataclasses.replace(MODEL, context=8)}, 'end at 12 tokens'),
    ({'init': 'nowhere'}, 'nowhere'),
    ({'optimizer': adamw.AdamW(freeze=('.',))}, 'Nothing is left'),
    ({'training': options.Training(stop=stopping.EarlyStopping(
        metric='valid/acuracy'))}, "Did you mean 'valid/accuracy'"),
])
def test_bad_input_is_told_before_training(tmp_path, change, message):
  config = dataclasses.replace(CONFIG, **change)
  with pytest.raises(errors.InputError, match=message):
    finetuning.finetune(config, str(tmp_path / 'run'))
  assert not (tmp_path / 'run' / 'checkpoints').exists()


@pytest.mark.slow
def test_a_baseline_that_fails_does_so_before_training(tmp_path, monkeypatch):
  def fail(*args):
    raise errors.InputError('no word is known.')
  monkeypatch.setattr(classification.Classification, 'baselines', fail)
  with pytest.raises(errors.InputError, match='no word'):
    finetuning.finetune(CONFIG, str(tmp_path / 'run'))
  assert not (tmp_path / 'run' / 'checkpoints').exists()


@pytest.mark.parametrize('name', [
    'finetune_docstrings', 'snips_joint', 'sst2_finetune', 'wnut17_minilm'])
def test_configs_survive_editing(name):
  spec = importlib.util.spec_from_file_location(
      name, _SCRIPTS / 'configs' / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = config_lib.freeze(experiment.Finetune, module.get_config())
  assert config_lib.freeze(
      experiment.Finetune, config_lib.to_dict(config)) == config
