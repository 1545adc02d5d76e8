import dataclasses

from lmjax.interop.audit import blocks
from lmjax.models.presets import branch_norm_decoders
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import parallel_decoders
from lmjax.nn import block
from lmjax.nn.residual import branch_norm
from lmjax.nn.residual import parallel

NORMS = {'layer_0': {'mixer_norm': {'scale': 1}, 'mlp_norm': {'scale': 2}}}
MOVED = {'layer_0': {
    'mixer_out_norm': {'scale': 1}, 'mlp_out_norm': {'scale': 2}}}


def readings(config, params):
  return {what: (changed.block, read) for _, what, changed, read in
          blocks.WHOLE[0](config, params)}


def test_blocks_with_norms_before_the_branches_have_three_readings():
  found = readings(
      decoders.gpt2(8, 1, 2, vocab_size=9, context=8), NORMS)
  assert {what: type(each) for what, (each, _) in found.items()} == {
      'PostNorm': block.PostNorm, 'Parallel': parallel.Parallel,
      'norms after the branches': branch_norm.BranchNorm}
  assert found['norms after the branches'][1] == MOVED


def test_parallel_branches_are_read_one_after_the_other():
  neox = parallel_decoders.neox(8, 1, 2)
  assert type(readings(neox, NORMS)['PreNorm'][0]) is block.PreNorm
  gptj = parallel_decoders.gptj(8, 1, 2, turned=4)
  assert not readings(gptj, NORMS)  # Its branches share a norm.


def test_norms_move_to_the_other_side():
  olmo2 = branch_norm_decoders.olmo2(8, 1, 2, 16)
  (moved, params), = readings(olmo2, MOVED).values()
  assert moved.before is not None and moved.after is None
  assert params == NORMS


def test_norms_on_both_sides_are_exchanged():
  gemma = branch_norm_decoders.gemma2(8, 2, 2, 1, 16)
  both = {'layer_0': {**NORMS['layer_0'], **{
      name: {'scale': 3 + i} for i, name in enumerate(MOVED['layer_0'])}}}
  (_, params), = readings(gemma, both).values()
  assert params['layer_0']['mlp_norm'] == {'scale': 3}
  assert params['layer_0']['mixer_out_norm'] == {'scale': 2}


def test_encoder_decoders_are_read_with_blocks_that_they_have():
  t5 = encoder_decoders.t5(8, 1, 2, 16)
  assert set(readings(t5, NORMS)) == {'PostNorm'}


def test_multipliers_of_branches_are_left_out():
  granite = branch_norm_decoders.granite(8, 1, 2, 2, 16)

  def others(block):
    return [part.multiplier for _, part in blocks.READINGS[
        branch_norm.BranchNorm](block, granite, 8)]
  assert others(granite.block) == [1.0, 0.44, 0.11]
  plain = dataclasses.replace(granite.block, multiplier=1.0)
  assert others(plain) == [0.22, 2.0, 0.5]
