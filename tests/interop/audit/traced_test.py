import dataclasses

from lmjax.interop.audit import traced
from lmjax.models.presets import decoders
from lmjax.models.presets import encoders
from lmjax.nn import positions
from lmjax.nn import rotary

LLAMA = decoders.llama(16, 2, 4, 2, 32, vocab_size=20, context=8)


def with_positions(**changes):
  return dataclasses.replace(LLAMA, positions=positions.Rotary(**changes))


def test_configs_that_differ_in_numbers_share_a_program():
  first, numbers = traced.split(with_positions(theta=1e4))
  second, others = traced.split(with_positions(theta=5e5))
  assert first == second and hash(first) == hash(second)
  assert set(others) - set(numbers) == {5e5}


def test_configs_that_differ_in_more_do_not_share_a_program():
  first, _ = traced.split(LLAMA)
  for changes in ({'interleaved': True}, {'fraction': 0.5},
                  {'scaling': rotary.LinearScaling()}):
    assert traced.split(with_positions(**changes))[0] != first


def test_joined_configs_hold_the_numbers():
  config = traced.join(*map(
      lambda part, of: of(part), traced.split(LLAMA), (lambda x: x, iter)))
  assert config.positions == LLAMA.positions
  assert config.block.norm == LLAMA.block.norm
  assert config.block.mixer.scale == 0.5  # The default for heads of size 4.
  assert config.embed.scale == 1.0


def test_names_of_numbers_become_numbers():
  named = dataclasses.replace(LLAMA, embed=dataclasses.replace(
      LLAMA.embed, scale='sqrt_width'))
  assert traced.split(named)[0] == traced.split(LLAMA)[0]
  assert 4.0 in traced.split(named)[1]


def test_checks_of_configs_do_not_see_tracers():
  skeleton, numbers = traced.split(
      encoders.modern(16, 3, 2, 32, vocab_size=20))
  joined = traced.join(skeleton, iter([object()] * len(numbers)))
  assert type(joined.positions.theta) is object
