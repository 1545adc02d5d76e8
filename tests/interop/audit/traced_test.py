import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

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
  differ = [(one, other) for one, other in zip(numbers, others)
            if not np.array_equal(one, other)]
  assert differ[0] == (1e4, 5e5)
  np.testing.assert_allclose(differ[1][1], [1, 5e5 ** -0.5, 1])


@pytest.mark.parametrize('scaling', [
    rotary.YarnScaling(original_context=64), rotary.LinearScaling(), None])
def test_frequencies_are_an_argument(scaling):
  config = with_positions(theta=500.0, scaling=scaling)
  skeleton, numbers = traced.split(config)
  assert skeleton == traced.split(LLAMA)[0]
  x_BTNH, place_BT = jnp.ones((1, 3, 1, 4)), jnp.arange(3)[None]
  np.testing.assert_allclose(
      traced.join(skeleton, iter(numbers)).positions.rotate(x_BTNH, place_BT),
      config.positions.rotate(x_BTNH, place_BT), rtol=1e-6)


def test_frequencies_that_depend_on_the_text_are_no_argument():
  long = with_positions(scaling=rotary.LongRopeScaling((1.0, 2.0), (3.0, 4.0)))
  assert traced.split(long)[0].positions == long.positions


def test_configs_that_differ_in_more_do_not_share_a_program():
  first, _ = traced.split(LLAMA)
  for changes in ({'interleaved': True}, {'fraction': 0.5}):
    assert traced.split(with_positions(**changes))[0] != first


def test_joined_configs_hold_the_numbers():
  config = traced.join(*map(
      lambda part, of: of(part), traced.split(LLAMA), (lambda x: x, iter)))
  assert config.positions.theta == LLAMA.positions.theta
  assert config.block.norm == LLAMA.block.norm
  assert config.block.mixer.scale == 0.5  # The default for heads of size 4.
  assert config.embed.scale == 1.0


def test_names_of_numbers_become_numbers():
  named = dataclasses.replace(LLAMA, embed=dataclasses.replace(
      LLAMA.embed, scale='sqrt_width'))
  assert traced.split(named)[0] == traced.split(LLAMA)[0]
  assert any(np.array_equal(4.0, number)
             for number in traced.split(named)[1])


def test_checks_of_configs_do_not_see_tracers():
  skeleton, numbers = traced.split(
      encoders.modern(16, 3, 2, 32, vocab_size=20))
  joined = traced.join(skeleton, iter([object()] * len(numbers)))
  assert type(joined.positions.theta) is object
