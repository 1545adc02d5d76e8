"""Tagging: evaluation, answers, and a run from end to end."""
import dataclasses
import json

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.evaluation.downstream.tags import entities
from lmjax import experiment
from lmjax.models import encoder
from lmjax.models.heads import chain
from lmjax.models.heads import token
from lmjax.nn import crf
from lmjax.objectives import labels
from lmjax.parallel import strategy
from lmjax.recipes import finetuning
from lmjax.recipes.loaded import predicting
from lmjax.recipes.loaded import tuned
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.words import spaced
from lmjax.tasks.readers.words import tagged
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.taggers import sentences as sentences_lib
from lmjax.tasks import tagging
from lmjax.tasks import task
from lmjax.training.optimizers import adamw
from lmjax.training import options
from lmjax.training import stopping

BYTES = symbols.Bytes().build()
SOURCE = tagged.Tagged(spaced.Spaced(in_memory.InMemory((('a', 'B-x'),))))
LABELS = ('O', 'B-x', 'I-x')


def built(pairs, length=8, source=SOURCE, overlap=None, **options):
  value = tagging.Tagging(source, overlap=overlap, features=rows_lib.Features(
      lengths=(length,), batch_size=2, prefix=' '), **options)
  examples = [sentences_lib.Sentence(
      tuple(words.split()), tags and tuple(tags.split()), '')
              for words, tags in pairs]
  splits = task.Splits([], [], examples, LABELS)
  return value, examples, value.rows(examples, splits, BYTES), splits


def outputs_of(rows, probabilities):
  """Returns logits with these probabilities at the words' columns."""
  out = []
  for columns, wanted in zip(rows.columns, probabilities):
    logits_TC = np.full((8, 3), np.nan, np.float32)  # Elsewhere: never read.
    for column, p_C in zip(columns, wanted):
      if column is not None:
        logits_TC[column] = np.log(p_C) + 3
    out.append(logits_TC)
  return out


# The last word of the second sentence is cut: 'O', though it was an entity.
PAIRS = [('a b c', 'B-x I-x O'), ('abc d e', 'O O B-x')]
P = [[[.1, .8, .1], [.2, .3, .5], [.3, .2, .5]],
     [[.6, .2, .2], [.3, .2, .5], None]]


def test_numbers_by_hand():
  value, examples, rows, splits = built(PAIRS)
  assert rows.columns == ((1, 3, 5), (1, 5, None))
  result = value.judge(outputs_of(rows, P), examples, rows, splits)
  numbers = {name: e.value for name, e in result.metrics.items()}
  # Predicted: B I I, and O I O. There are 2 entities; 2 were found, none right.
  assert numbers == {
      'f1': 0, 'precision': 0, 'recall': 0, 'strict_f1': 0,
      'accuracy': pytest.approx(3 / 6), 'loss': pytest.approx(
          -np.log([.8, .5, .3, .6, .3]).mean(), rel=1e-6)}
  assert result.lenient_NK3.sum(axis=0).tolist() == [[2, 2, 0]]
  assert result.strict_NK3.sum(axis=0).tolist() == [[2, 1, 0]]


def test_valid_tags_have_no_entity_that_begins_inside():
  value, examples, rows, splits = built(PAIRS, decode='valid')
  answers = list(value.answers(outputs_of(rows, P), examples, rows, splits))
  # 'O I' is not valid: 'O O' (.6 * .3) is more probable than 'B I' (.2 * .5).
  assert [a['predicted'] for a in answers] == [
      ['B-x', 'I-x', 'I-x'], ['O', 'O', 'O']]
  assert answers[1]['probabilities'] == [.6, .3, None]


def test_answers_hold_words_tags_and_entities():
  value, examples, rows, splits = built([*PAIRS[:1], ('d e', None)])
  first, second = value.answers(
      outputs_of(rows, [P[0], [[.5, .25, .25], [.25, .5, .25]]]), examples,
      rows, splits)
  assert json.loads(json.dumps(first)) == {
      'words': ['a', 'b', 'c'], 'tags': ['B-x', 'I-x', 'O'],
      'predicted': ['B-x', 'I-x', 'I-x'], 'probabilities': [.8, .5, .5],
      'entities': [{'type': 'x', 'start': 0, 'end': 3, 'text': 'a b c'}]}
  assert 'tags' not in second
  assert second['entities'] == [
      {'type': 'x', 'start': 1, 'end': 2, 'text': 'e'}]


