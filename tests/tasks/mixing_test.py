"""Batches of several tasks: the order of tasks, and every example once."""
import collections

import numpy as np
import pytest

from lmjax.data.tokenizers import symbols
from lmjax.tasks import mixing
from lmjax.tasks import rows as rows_lib

BYTES = symbols.Bytes().build()
SIZES = {'a': 21, 'b': 6}
BATCH = {'a': 3, 'b': 2}


def rows(temperature=1.0):
  """Returns examples of two tasks, those of 'a' at even places at first."""
  shares, places = [], {'a': [], 'b': []}
  for place in range(sum(SIZES.values())):
    places['b' if place % 2 and place < 12 else 'a'].append(place)
  for task, name in enumerate(SIZES):
    built = rows_lib.Features(lengths=(16,), batch_size=BATCH[name]).build(
        [(f'{name}{place}',) for place in places[name]],
        np.array(places[name], np.int32), BYTES)
    shares.append(mixing.Share(
        task, name, np.array(places[name]), built))
  return mixing.Rows(tuple(shares), temperature)


@pytest.mark.parametrize('sizes, temperature, want', [
    ([7, 3], 1.0, (7, 3)),
    ([81, 16, 3], 2.0, (61, 27, 12)),  # 9, 4 and 1.73 of 14.73.
    ([1000, 1], 1.0, (1000, 1)), ([1000, 10], 0.25, (1010, 1)),
    ([30, 10], 1e12, (20, 20)), ([5], 3.0, (5,))])
def test_turns_are_in_proportion_to_a_root_of_the_sizes(
    sizes, temperature, want):
  assert mixing.turns(sizes, temperature) == want


def test_once_gives_each_example_once_with_its_task():
  built, seen = rows(), []
  for chosen, batch in built.once():
    task, own = mixing.unmarked(batch)
    assert own.keys() == batch.keys() - {f'task_{task}'}
    np.testing.assert_array_equal(own['labels'][:len(chosen)], chosen)
    assert len(own['labels']) == list(BATCH.values())[task]
    assert len({len(x) for x in batch.values()}) == 1
    seen += chosen.tolist()
  assert sorted(seen) == list(range(27)) and len(built) == 27
  assert built.describe().startswith('a: 21 examples')
  assert '; b: 6 examples' in built.describe()


def test_a_round_has_every_example_of_every_task_once():
  batches = rows().batches(seed=3)
  assert batches.turns == (7, 3)
  orders = []
  for start in 0, 10, 20:
    found, order = collections.Counter(), []
    for step in range(start, start + 10):
      task, own = mixing.unmarked(batches(step))
      order.append(task)
      found.update(own['labels'][own['weights'] > 0].tolist())
    assert found == collections.Counter(range(27))
    orders.append(tuple(order))
  assert len({*orders}) > 1


def test_another_temperature_gives_other_turns_and_no_batch_is_left_out():
  batches = rows(temperature=1e9).batches(seed=3)
  assert batches.turns == (5, 5)
  seen = collections.Counter()
  for step in range(70):  # 5 epochs of a, and 11 2/3 of b.
    task, own = mixing.unmarked(batches(step))
    seen.update((task, label) for label in own['labels'].tolist())
  counts = [{n for (t, _), n in seen.items() if t == task} for task in (0, 1)]
  assert counts == [{5}, {11, 12}]


def test_a_batch_is_a_function_of_step_and_seed():
  order = [25, 0, 13, 25]
  first = {step: rows().batches(seed=1)(step) for step in order}
  again, other = rows().batches(seed=1), rows().batches(seed=2)
  for step in sorted(first):
    for name, array in again(step).items():
      np.testing.assert_array_equal(array, first[step][name])
  different = [mixing.unmarked(again(s))[0] != mixing.unmarked(other(s))[0]
               for s in range(20)]
  assert any(different)


def test_outputs_are_joined_by_the_rows_of_their_task():
  built = rows()
  assert built.joined(3, ['b of place 1']) == 'b of place 1'
  with pytest.raises(RuntimeError, match='Example 1 comes 2 times'):
    built.joined(3, ['b', 'b'])
  assert built.batches(seed=3).steps_per_epoch == 10


def test_documents_are_the_examples_of_the_rows():
  batches = rows().batches(seed=3)
  for step in range(12):
    _, own = mixing.unmarked(batches(step))
    assert [label for label, weight in zip(own['labels'], own['weights'])
            if weight] == [n for row in batches.documents(step) for n in row]


def test_shards_of_a_batch_joined_are_the_batch():
  built = rows()
  for share in built.shares:  # 3 and 2 rows divide into as many parts only.
    whole = mixing.Rows((share,)).batches(seed=1)
    size = BATCH[share.name]
    parts = [whole.shard(i, size) for i in range(size)]
    for step in range(4):
      found = [part(step) for part in parts]
      for name, array in whole(step).items():
        np.testing.assert_array_equal(
            np.concatenate([part[name] for part in found]), array)


def test_the_fingerprint_knows_what_each_task_depends_on():
  found = rows().batches(seed=1).fingerprint
  assert found['training.seed'] == 1 and found['task.turns'] == [7, 3]
  assert 'batch_size=3' in found['task.tasks.0.features']
  assert 'batch_size=2' in found['task.tasks.1.features']
