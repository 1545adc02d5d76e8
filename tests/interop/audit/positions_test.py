import dataclasses

from lmjax.interop.audit import positions
from lmjax.models.presets import decoders
from lmjax.nn import positions as positions_lib
from lmjax.nn import rotary

LLAMA = decoders.llama(16, 2, 2, 2, 32, vocab_size=20, context=8)
OPT = dataclasses.replace(decoders.opt(16, 2, 2), context=8)


def readings(part, field):
  return [getattr(changed, field) for name, changed in positions.READINGS[
      type(part)](part, LLAMA, 8) if name == field]


def test_wavelengths_are_read_up_to_50_times_longer_and_shorter():
  thetas = readings(positions_lib.Rotary(theta=1e4), 'theta')
  assert min(thetas) == 200 and max(thetas) == 5e5 and 2e4 in thetas


def test_fractions_turn_whole_pairs_of_dimensions():
  part = positions_lib.Rotary(fraction=0.25)  # Heads have size 8.
  assert set(readings(part, 'fraction')) == {1.0, 0.75, 0.5}


def test_scalings_are_left_out_and_added():
  found = readings(positions_lib.Rotary(
      scaling=rotary.LinearScaling(4.0)), 'scaling')
  assert None in found and rotary.LinearScaling(8.0) in found
  assert rotary.Llama3Scaling(factor=4.0) in found
  assert rotary.Llama3Scaling() in readings(positions_lib.Rotary(), 'scaling')


def test_learned_positions_begin_at_other_rows_of_the_same_table():
  offset, = [function for function in positions.WHOLE
             if function.__name__ == '_offset']
  found = {what: config for _, what, config, _ in offset(OPT, {})}
  assert set(found) == {'0', '1'}  # OPT has 2.
  for config in found.values():
    assert config.context + config.positions.offset == 10


def test_kinds_without_parameters_replace_each_other():
  kind, = [function for function in positions.WHOLE
           if function.__name__ == '_kind']
  assert {what for _, what, _, _ in kind(LLAMA, {})} == {
      'NoPositions', 'Alibi', 'Sinusoidal'}
  assert not list(kind(OPT, {}))  # Its learned positions are parameters.
