"""Question answering: answers, thresholds, and a run from file to prediction.
"""
import contextlib
import dataclasses
import io
import json

import lmjax
from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import encoder
from lmjax.recipes import finetuning
from lmjax.recipes.loaded import predicting
from lmjax.tasks.answering import passages
from lmjax.tasks.answering import windows
from lmjax.tasks.readers.questions import articles
from lmjax.tasks.readers.questions import squad
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import spans
from lmjax.tasks import task as task_lib
from lmjax.training import options
import numpy as np
import pytest

BYTES = symbols.Bytes().build()
TEXT = 'Rome fell in 476, they say, and Paris did not.'
TASK = spans.Spans(
    articles.Articles(squad.Squad(('some.json',))),
    rows_lib.Features(lengths=(24, 40), batch_size=2),
    windows.Windows(stride=16, longest_question=6), n_best=2)


def asked(*answers, question='When?', text=TEXT):
  return passages.question(question, text, [(a, None) for a in answers], 'f:1')


def says(rows, number, answer, score, null):
  """Returns the outputs of a model that scores an answer and none."""
  found = []
  for place in rows.places(number):
    window = rows.windows[place]
    logits_TC = np.zeros((len(window.row.ids), 2), np.float32)
    logits_TC[window.column:] = -5.0
    logits_TC[0] = null / 2
    tokens = rows.spans[number]
    where = TEXT.index(answer), TEXT.index(answer) + len(answer)
    inside = [i for i, (a, b) in enumerate(tokens)
              if a < b and a >= where[0] and b <= where[1]]
    if window.columns((inside[0], inside[-1])) != (0, 0):
      first, last = window.columns((inside[0], inside[-1]))
      logits_TC[first, 0] = logits_TC[last, 1] = score / 2
    found.append(logits_TC)
  return tuple(found)


def splits(*questions, threshold=0.0):
  return task_lib.Splits(
      [], questions, questions, texts=2, thresholds=(threshold,))


def answered(outputs, examples, rows, threshold):
  return list(TASK.answers(
      outputs, examples, rows, splits(*examples, threshold=threshold)))


def test_answers_are_parts_of_the_text_or_none():
  examples = [asked('476'), asked()]
  rows = TASK.rows(examples, splits(), BYTES)
  outputs = [says(rows, 0, '476', 3.0, 1.0), says(rows, 1, 'Paris', 2.0, 5.0)]
  first, second = answered(outputs, examples, rows, 0.0)
  assert first['predicted'] == '476' == TEXT[first['start']:][:3]
  assert first['answers'] == [{'text': '476', 'start': 13}]
  assert first['null_score'] == 1.0 and first['best'][0] == {
      'text': '476', 'start': 13, 'score': 3.0, 'probability': pytest.approx(
          first['null_probability'] * np.exp(2), rel=1e-4)}
  assert len(first['best']) == 2 and len(rows.windows) > 2
  assert second['predicted'] == '' and second['start'] is None
  assert second['best'][0]['text'] == 'Paris'  # The best if there were one.
  assert answered(outputs, examples, rows, 3.0)[1]['predicted'] == 'Paris'
  unknown = [each._replace(answers=None) for each in examples]
  assert 'answers' not in answered(outputs, unknown, rows, 0.0)[0]
  json.dumps([first, second])


def test_the_threshold_is_tuned_on_the_validation_split_and_not_zero():
  examples = [asked('476'), asked('Paris'), asked(), asked()]
  rows = TASK.rows(examples, splits(), BYTES)
  outputs = [says(rows, number, answer, 0.0, null) for number, (
      answer, null) in enumerate((('476', 1.0), ('Paris', 2.0), ('Rome', 4.0),
                                  ('Rome', 5.0)))]
  before = splits(*examples)
  assert TASK.judge(outputs, examples, rows, before).metrics['f1'].value == 0.5
  after = TASK.settled(lambda: outputs, rows, before)
  assert after.thresholds == (3.0,)
  result = TASK.judge(outputs, examples, rows, after)
  assert result.metrics['f1'].value == 1.0
  assert result.metrics['untuned_f1'].value == 0.5
  always = splits(*examples, threshold=articles.ALWAYS)
  assert TASK.settled(None, rows, always) is always


@pytest.mark.slow
def test_the_loss_on_a_split_is_the_judges():
  examples = [asked('476'), asked(), asked('Rome')]
  rows = TASK.rows(examples, splits(), BYTES)
  rng, outputs, total, weight = np.random.default_rng(0), {}, 0.0, 0.0

  class Says:
    def apply(self, variables, *_, **__):
      return variables['params']
  loss, outputs_of = TASK.loss(Says()), TASK.outputs(Says())
  for owners, batch in rows.once():
    logits_BTC = rng.normal(size=(*batch['inputs'].shape, 2))
    found = loss(logits_BTC, batch)['loss']
    total, weight = total + found.total, weight + found.weight
    for owner, out in zip(owners.tolist(), outputs_of(logits_BTC, batch)):
      outputs.setdefault(owner, []).append(np.asarray(out))
  result = TASK.judge([rows.joined(i, outputs[i]) for i in range(3)], examples,
                      rows, splits(*examples))
  assert result.metrics['loss'].value == pytest.approx(
      float(total / weight), rel=1e-5)
  assert weight == len(rows.windows)


