"""Utterances: evaluation and loss by hand, and a run from end to end."""
import dataclasses
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import encoder
from lmjax.models.heads import chain
from lmjax.models.heads import joint
from lmjax.objectives import labels
from lmjax.recipes import finetuning
from lmjax.recipes.loaded import predicting
from lmjax.recipes.loaded import tuned
from lmjax.tasks.readers.words import spoken
from lmjax.tasks.readers.words import utterance_folder
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.taggers import sentences
from lmjax.tasks import task
from lmjax.tasks import utterances
from lmjax.training.optimizers import adamw
from lmjax.training import options
from lmjax.training import stopping

BYTES = symbols.Bytes().build()
SOURCE = spoken.Spoken(utterance_folder.UtteranceFolder('folder'))
SPLITS = task.Splits((), (), (), parts=(
    task.Splits((), (), (), ('Play', 'Stop')),
    task.Splits((), (), (), ('O', 'B-x', 'I-x'))))
EXAMPLES = [
    sentences.Utterance(('a', 'b'), ('B-x', 'O'), 'f:1', 'Stop'),
    sentences.Utterance(('c',), ('O',), 'f:2', 'Play')]
P_TAGS = [[.2, .7, .1], [.5, .3, .2]], [[.4, .6, 0.0]]
P_INTENTS = [.9, .1], [.7, .3]


def built(**options):
  value = utterances.Utterances(SOURCE, features=rows_lib.Features(
      lengths=(8,), batch_size=2, prefix=' '), **options)
  return value, value.rows(EXAMPLES, SPLITS, BYTES)


def outputs_of(rows):
  found = []
  for columns, tags, intents in zip(rows.columns, P_TAGS, P_INTENTS):
    logits_TC = np.zeros((8, 3))
    logits_TC[list(columns)] = np.log(np.maximum(tags, 1e-9))
    found.append({'intents': np.log(intents) + 1, 'tags': logits_TC})
  return found


def test_numbers_by_hand():
  value, rows = built(tags_weight=2.0)
  metrics = {name: e.value for name, e in value.judge(
      outputs_of(rows), EXAMPLES, rows, SPLITS).metrics.items()}
  assert metrics['intent_accuracy'] == 1 / 2 == metrics['f1'] + (
      1 / 2 - 2 / 3)  # One slot was found of one, and one more.
  assert metrics['sentence_accuracy'] == 0 and metrics['tag_accuracy'] == 2 / 3
  assert metrics['loss'] == pytest.approx(-np.mean(
      [np.log(.1) + 2 * np.log(.7 * .5), np.log(.7) + 2 * np.log(.4)]))


def test_answers_hold_the_intent_and_the_tags():
  value, rows = built()
  first, second = value.answers(outputs_of(rows), EXAMPLES, rows, SPLITS)
  assert json.loads(json.dumps(first)) == {
      'words': ['a', 'b'], 'label': 'Stop', 'tags': ['B-x', 'O'],
      'predicted': 'Play', 'probabilities': {'Play': .9, 'Stop': .1},
      'predicted_tags': ['B-x', 'O'], 'tag_probabilities': [.7, .5],
      'entities': [{'type': 'x', 'start': 0, 'end': 1, 'text': 'a'}]}
  assert second['predicted'] == 'Play'


@pytest.mark.slow
def test_the_loss_adds_intents_and_tags():
  value, rows = built(tags_weight=0.5)
  batch = next(rows.once())[1]

  class Fixed:
    """Scores that do not depend on parameters."""
    def apply(self, *args, **kwargs):
      del args, kwargs
      draw = np.random.default_rng(0).normal
      return joint.Scores(draw(size=(2, 2)).astype(np.float32),
                          draw(size=(2, 8, 3)).astype(np.float32))
  means = value.loss(Fixed())({}, batch)
  assert float(means['loss'].weight) == 2
  assert means['loss'].value == pytest.approx(
      means['intent_nll'].value + 0.5 * means['tag_nll'].value * 3 / 2)