def test_a_tag_that_training_never_shows_is_missed_and_not_in_the_loss():
  value, examples, rows, splits = built([('a b', 'B-new O')])
  result = value.judge(
      outputs_of(rows, [[[.9, .05, .05], [.8, .1, .1]]]), examples, rows,
      splits)
  assert result.metrics['loss'].value == pytest.approx(-np.log(.8), rel=1e-6)
  assert result.metrics['recall'].value == 0
  assert result.metrics['accuracy'].value == 1 / 2
  assert result.types == ('x', 'new')


def test_tags_that_are_names_have_scores_of_words():
  value, examples, rows, splits = built(
      [('abc d e', 'N V N')], source=dataclasses.replace(SOURCE, tags='names'))
  splits = dataclasses.replace(splits, labels=('N', 'V', 'I-x'))
  outputs = outputs_of(rows, [[[.1, .6, .3], [.2, .2, .6], None]])
  result = value.judge(outputs, examples, rows, splits)
  assert {name: e.value for name, e in result.metrics.items()} == {
      'accuracy': 1 / 3, 'macro_f1': pytest.approx((2 / 3 + 0 + 0) / 3),
      'loss': pytest.approx(-np.log([.1, .2]).mean(), rel=1e-6)}
  answer, = value.answers(outputs, examples, rows, splits)
  # The last word is not seen: it has the first tag.
  assert answer['predicted'] == ['V', 'I-x', 'N'] and 'entities' not in answer
  assert value.model(encoder.EncoderConfig(), splits).allowed is None
  results = value.baselines(dataclasses.replace(splits, train=[
      sentences_lib.Sentence(('d', 'f'), ('V', 'N'), '')]), rows)
  assert results['memory'].metrics['accuracy'].value == 1


def test_baselines_are_fitted_to_training_and_scored_on_test():
  value, examples, rows, splits = built([('Jo is b', 'B-x O B-x')])
  train = [sentences_lib.Sentence(('Jo', 'is', 'in'), ('B-x', 'O', 'O'), '')]
  results = value.baselines(dataclasses.replace(splits, train=train), rows)
  assert {name: r.metrics['recall'].value for name, r in results.items()} == {
      'majority': 0, 'memory': 1 / 2}
  assert 'loss' not in results['memory'].metrics


class Spelled(nn.Module):
  """Scores that depend on a token alone, as those of either kind of head."""
  chained: bool = False
  allowed = entities.allowed(LABELS)

  def __call__(self, inputs_BT, positions_BT, segments_BT, train=False):
    del positions_BT, segments_BT, train
    logits_BTC = jnp.sin(
        inputs_BT[..., None] * jnp.array([1.0, 2.0, 3.0])[None, None])
    table = jnp.cos(jnp.arange(9.0).reshape(3, 3))
    return chain.Scores(logits_BTC, crf.Transitions(
        table[0], table, table[1])) if self.chained else logits_BTC


@pytest.mark.slow
@pytest.mark.parametrize('head', [token.TokenConfig(), chain.CRFConfig()])
def test_a_long_sentence_in_windows_has_the_tags_that_it_has_in_one_row(head):
  long = ' '.join('abcdefghijklmnopqrstuvwxyz'), ' '.join(['B-x', 'O'] * 13)
  pairs = [PAIRS[0], long, PAIRS[1], (long[0][:23], long[1][:36]), long]
  found = []
  for length in 64, 20:
    value, examples, rows, splits = built(pairs, length, overlap=0.5, head=head)
    model = Spelled(chained=head != token.TokenConfig())
    outputs = tuned.predictor(value.outputs(model), strategy.strategy('jit'))(
        {}, rows)
    found.append([list(value.answers(outputs, examples, rows, splits)),
                  value.judge(outputs, examples, rows, splits).to_dict()])
  assert rows.windows.tolist() == [1, 5, 1, 2, 5]
  assert found[0] == found[1]


