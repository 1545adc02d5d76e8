"""Tasks trained together: examples, head, loss and results of each."""
import dataclasses
import types

import jax
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import config_flags
from lmjax.core.flags import named
from lmjax.core import trees
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import estimates
from lmjax import experiment
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.tasks import classification
from lmjax.tasks import mixing
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks.readers.words import spaced
from lmjax.tasks.readers.words import tagged
from lmjax.tasks import regression
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import tagging
from lmjax.tasks import task
from lmjax.tasks import together
from lmjax.testing import hot

BYTES = symbols.Bytes().build()
BACKBONE = encoder.EncoderConfig(
    vocab_size=BYTES.vocab_size, context=8, width=8, num_layers=1, tokens=None)
SHORT = rows_lib.Features(lengths=(8,), batch_size=4)
CLASSES = tuple(('xyz'[i % 3] * 3 + str(i), 'xyz'[i % 3]) for i in range(12))
NUMBERS = tuple(('ab' * (i % 3) + 'd', f'c{i}', str(i % 3)) for i in range(8))


def source(rows):
  return labelled.Labelled(*[in_memory.InMemory(rows)] * 3, drop_shared=False)


SORT = classification.Classification(source(CLASSES), SHORT)
COUNT = regression.Regression(source(NUMBERS), dataclasses.replace(
    SHORT, lengths=(6,), batch_size=6))
TASK = together.Together((SORT, COUNT), ('sort', 'count'))


@pytest.fixture(scope='module')
def made():
  """Returns splits, rows of the test split, the model and its parameters."""
  splits = TASK.read()
  model = TASK.model(BACKBONE, splits)
  row = np.zeros((1, 1), np.int32)
  shapes = jax.eval_shape(
      model.init, jax.random.key(0), row, row, row + 1)['params']
  return (splits, TASK.rows(splits.test, splits, BYTES), model,
          hot.hot_params(shapes))


def test_parameters_are_one_backbone_and_a_head_for_each_task(made):
  splits, _, model, params = made
  own = {path: leaf.shape for path, leaf in trees.items(params)}
  assert own.pop('sort_classes/kernel') == (8, 3)
  assert own.pop('count_number/kernel') == (8, 1)
  assert {own.pop('sort_classes/bias'), own.pop('count_number/bias')} == {
      (3,), (1,)}
  assert model.tells_apart
  blind = dataclasses.replace(BACKBONE, embed=parts.TypedEmbed(types=0))
  assert not TASK.model(blind, splits).tells_apart
  assert own == {path: leaf.shape
                 for path, leaf in trees.items(cost.shapes(BACKBONE))}


def test_the_examples_are_those_of_all_tasks(made):
  splits, rows, _, _ = made
  assert len(splits.train) == len(rows) == 20
  assert [part.labels for part in splits.parts] == [('x', 'y', 'z'), ()]
  assert splits.train[0].content == (0, *splits.parts[0].train[0].content)
  assert splits.texts == 2  # The most.
  assert sorted(TASK.texts(splits.train))[0].startswith(' c')
  assert len([*TASK.texts(splits.train)]) == 12 + 2 * 8
  assert (TASK.longest, TASK.batch_size) == (8, 2)
  assert splits.digest() != dataclasses.replace(TASK, tasks=(
      COUNT, SORT)).read().digest()


@pytest.fixture(scope='module')
def outputs(made):
  """Returns the output for each example, by its place."""
  _, rows, model, params = made
  function, found = jax.jit(TASK.outputs(model)), {}
  for chosen, batch in rows.once():
    found |= dict(zip(chosen.tolist(), np.asarray(function(params, batch))))
  return [found[number] for number in range(len(rows))]


