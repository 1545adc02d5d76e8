"""The batch of each step, compared with a list of all remaining batches."""
import random

import pytest

from lmjax.core import errors
from lmjax.run import skips as skips_lib


def test_nothing_is_skipped_without_a_file(tmp_path):
  skips = skips_lib.Skips.read(tmp_path)
  assert [skips.index(step) for step in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('seed', range(30))
def test_rollbacks_skip_the_batches_of_their_steps(seed):
  draw = random.Random(seed)
  skips, left = skips_lib.Skips(), list(range(400))  # What steps 0, 1, ... see.
  for _ in range(draw.randrange(1, 7)):
    step, count = draw.randrange(60), draw.randrange(1, 9)
    seen = left[:step]
    skips = skips.after(step, count)
    left = left[:step] + left[step + count:]
    assert [skips.index(i) for i in range(len(left))] == left
    assert left[:step] == seen
    numbers = [n for pair in skips.ranges for n in pair]
    assert numbers == sorted(set(numbers))  # Apart, none touching.


@pytest.mark.parametrize('seed', range(10))
def test_the_part_until_a_step_is_what_its_updates_depend_on(seed):
  draw = random.Random(seed)
  skips = skips_lib.Skips()
  for _ in range(3):
    skips = skips.after(draw.randrange(20), draw.randrange(1, 4))
  for step in range(30):
    part, seen = skips.until(step), [skips.index(i) for i in range(step)]
    assert [part.index(i) for i in range(step)] == seen
    for other in (skips_lib.Skips(), skips.after(step, 2), skips.after(3, 1)):
      same = [other.index(i) for i in range(step)] == seen
      assert (other.until(step) == part) == same


def test_a_step_made_with_other_batches_is_refused():
  saved = skips_lib.Skips().after(4, 2)
  later = saved.after(9, 1)
  for step in range(10):
    later.check(saved.ranges, step)  # Up to there they are the same.
  with pytest.raises(errors.InputError, match=(
      'batches 4 to 5, 11 to 11, but up to step 10 the run skipped 4 to 5')):
    later.check([[4, 6]], 10)
  with pytest.raises(errors.InputError, match='batches none, but up to step 7'):
    skips_lib.Skips().check(saved.ranges, 7)
  skips_lib.Skips().check(saved.ranges, 4)


def test_skips_are_read_as_written(tmp_path):
  skips = skips_lib.Skips().after(4, 2).after(9, 1)
  skips.write(tmp_path)
  assert skips_lib.Skips.read(tmp_path) == skips
  assert [path.name for path in tmp_path.iterdir()] == ['skips.json']


@pytest.mark.parametrize('text', [
    '{', '[]', '{"ranges": 3}', '{"ranges": [[1, 2], [2, 3]]}',
    '{"ranges": [[3, 1]]}', '{"ranges": [[1]]}', '{"ranges": [["x", 2]]}',
    '{"ranges": [[-2, -1]]}'])
def test_a_damaged_list_is_refused(tmp_path, text):
  (tmp_path / 'skips.json').write_text(text)
  with pytest.raises(errors.InputError, match='skips'):
    skips_lib.Skips.read(tmp_path)
