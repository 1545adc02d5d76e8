"""A fine-tuned run is loaded completely and answers, or is refused."""
import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.core import trees
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import decoder
from lmjax.objectives import labels as labels_lib
from lmjax.parallel import strategy
from lmjax.recipes.loaded import tuned
from lmjax.run import directory
from lmjax.tasks import classification
from lmjax.tasks import rows
from lmjax.tasks import task as task_lib
from lmjax.testing import hot
from lmjax.training.optimizers import sgd
from lmjax.training import step

CONFIG = experiment.Finetune(
    task=classification.Classification(
        features=rows.Features(lengths=(8, 16), batch_size=4)),
    tokenizer=symbols.Bytes(),
    model=decoder.DecoderConfig(context=16, width=16, num_layers=1))
SPLITS = task_lib.Splits((), (), (), ('no', 'yes', 'perhaps'))


def write(path, config=CONFIG, splits=SPLITS):
  """Writes a run directory without training; returns it."""
  run = directory.open_run(path, config, {'task.source: examples': 'd'})
  tokenizer = symbols.Bytes().build()
  tokenizer.save(run.tokenizer)
  backbone = config.model.with_vocab(tokenizer.vocab_size)
  tuned.save(run, backbone, splits)
  model = config.task.model(backbone, splits)
  params = hot.hot_params(tuned.initial_params(model, 0))
  with store.Checkpoints(run.checkpoints) as saved:
    saved.save(1, step.init_state(
        params, sgd.SGD().build(params, 1), 0), score=1.0)
  return run


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  return write(tmp_path_factory.mktemp('runs') / 'tuned').path


@pytest.fixture(scope='module')
def run(workdir):
  return tuned.load(workdir)


TEXTS = ['a', 'bc', 'def', 'a longer text', 'ghij', '', 'k', 'lm']


def test_a_run_is_read_back_whole(run):
  assert run.config == CONFIG and run.splits == SPLITS and run.step == 1
  assert run.backbone == CONFIG.model.with_vocab(run.tokenizer.vocab_size)
  assert run.params['classes']['kernel'].shape == (16, 3)
  assert run.digest == trees.digest(run.params)


@pytest.mark.slow
def test_answers_are_those_of_the_model_row_by_row(run):
  found = run.predict(TEXTS)
  assert [line['index'] for line in found] == list(range(8))
  assert [line['text'] for line in found] == TEXTS
  assert found.pop(5) == {'index': 5, 'text': '', 'predicted': None}
  batch = {name: np.zeros((7, 16), np.int32)
           for name in ('inputs', 'positions', 'segments')}
  for row, line in enumerate(found):
    ids = run.tokenizer.encode_document(line['text'])
    batch['inputs'][row, :len(ids)] = ids
    batch['positions'][row, :len(ids)] = range(len(ids))
    batch['segments'][row, :len(ids)] = 1
  logits_BC = np.asarray(jax.jit(lambda params: labels_lib.logits(
      run.model, params, batch))(run.params), np.float64)
  for line, logits_C in zip(found, logits_BC):
    np.testing.assert_allclose(line['logits'], logits_C, atol=1e-4)
    shares_C = np.exp(logits_C) / np.exp(logits_C).sum()
    np.testing.assert_allclose(
        list(line['probabilities'].values()), shares_C, atol=1e-5)
    assert line['predicted'] == SPLITS.labels[np.argmax(logits_C)]


def test_a_stream_is_answered_while_it_lasts(run, monkeypatch):
  monkeypatch.setattr(tuned, '_BATCHES', 1)
  taken = []

  def endless():
    for i in itertools.count():
      taken.append(i)
      yield task_lib.Example(TEXTS[i % len(TEXTS)], None, f'text {i}')
  found = list(itertools.islice(run.stream(endless()), 6))
  assert len(taken) == 8  # Two batches, and no input more.
  assert found == run.predict(TEXTS)[:6]


def test_labelled_answers_are_judged_without_the_empty_ones(run):
  answered = run.answer([
      task_lib.Example('a', 'yes', 'f:1'), task_lib.Example(' ', 'no', 'f:2'),
      task_lib.Example('b', 'no', 'f:3')], first=4)
  assert [line['label'] for line in answered.lines] == ['yes', 'no', 'no']
  assert [line['index'] for line in answered.lines] == [4, 5, 6]
  result = run.judge(answered)
  assert result.examples == 2
  right = sum(line['label'] == line['predicted'] for line in answered.lines)
  assert result.accuracy == right / 2


@pytest.mark.parametrize('texts, told', [
    ([('a', 'b')], 'text 0: 2 texts, but .* of 1 each'),
    (['a', 3], 'text 1 should be a text or a pair'), ([()], 'text 0 should be'),
    (['a', '\ud800'], 'text 1 has a lone surrogate')])
def test_what_is_no_text_is_refused(run, texts, told):
  with pytest.raises(errors.InputError, match=told):
    run.predict(texts)


def test_an_unknown_label_is_refused(run):
  with pytest.raises(errors.InputError, match="f:1: label 'yess'.*'yes'"):
    run.answer([task_lib.Example('a', 'yess', 'f:1')])


