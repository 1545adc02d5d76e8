import dataclasses

from lmjax.interop.audit import pattern
from lmjax.models.presets import decoders
from lmjax.nn import pattern as pattern_lib
from lmjax.nn import positions

SMOLLM3 = decoders.smollm3(8, 4, 2, 2, 16, vocab_size=9, context=8)


def readings(part, length=64):
  config = dataclasses.replace(SMOLLM3, num_layers=6)
  return list(pattern.READINGS[type(part)](part, config, length))


def test_other_layers_are_global():
  part = pattern_lib.LocalGlobal(window=8, every=3)
  found = readings(part)
  assert {each.global_layer for _, each in found} == {'first', 'last'}
  assert {each.every for _, each in found} == {2, 3, 4, 6}


def test_local_layers_can_see_everything():
  found = readings(pattern_lib.LocalGlobal(window=8, every=3))
  assert {each.window for field, each in found if field == 'window'} == {
      64, 1, 2, 4, 16, 32}


def test_local_layers_have_the_positions_of_global_ones():
  found = readings(pattern_lib.LocalGlobal(
      local_positions=positions.Rotary(theta=5e5)))
  assert [each.local_positions for field, each in found
          if field == 'local_positions'] == [None]


def test_layers_without_positions_move_and_vanish():
  periods = [each.period for _, each in readings(SMOLLM3.pattern)]
  plain, without = SMOLLM3.pattern.period[0], SMOLLM3.pattern.period[3]
  assert (without, plain, plain, plain) in periods
  assert (plain,) * 4 in periods and (without,) * 4 in periods
  assert SMOLLM3.pattern.period not in periods


def test_blocks_of_several_kinds_stay_where_their_parameters_are():
  own = pattern_lib.Layer(block=SMOLLM3.block)
  assert not readings(pattern_lib.Periodic((pattern_lib.Layer(), own)))