@pytest.mark.slow
def test_each_task_answers_its_own_examples_as_it_would_alone(made, outputs):
  splits, rows, _, params = made
  for place, (value, name) in enumerate(((SORT, 'sort'), (COUNT, 'count'))):
    part = splits.parts[place]
    alone = value.model(BACKBONE, part)
    head = {'classes': 'sort_classes', 'number': 'count_number'}[alone.head]
    own = {**params, alone.head: params[head]}
    own_rows = value.rows(part.test, part, BYTES)
    function, found = jax.jit(value.outputs(alone)), {}
    for chosen, batch in own_rows.once():
      found |= dict(zip(chosen.tolist(), np.asarray(function(own, batch))))
    start = 12 * place
    for number, output in found.items():
      np.testing.assert_array_equal(outputs[start + number], output)

    result = value.judge([found[i] for i in range(len(found))], part.test,
                         own_rows, part)
    both = TASK.judge(outputs, splits.test, rows, splits)
    assert both.parts[name].to_dict() == result.to_dict()
    answers = [*TASK.answers(outputs, splits.test, rows, splits)]
    assert [{'task': name} | answer for answer in value.answers(
        [found[i] for i in range(len(found))], part.test, own_rows, part)
            ] == answers[start:start + len(found)]


@pytest.mark.slow
def test_a_batch_has_its_tasks_loss_and_moves_its_head_alone(made):
  splits, rows, model, params = made
  objective = TASK.loss(model)
  for place, name, other in (0, 'sort', 'count'), (1, 'count', 'sort'):
    batch = mixing.marked(next(rows.shares[place].rows.once())[1], place)
    grads, found = jax.jit(jax.grad(
        lambda p: (objective(p, batch)['loss'].total, objective(p, batch)),
        has_aux=True))(params)
    assert found['loss'].value == found[f'{name}/loss'].value > 0
    assert not any(key.startswith(other) for key in found)
    moved = {path.partition('/')[0] for path, leaf in trees.items(grads)
             if np.abs(leaf).max() > 0}
    assert {'embed', 'layer_0'} <= moved
    assert {path for path in moved if '_' in path} - {
        'layer_0', 'embed_norm'} == {model.parts[place].head}


def test_words_are_tagged_beside(made):
  words = (('a bc', 'O B-x'), ('bc', 'B-x'))
  task_ = dataclasses.replace(TASK, names=(), tasks=(SORT, tagging.Tagging(
      tagged.Tagged(*[spaced.Spaced(in_memory.InMemory(words))] * 3,
                    drop_shared=False), SHORT)))
  splits = task_.read()
  model = task_.model(BACKBONE, splits)
  assert [part.head for part in model.parts] == ['0_classes', '1_tags']
  rows = task_.rows(splits.test, splits, BYTES)
  outputs = [np.zeros(3)] * 12 + [np.zeros((8, 3))] * 2
  assert {'0/accuracy', '1/f1'} <= task_.judge(
      outputs, splits.test, rows, splits).metrics.keys()
  *_, last = task_.answers(outputs, splits.test, rows, splits)
  assert (last['task'], last['words'], last['tags']) == ('1', ['bc'], ['B-x'])


def test_metrics_go_by_the_tasks_names(made, outputs):
  splits, rows, _, _ = made
  result = TASK.judge(outputs, splits.test, rows, splits)
  assert list(result.metrics) == [
      'loss', 'sort/loss', 'sort/accuracy', 'sort/macro_f1', 'sort/matthews',
      'count/loss', 'count/pearson', 'count/spearman', 'count/mse']
  one, two = (result.metrics[f'{name}/loss'] for name in ('sort', 'count'))
  assert result.metrics['loss'] == estimates.Estimate(
      pytest.approx((one.value + two.value) / 2),
      pytest.approx((one.stderr**2 + two.stderr**2)**0.5 / 2))
  assert list(result.pictures()) == [
      'sort-Confusion', 'sort-Precision-recall', 'count-Scatter']
  tree = result.to_dict()
  assert tree['examples'] == 20 and tree['loss'] == result.metrics['loss'].value
  assert tree['tasks']['count'] == result.parts['count'].to_dict()
  baselines = TASK.baselines(splits, rows)
  assert list(baselines) == ['sort/majority', 'sort/naive Bayes', 'sort/linear',
                             'count/mean', 'count/ridge regression']
  assert 'loss' not in baselines['sort/majority'].metrics