def test_outputs_come_in_the_order_of_the_examples():
  built = rows.Features(lengths=(4, 8), batch_size=3).build(
      [('x' * n,) for n in (1, 6, 2, 2, 1, 3, 2)], np.zeros(7, np.int32),
      symbols.Bytes().build())

  def outputs(scale, batch):
    size = batch['segments'].sum(axis=1)
    return {'scaled': size * scale, 'size': size}
  found = tuned.predictor(outputs, strategy.strategy('jit'))(2.0, built)
  assert [int(x['size']) for x in found] == built.sizes.tolist()
  assert [float(x['scaled']) for x in found] == (built.sizes * 2.0).tolist()


@pytest.mark.slow
def test_thresholds_are_of_the_checkpoint_that_they_were_chosen_for(tmp_path):
  splits = dataclasses.replace(SPLITS, thresholds=(0.0,))
  run = write(tmp_path / 'run', splits=splits)
  step = tuned.load(run.path).step
  assert tuned.load(run.path).splits == splits
  chosen = dataclasses.replace(SPLITS, thresholds=(1.5,))
  tuned.save_thresholds(run, chosen, step + 1)
  assert tuned.load(run.path).splits == splits
  tuned.save_thresholds(run, chosen, step)
  assert tuned.load(run.path).splits == chosen
  for wrong in ('[]', '{"step": %d}' % step,
                '{"step": %d, "thresholds": ["a"], "parts": []}' % step,
                '{"step": %d, "thresholds": [1, 2], "parts": []}' % step,
                '{"step": %d, "thresholds": 3, "parts": []}' % step):
    run.thresholds.write_text(wrong)
    with pytest.raises(errors.InputError, match='thresholds.json'):
      tuned.load(run.path)


def test_arrays_that_a_task_fitted_are_read_back_or_refused(tmp_path):
  run = directory.RunDir(tmp_path)
  splits = dataclasses.replace(SPLITS, fitted={'x': np.arange(3)})
  tuned.save(run, CONFIG.model, splits)
  assert tuned.read_splits(run).fitted['x'].tolist() == [0, 1, 2]
  whole = run.fitted.read_bytes()
  for damaged in whole[:-9], whole.replace(b'\x02', b'\x03'), b'':
    run.fitted.write_bytes(damaged)
    with pytest.raises(errors.InputError, match='fitted.npz.*no intact'):
      tuned.read_splits(run)


@pytest.mark.parametrize('of', [
    lambda rows: tuned.predictor(lambda scale, batch: batch['x'] * scale,
                                 strategy.strategy('jit'))(2, rows),
    lambda rows: [tuple(10 * (i + 1) + 2 * x for x in range(len(blank)))
                  for i, blank in enumerate(tuned.blank(
                      lambda _, batch: batch['x'])(2, rows))]])
def test_an_example_of_several_rows_has_one_output(of):
  class TwoRows:
    def once(self):
      yield np.array([1, 0]), {'x': np.array([10, 5])}
      yield np.array([1]), {'x': np.array([11, 0])}

    def joined(self, number, outputs):
      return tuple(int(x) for x in outputs)

    def __len__(self):
      return 2
  assert of(TwoRows()) == [(10,), (20, 22)]


def test_a_run_of_another_script_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='not a run directory'):
    tuned.load(tmp_path)
  directory.open_run(tmp_path, experiment.Pretrain())
  with pytest.raises(errors.InputError, match='--config.init='):
    tuned.load(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['backbone.json', 'task.json'])
def test_a_run_of_an_older_lmjax_is_told_how_to_get_what_it_lacks(
    tmp_path, name):
  run = write(tmp_path / 'run')
  (run.path / name).unlink()
  with pytest.raises(errors.InputError, match=f'keep {name}. Run its command'):
    tuned.load(run.path)


@pytest.mark.slow
@pytest.mark.parametrize('name, tree, told', [
    ('task.json', {'labels': ['no', 'yes', 'perhaps']}, 'damaged: it should'),
    ('task.json', SPLITS.known() | {'labels': 'no'}, 'damaged: labels'),
    ('task.json', SPLITS.known() | {'labels': ['no', 'yes']},
     r'classes/bias has shape \(3,\) .*, but has shape \(2,\) according'),
    ('task.json', [], 'not an object'),
    ('backbone.json', {'kind': 'Decoder'}, "'DecoderConfig'")])
def test_files_that_do_not_fit_the_parameters_are_refused(
    tmp_path, name, tree, told):
  run = write(tmp_path / 'run')
  (run.path / name).write_text(json.dumps(tree))
  with pytest.raises(errors.InputError, match=told):
    tuned.load(run.path)


@pytest.mark.slow
def test_parameters_that_are_missing_are_named(tmp_path):
  run = write(tmp_path / 'run', dataclasses.replace(
      CONFIG, model=dataclasses.replace(CONFIG.model, num_layers=2)))
  backbone = CONFIG.model.with_vocab(258)
  tuned.save(run, backbone, SPLITS)
  with pytest.raises(errors.InputError,
                     match='layer_1/.* has shape .* but is missing'):
    tuned.load(run.path)


def test_one_text_has_one_answer_and_one_vector(run):
  assert run.predict('abc') == run.predict(['abc'])[0]
  assert run.embed('abc').shape == (16,)
  np.testing.assert_array_equal(run.embed(['abc', 'd'])[0], run.embed('abc'))


@pytest.mark.parametrize('method', ['generate', 'score', 'logits'])
def test_a_tuned_run_says_that_it_models_no_text(run, method):
  with pytest.raises(errors.InputError, match=f'^{method}: .*predict answers'):
    getattr(run, method)('a')