def test_an_unknown_way_to_decode_is_refused():
  with pytest.raises(errors.InputError, match="task.decode.*got 'viterbi'"):
    tagging.Tagging(SOURCE, decode='viterbi')


def test_a_chain_without_a_plain_likelihood_is_refused_before_training():
  with pytest.raises(errors.InputError, match='leave task.objective'):
    tagging.Tagging(SOURCE, head=chain.CRFConfig(),
                    objective=labels.Labels(label_smoothing=0.1))


def test_text_becomes_a_sentence():
  task_value = tagging.Tagging(SOURCE)
  sentence, = task_value.examples(['Jo is in'], 'line 1')
  assert sentence.words == ('Jo', 'is', 'in') and sentence.tags is None
  sentence, = task_value.examples(['Jo is'], 'line 1', 'I-x O')
  assert sentence.tags == ('B-x', 'O')


# A name of two words follows 'Mr'; others are no entity.
SENTENCES = tuple(
    (f'{"ab"[i % 2]} {("Mr", "the")[i % 3 == 0]} {"xyz"[i % 3]} {i % 7} .',
     f'O O {("B-x I-x", "O O")[i % 3 == 0]} O') for i in range(90))


@pytest.mark.slow
@pytest.mark.parametrize('head', [token.TokenConfig(), chain.CRFConfig()])
def test_a_run_learns_and_its_answers_give_its_numbers(
    head, tmp_path, capsys):
  config = experiment.Finetune(
      task=tagging.Tagging(
          source=tagged.Tagged(
              spaced.Spaced(in_memory.InMemory(SENTENCES)), held_out=0.2,
              drop_shared=False),
          head=head, features=rows_lib.Features(
              lengths=(16,), batch_size=16, prefix=' ')),
      tokenizer=symbols.Bytes(),
      model=encoder.EncoderConfig(context=16, width=16, num_layers=1),
      optimizer=adamw.AdamW(learning_rate=1e-2),
      training=options.Training(
          steps=60, log_every=20, eval_every=20, stop=stopping.EarlyStopping(
              metric='valid/f1', higher_is_better=True)))
  results = finetuning.finetune(config, str(tmp_path))
  assert list(results) == ['model', 'majority', 'memory']
  metrics = results['model'].metrics
  assert metrics['f1'].value > 0.9 > results['majority'].metrics['f1'].value
  assert 'strict-F1' in capsys.readouterr().out
  assert (tmp_path / 'confusion.png').stat().st_size > 5000
  answers = [json.loads(line) for line in
             (tmp_path / 'predictions.jsonl').read_text().splitlines()]
  pairs = [pair for a in answers for pair in zip(a['tags'], a['predicted'])]
  assert np.mean([a == b for a, b in pairs]) == metrics['accuracy'].value
  report = json.loads((tmp_path / 'report.json').read_text())
  assert report['results']['model'] == results['model'].to_dict()

  (tmp_path / 'a.conll').write_text('\n'.join(''.join(
      f'{word}\t{tag}\n' for word, tag in zip(a['words'], a['tags']))
                                              for a in answers))
  again = predicting.predict(
      tuned.load(tmp_path), predicting.Inputs(
          str(tmp_path / 'a.conll'), format='conll'), str(tmp_path / 'out'))
  assert again.to_dict() == results['model'].to_dict()
  assert [json.loads(line) for line in (tmp_path / 'out').open()] == [
      {'index': i} | answer for i, answer in enumerate(answers)]
  with pytest.raises(errors.InputError, match='--override=task.source.train'):
    other = dataclasses.replace(config, task=dataclasses.replace(
        config.task, source=dataclasses.replace(
            config.task.source,
            train=spaced.Spaced(in_memory.InMemory(SENTENCES[:80])))))
    finetuning.finetune(other, str(tmp_path))
