"""Our decoders pass every check, and broken ones fail with all their names."""
import pytest

from lmjax.models import parts
from lmjax.nn import attend as attend_lib
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.testing import suite


def check(subject, **changes):
  arguments = dict(
      logits=subject.logits, params=subject.params,
      vocab_size=subject.vocab_size, decode=subject.decode,
      empty_cache=subject.empty_cache)
  return suite.check_all(**(arguments | changes))


@pytest.mark.slow
def test_a_gpt2_passes(subject):
  assert check(subject) == [
      'no_future_leakage', 'padding_invariance', 'packing_invariance',
      'batch_invariance', 'jit_equals_no_jit', 'cached_decode_equals_full']


@pytest.mark.slow
def test_a_llama_with_everything_switched_on_passes(make_subject):
  norm = layers.RMSNorm()
  check(make_subject(
      positions=positions.Rotary(fraction=0.5), scan=True,
      head=parts.Head(tied=False, softcap=5.0), final_norm=norm,
      embed=parts.Embed(scale='sqrt_width'),
      block=block.PostNorm(
          mixer=attention.AttentionConfig(
              num_heads=4, num_kv_heads=1, window=5, softcap=3.0, qk_norm=norm),
          mlp=layers.MLPConfig(hidden=24, activation='silu', gated=True),
          norm=norm)))


@pytest.mark.slow
@pytest.mark.parametrize('variant', [
    positions.NoPositions(), positions.Sinusoidal(), positions.Rotary(),
    positions.Alibi(), positions.Relative(num_buckets=8, max_distance=16),
], ids=lambda variant: type(variant).__name__)
def test_every_kind_of_position_passes(make_subject, variant):
  check(make_subject(positions=variant))


@pytest.mark.slow
def test_all_failures_are_reported_together(make_subject):
  def blind(q, k, v, mask, **options):  # Sees everything in its row.
    return attend_lib.plain(
        q, k, v, mask.replace(causal=False, query_segments_BT=None), **options)
  with pytest.raises(AssertionError) as raised:
    check(make_subject(blind), decode=None)
  told = str(raised.value)
  assert told.startswith('4 of 5 checks failed.')
  for name in ('no_future_leakage', 'padding_invariance',
               'packing_invariance', 'batch_invariance'):
    assert f'\n{name}: ' in told