def test_baselines_say_the_most_frequent_intent():
  value, rows = built()
  results = value.baselines(dataclasses.replace(
      SPLITS, train=EXAMPLES[:1], test=EXAMPLES), rows)
  assert {name: [r.metrics[metric].value for metric in (
      'intent_accuracy', 'recall')] for name, r in results.items()} == {
          'majority': [1 / 2, 1], 'memory': [1 / 2, 1]}
  assert results['memory'].metrics['sentence_accuracy'].value == 1 / 2


def test_a_label_is_an_intent_and_tags():
  value, _ = built()
  found, = value.examples(['a b'], 'line 1', 'Stop I-x I-x')
  assert found == (('a', 'b'), ('B-x', 'I-x'), 'line 1', 'Stop')
  assert value.examples(['a b'], 'line 1')[0].label is None
  with pytest.raises(errors.InputError, match=(
      "line 1: a label should be an intent, followed by a tag.*got 'Stop O'")):
    value.examples(['a b'], 'line 1', 'Stop O')
  with pytest.raises(errors.InputError, match="f:1: intent 'Stp'.*mean 'Stop'"):
    value.rows([EXAMPLES[0]._replace(label='Stp')], SPLITS, BYTES)


@pytest.mark.parametrize('given, message', [
    ({'decode': 'viterbi'}, 'task.decode'), ({'pooling': 'sum'}, 'pooling'),
    ({'head': chain.CRFConfig(), 'objective': labels.Labels(0.1)},
     'leave task.objective')])
def test_options_that_do_not_fit_are_refused(given, message):
  with pytest.raises(errors.InputError, match=message):
    built(**given)


@pytest.mark.slow
def test_a_run_learns_and_its_answers_give_its_numbers(tmp_path):
  data = tmp_path / 'data'
  data.mkdir()
  for name, line in (
      ('seq.in', lambda i: f'{("play", "stop")[i % 2]} {"xyz"[i % 3]} {i % 7}'),
      ('seq.out', lambda i: f'O {("B-x I-x", "O O")[i % 2]}'),
      ('label', lambda i: ('Play', 'Stop')[i % 2])):
    (data / name).write_text(''.join(line(i) + '\n' for i in range(84)))
  config = experiment.Finetune(
      task=utterances.Utterances(
          spoken.Spoken(utterance_folder.UtteranceFolder(str(data)),
                        held_out=0.2, drop_shared=False),
          features=rows_lib.Features(
              lengths=(16,), batch_size=16, prefix=' '),
          head=chain.CRFConfig()),
      tokenizer=symbols.Bytes(),
      model=encoder.EncoderConfig(context=16, width=16, num_layers=1),
      optimizer=adamw.AdamW(learning_rate=1e-2),
      training=options.Training(
          steps=40, log_every=20, eval_every=20, stop=stopping.EarlyStopping(
              metric='valid/sentence_accuracy', higher_is_better=True)))
  results = finetuning.finetune(config, str(tmp_path / 'run'))
  metrics = results['model'].metrics
  assert metrics['sentence_accuracy'].value > 0.9
  assert list(results) == ['model', 'majority', 'memory']
  answers = [json.loads(line) for line in
             (tmp_path / 'run/predictions.jsonl').open()]
  assert metrics['intent_accuracy'].value == np.mean(
      [a['label'] == a['predicted'] for a in answers])

  (tmp_path / 'a.jsonl').write_text(''.join(json.dumps({
      'text': ' '.join(a['words']),
      'label': ' '.join([a['label'], *a['tags']])}) + '\n' for a in answers))
  again = predicting.predict(
      tuned.load(tmp_path / 'run'), predicting.Inputs(
          str(tmp_path / 'a.jsonl'), label='label'), str(tmp_path / 'out'))
  assert again.to_dict() == results['model'].to_dict()