def test_texts_for_a_tokenizer_have_each_text_once():
  assert list(TASK.texts([asked(), asked(question='Who?')])) == [
      'When?', 'Who?', TEXT]


@pytest.mark.parametrize('label, want', [
    (None, None), ('476', ['476']), ('["476", "Rome"]', ['476', 'Rome']),
    ('', []), ('[]', [])])
def test_a_label_is_an_answer_or_a_list_of_them(label, want):
  found, = TASK.examples(('When?', TEXT), 'f:1', label)
  assert want == (None if found.answers is None else [
      answer.text for answer in found.answers])


@pytest.mark.parametrize('refused, message', [
    (lambda: TASK.examples(('When?', TEXT), 'f:1', '477'), 'f:1: .* not in'),
    (lambda: dataclasses.replace(TASK, features=rows_lib.Features(
        token_dropout=0.1)), 'token_dropout removes tokens'),
    (lambda: spans.Metrics(match='rouge'), "choose from .'cmrc', 'squad'"),
    (lambda: spans.Metrics(baselines=('overlaps',)), "Did you mean 'overlap'")])
def test_what_cannot_be_is_refused(refused, message):
  with pytest.raises(errors.InputError, match=message):
    refused()


def test_baselines_choose_thresholds_of_their_own():
  question = 'Did Rome fall?'
  examples = [asked('476', question='Rome fell in?'), asked(question=question)]
  found = TASK.baselines(dataclasses.replace(
      splits(*examples), train=examples), None)
  assert list(found) == ['no answer', 'word overlap']
  assert found['no answer'].metrics['f1'].value == 0.5
  assert found['word overlap'].metrics['f1'].value == (
      found['word overlap'].metrics['best_f1'].value)
  assert found['word overlap'].threshold != 0.0
  always = dataclasses.replace(
      splits(*examples, threshold=articles.ALWAYS), train=examples)
  assert TASK.baselines(always, None)['word overlap'].threshold == (
      articles.ALWAYS)


@pytest.mark.slow
def test_a_run_learns_is_saved_with_its_threshold_and_answers(tmp_path):
  data = [{'title': f'City {i}', 'paragraphs': [{
      'context': f'City {i} fell in {470 + i}.' + ' It is old.' * (i % 7),
      'qas': [{'id': f'{i} {j}', 'question': 'Fell when?' if j else 'Who?',
               'is_impossible': not j, 'answers': [
                   {'text': str(470 + i), 'answer_start': len(
                       f'City {i} fell in ')}] * j} for j in (0, 1)]}]}
          for i in range(20)]
  path = tmp_path / 'squad.json'
  path.write_text(json.dumps({'data': data}))
  config = experiment.Finetune(
      task=dataclasses.replace(
          TASK, source=articles.Articles(squad.Squad((str(path),)))),
      tokenizer=symbols.Bytes(),
      model=encoder.EncoderConfig(context=40, width=16, num_layers=1),
      training=options.Training(steps=2, log_every=1))
  shown = io.StringIO()
  with contextlib.redirect_stdout(shown):
    results = finetuning.finetune(config, str(tmp_path / 'run'))
  assert list(results) == ['model', 'no answer', 'word overlap']
  assert 'train: 32 questions, 16 without an answer' in shown.getvalue()
  assert 'windows of' in shown.getvalue()
  result = results['model']
  run = lmjax.load(tmp_path / 'run')
  assert run.splits.thresholds == (result.threshold,) != (0.0,)
  page = (tmp_path / 'run/report.html').read_text()
  assert 'By question word' in page and 'Worst answers' in page
  rows = [json.loads(line) for line in (
      tmp_path / 'run/predictions.jsonl').read_text().splitlines()]
  answers = run.predict([(row['question'], row['context']) for row in rows])
  for row, answer in zip(rows, answers, strict=True):
    assert row['predicted'] in row['context']
    assert answer['predicted'] == row['predicted']
    assert answer['best'] == row['best'] and 'answers' not in answer

  table = tmp_path / 'new.jsonl'
  table.write_text(''.join(json.dumps({
      'q': row['question'], 'c': row['context'],
      'a': json.dumps([a['text'] for a in row['answers']])}) + '\n'
                           for row in rows) + json.dumps(
                               {'q': 'Who?', 'c': ' ', 'a': ''}) + '\n')
  again = predicting.predict(run, predicting.Inputs(
      str(table), text=('q',), second=('c',), label='a'),
                             str(tmp_path / 'out.jsonl'))
  assert again.metrics['f1'] == result.metrics['f1']
  last = (tmp_path / 'out.jsonl').read_text().splitlines()[-1]
  assert json.loads(last)['predicted'] is None  # It has no text.
