"""What every corruption promises: shapes, determinism, fitting lengths."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import middle
from lmjax.data.corruption import noising
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(1, 60, 80)


CONFIGS = [
    spans.SpanCorruption(), spans.SpanCorruption(joined=True),
    prefixes.PrefixLM(), prefixes.PrefixLM(joined=True),
    middle.FillInTheMiddle(), denoisers.UL2(), denoisers.UL2(joined=True),
    noising.Bart(mask_rate=0.1, delete_rate=0.1, rotate_rate=0.5),
    noising.Bart(joined=True)]


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


@pytest.mark.parametrize('config', [
    config for config in CONFIGS
    if not isinstance(config, middle.FillInTheMiddle)])
def test_a_prompt_is_laid_out_as_a_row(config):
  tokenizer = corruptions.tokenizer(bos=1, eos=2)
  batch = config.build(corruptions.rows(LENGTHS, 64, bos=1, eos=2), tokenizer,
                       64, 0).rows(0, np.arange(8))
  sources, targets = corruptions.sources_and_targets(batch)
  tested = 0
  for place, target in targets.items():
    source = sources[place]
    if not source or isinstance(config, noising.Bart) and source[-1] != 2:
      continue  # Of a text without its beginning or its end.
    prompt = source[:-1] if isinstance(config, noising.Bart) else source
    if isinstance(config, prefixes.PrefixLM) and config.joined:
      prompt = source + target[:1]
    task = config.prompt(tokenizer, np.array(prompt))
    if isinstance(config, noising.Bart) and 6000 not in prompt:
      source = [*prompt, 6000, 2]  # More is asked for.
    assert task.source.tolist() == source
    if 1 in source or not isinstance(config, noising.Bart):
      assert task.start.tolist() == target[:1]
    assert task.end in (None, target[-1]) or isinstance(
        config, denoisers.UL2) and source[0] == tokenizer.special('[S]')
    tested += 1
  assert tested > 5


def test_by_default_the_prompt_is_continued():
  task = middle.FillInTheMiddle().prompt(None, np.array([5, 6]))
  assert (len(task.source), task.start.tolist(), task.end) == (0, [5, 6], None)


def test_sentinels_out_of_order_are_refused():
  tokenizer = corruptions.tokenizer()
  tokenizer.specials = {f'<extra_id_{i}>': 5000 + i for i in range(100)}
  with pytest.raises(errors.InputError, match='and so on; got <extra_id_1>.'):
    corrupted.hidden(tokenizer, np.array([4, 5001]))
  tokenizer.sentinel_ids = ()
  with pytest.raises(errors.InputError, match='data.sentinels=1'):
    corrupted.hidden(tokenizer, np.array([4]))


def test_raw_length_is_the_longest_that_fits():
  plain, joined = (spans.SpanCorruption(joined=j) for j in (False, True))
  tokenizer, started = corruptions.tokenizer(), corruptions.tokenizer(start=3)
  assert plain.raw_length(512, tokenizer) == 512
  assert plain.raw_length(512, started) == 512 - plain.documents
  length = joined.raw_length(512, tokenizer)
  assert joined.raw_length(512, started) == length
  assert joined.sizes(length).joined <= 512 < joined.sizes(length + 1).joined
  with pytest.raises(errors.InputError, match='cannot fit into rows of 0'):
    joined.raw_length(0, tokenizer)


def test_a_subclass_must_define_sizes_and_corrupt():
  for method, arguments in (('sizes', (1,)), ('corrupt', (None, 1))):
    with pytest.raises(TypeError, match=f'should define {method}'):
      getattr(corrupted.Corruption(), method)(*arguments)
