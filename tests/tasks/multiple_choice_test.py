"""Multiple choice by a head: rows of options, answers, and a whole run."""
import dataclasses
import json

import numpy as np
import pytest

import lmjax
from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import decoder
from lmjax.recipes import finetuning
from lmjax.tasks.answering import alternatives
from lmjax.tasks import multiple_choice
from lmjax.tasks.readers.questions import asked
from lmjax.tasks import rows as rows_lib
from lmjax.training import options

BYTES = symbols.Bytes().build()
QUESTIONS = [
    alternatives.Question(('Q', 'Q'), ('a', 'bb'), 1, 'f:1'),
    alternatives.Question(('', '', ''), ('c', 'd', 'e'), 2, 'f:2')]
TASK = multiple_choice.Choice(
    asked.Asked(asked.QuestionLines(('q.jsonl',))),
    rows_lib.Features(lengths=(8, 16), batch_size=3))


def _text(row):
  return bytes(row[(row > 0) & (row < 256)].astype(np.uint8)).decode()


def test_each_option_is_a_row_after_its_context():
  rows = TASK.rows(QUESTIONS, None, BYTES)
  (numbers, batch), = rows.once()
  assert numbers.tolist() == [0, 1]
  assert [[_text(row) for row in batch[f'option_{k}_inputs']]
          for k in range(3)] == [['Q a', 'c', ''], ['Q bb', 'd', ''],
                                 ['', 'e', '']]
  assert batch['options'].tolist() == [2, 3, 0]
  assert batch['labels'].tolist() == [1, 2, 0]
  assert batch['weights'].tolist() == [1, 1, 0]
  types = batch['option_1_types'] * batch['option_1_segments']
  assert types[0].sum() == 4 and not types[1].any()  # ' bb' and EOS.
  assert sorted(set(TASK.texts(QUESTIONS))) == [
      ' a', ' bb', 'Q', 'c', 'd', 'e']


def test_texts_that_are_cut_are_counted():
  long = QUESTIONS[0]._replace(options=('x' * 99, 'y'))
  assert '1 longer than 16' in TASK.rows([long], None, BYTES).describe()


def test_the_highest_score_of_its_own_options_is_the_answer():
  outputs = [np.array([0.0, 1.0, 9.0]), np.array([0.0, 1.0, 2.0])]
  found = list(TASK.answers(outputs, QUESTIONS, None, None))
  assert [(each['predicted'], each['option']) for each in found] == [
      ('bb', 1), ('e', 2)]
  assert found[0]['probabilities'] == [0.268941, 0.731059]
  assert TASK.judge(outputs, QUESTIONS, None, None).metrics[
      'accuracy'].value == 1.0
  with pytest.raises(errors.InputError, match='baselines has .longst.'):
    multiple_choice.Metrics(('longst',))


@pytest.mark.slow
def test_a_run_learns_and_answers(tmp_path):
  rng = np.random.default_rng(0)
  lines = []
  for i in range(60):
    gold = int(rng.integers(2 + i % 2))
    choices = ['zz'] * (2 + i % 2)
    choices[gold] = 'aa'
    lines.append({'query': f'{i}', 'gold': gold,
                  'choices': [f'{text}{k}' for k, text in enumerate(choices)]})
  path = tmp_path / 'q.jsonl'
  path.write_text('\n'.join(map(json.dumps, lines)))
  task = dataclasses.replace(
      TASK, source=asked.Asked(asked.QuestionLines((str(path),)), held_out=0.2),
      features=rows_lib.Features(lengths=(12,), batch_size=8))
  results = finetuning.finetune(experiment.Finetune(
      task=task, tokenizer=symbols.Bytes(),
      model=decoder.DecoderConfig(context=16, width=16, num_layers=1),
      training=options.Training(steps=2, log_every=1)), str(tmp_path / 'run'))
  assert list(results) == ['model', 'most frequent position', 'longest option']
  run = lmjax.load(tmp_path / 'run')
  pair = ['Q', '["zz", "aa", "zz"]']
  answer, = run.predict([pair])
  assert answer['options'] == ['zz', 'aa', 'zz']
  assert abs(sum(answer['probabilities']) - 1) < 1e-5
  saved = [json.loads(line) for line in
           (tmp_path / 'run/predictions.jsonl').read_text().splitlines()]
  assert {len(each['probabilities']) for each in saved} == {2, 3}
  with pytest.raises(errors.InputError, match='JSON list of options'):
    run.predict([['Q', 'zz']])
