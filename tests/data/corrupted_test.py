"""What every corruption promises: shapes, determinism, fitting lengths."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import corrupted
from lmjax.data import corruption
from lmjax.data import spans
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(1, 60, 80)


CONFIGS = [
    spans.SpanCorruption(), spans.SpanCorruption(joined=True),
    corruption.PrefixLM(), corruption.PrefixLM(joined=True),
    corruption.FillInTheMiddle(), corruption.UL2(), corruption.UL2(joined=True),
    corruption.Bart(mask_rate=0.1, delete_rate=0.1, rotate_rate=0.5),
    corruption.Bart(joined=True)]


@pytest.mark.parametrize('config', CONFIGS)
def test_a_row_depends_on_its_seed_epoch_and_index_alone(config):
  rows, other = (
      config.build(corruptions.rows(LENGTHS, 64, bos=1, eos=2),
                   corruptions.tokenizer(bos=1, eos=2), 64, seed)
      for seed in (0, 1))
  every = np.arange(rows.num_rows)
  together = rows.rows(2, every)
  for i in reversed(every):
    alone = rows.rows(2, np.array([i]))
    for key, array in alone.items():
      np.testing.assert_array_equal(array[0], together[key][i], key)
      assert array.dtype == {'weights': np.float32, 'prefix': bool}.get(
          key, np.int32)
  for batch in (rows.rows(3, every), other.rows(2, every)):
    assert any(np.any(batch[key] != together[key]) for key in batch)


def test_raw_rows_are_the_longest_that_still_fit():
  plain, joined = (spans.SpanCorruption(joined=j) for j in (False, True))
  assert plain.raw_length(512) == 512
  length = joined.raw_length(512)
  assert joined.sizes(length).joined <= 512 < joined.sizes(length + 1).joined
  with pytest.raises(errors.InputError, match='cannot fit into rows of 0'):
    joined.raw_length(0)


def test_a_subclass_must_say_what_it_does():
  for method, arguments in (('sizes', (1,)), ('corrupt', (None, 1))):
    with pytest.raises(TypeError, match=f'should define {method}'):
      getattr(corrupted.Corruption(), method)(*arguments)


def test_checks_say_what_was_wrong():
  with pytest.raises(errors.InputError, match='corruption.x .* got 1.5'):
    corrupted.check_rate('x', 1.5)
  corrupted.check_rate('x', 1.0)
  with pytest.raises(errors.InputError, match='between 0 and 1; got 1.0'):
    corrupted.check_rate('x', 1.0, least=True)