def test_each_task_settles_its_thresholds_on_its_own_outputs(made):
  splits, rows, _, _ = made
  class Settles:
    def settled(self, outputs, rows, splits):
      return dataclasses.replace(splits, thresholds=(sum(outputs()), len(rows)))
  ours = types.SimpleNamespace(tasks=(Settles(), SORT))
  found = together.Together.settled(ours, lambda: list(range(20)), rows, splits)
  first, second = found.parts
  assert first.thresholds == (sum(rows.shares[0].places), 12)
  assert second == splits.parts[1] and found.train is splits.train


def test_tables_have_the_names_of_their_tasks():
  table = ('word', 'errors'), [('a', '3')]
  one = types.SimpleNamespace(tables=lambda: {'Words': table})
  assert together.Result({'sort': one}).tables() == {'sort: Words': table}


def test_pictures_are_drawn_with_the_tasks_name(made, outputs, tmp_path):
  splits, rows, _, _ = made
  result = TASK.judge(outputs, splits.test, rows, splits)
  for name, draw in result.pictures().items():
    draw(tmp_path / f'{name}.png', 'A title')
    assert (tmp_path / f'{name}.png').stat().st_size > 5000


def test_every_task_answers_a_text_whose_label_is_unknown(made):
  splits, _, _, _ = made
  asked = TASK.examples(('ab', 'c'), 'f:1')
  assert [(part.task, part.example.label) for part in asked] == [
      (0, None), (1, None)]
  rows = TASK.rows(asked, splits, BYTES)
  outputs = [np.array([0.0, 1.0, 0.0]), np.float32(0)]
  first, second = TASK.answers(outputs, asked, rows, splits)
  assert (first['task'], first['predicted']) == ('sort', 'y')
  assert (second['task'], second['predicted']) == ('count', 7 / 8)
  with pytest.raises(errors.InputError, match='f:1: label .x. is of one task'):
    TASK.examples(('ab',), 'f:1', 'x')


def test_what_a_run_keeps_is_enough_to_answer(made):
  splits, _, _, _ = made
  kept = task.Splits.of(splits.known())
  rows = TASK.rows(TASK.examples(('ab', 'c'), ''), kept, BYTES)
  assert len(rows) == 2 and kept.parts[1].scale == splits.parts[1].scale


def test_flags_make_tasks_of_other_kinds_one_after_another():
  flag = config_flags.ConfigFlag(
      named.Named(experiment.Finetune, experiment.Finetune()), {})
  assert not flag.take([
      '--config.task.kind=Together', '--config.task.names=a,b',
      '--config.task.tasks.0.kind=Classification',
      '--config.task.tasks.0.head.pooling=max',
      '--config.task.tasks.1.kind=Regression',
      '--config.task.tasks.1.source.kind=Labelled',
      '--config.task.tasks.1.source.train.kind=Delimited',
      '--config.task.tasks.1.source.train.paths=x.csv'])
  found = flag.config().task
  assert isinstance(found, together.Together) and found.names == ('a', 'b')
  assert found.tasks[0].head.pooling == 'max'
  assert found.tasks[1].source.train.paths == ('x.csv',)
  assert config_lib.freeze(
      together.Together, config_lib.to_dict(found)) == found


@pytest.mark.parametrize('tree, message', [
    ({}, r'\(Together\) needs a value for tasks: --config.tasks.0.kind='),
    ({'tasks': []}, 'Together needs tasks: --config.task.tasks.0.kind='),
    ({'tasks': [{'kind': 'Together'}]}, "tasks.0.kind is 'Together'; choose"),
    ({'tasks': [SORT, COUNT], 'names': ['a']}, 'should name 2 tasks; got'),
    ({'tasks': [SORT, COUNT], 'names': ['a', 'a']}, 'should be distinct'),
    ({'tasks': [SORT, COUNT], 'names': ['a', 'b/c']}, 'of letters, digits'),
    ({'tasks': [SORT], 'temperature': 0.0}, 'temperature should be above 0'),
])
def test_what_cannot_be_is_refused(tree, message):
  with pytest.raises(errors.InputError, match=message):
    config_lib.freeze(together.Together, {'kind': 'Together'} | tree)
