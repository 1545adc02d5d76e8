"""Which block each layer has: the patterns of well-known models, as configs."""
import dataclasses
import json

import jax.numpy as jnp
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.models import decoder
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn.mixture import experts
from lmjax.nn import pattern
from lmjax.nn import positions
from lmjax.nn import ssm

BLOCK = block.PreNorm()
ROTARY = positions.Rotary(theta=1e6)
LOCAL = positions.Rotary(theta=1e4)


def arranged(how, num_layers=7, block=BLOCK, positions=ROTARY):
  return pattern.arrange(how, block, num_layers, positions)


def windows(order):
  return [layer.block.mixer.window for layer in order.layers]


def test_without_a_pattern_all_layers_are_alike():
  order = arranged(None, 3)
  assert order.layers == (pattern.Layer(BLOCK, ROTARY),) * 3
  assert (order.first, order.repeats, order.left) == ((), 3, 0)


@pytest.mark.parametrize('how, want', [
    # GPT-Neo, Gemma 2, Gemma 3 and ModernBERT.
    (dict(every=2, global_layer='first'), [None, 5, None, 5, None, 5, None]),
    (dict(every=2), [5, None, 5, None, 5, None, 5]),
    (dict(), [5, 5, 5, 5, 5, None, 5]),
    (dict(every=3, global_layer='first'), [None, 5, 5, None, 5, 5, None])])
def test_one_layer_of_each_period_is_global(how, want):
  order = arranged(pattern.LocalGlobal(5, local_positions=LOCAL, **how))
  assert windows(order) == want
  assert [layer.positions for layer in order.layers] == [
      LOCAL if window else ROTARY for window in want]
  own = arranged(pattern.LocalGlobal(5, **how), positions=positions.Learned())
  assert {layer.positions for layer in own.layers} == {positions.Learned()}


def test_dense_layers_come_first_and_do_not_count_as_local():
  """DeepSeek's dense first layers, here also before local and global ones."""
  mixture = block.PreNorm(mlp=experts.MixtureOfExperts())
  dense = (pattern.Layer(block.PreNorm(mlp=layers.MLPConfig(7))),) * 2
  for how in (pattern.Periodic(first=dense),
              pattern.LocalGlobal(5, every=2, first=dense)):
    order = arranged(how, block=mixture)
    assert [layer.block.mlp.mixture is None for layer in order.layers] == (
        [True] * 2 + [False] * 5)
    assert order.mixture == mixture.mlp
    assert order.layers[0].positions == ROTARY
  assert windows(order) == [None, None, 5, None, 5, None, 5]
  assert order.stages == 0


def test_a_period_of_mixers_repeats_and_may_be_cut_short():
  """Three layers of the delta rule and one of attention without positions."""
  delta = pattern.Layer(block.PreNorm(ssm.SSMConfig()))
  attends = pattern.Layer(positions=positions.NoPositions())
  order = arranged(pattern.Periodic((delta, delta, delta, attends)), 6)
  assert [layer.block.mixer.attends for layer in order.layers] == [
      False, False, False, True, False, False]
  assert order.layers[3].positions == positions.NoPositions()
  assert (order.repeats, order.left, order.attends) == (1, 2, False)


def test_flags_and_json_say_a_pattern():
  changes = {
      'pattern.kind': 'Periodic',
      'pattern.first.0.kind': 'Layer',
      'pattern.first.0.block.kind': 'PostNorm',
      'pattern.first.0.block.mlp.hidden': '24',
      'pattern.period.0.block.kind': 'none',
      'pattern.period.1.kind': 'Layer',
      'pattern.period.1.block.kind': 'PreNorm',
      'pattern.period.1.block.mixer.kind': 'SSMConfig',
      'pattern.period.1.positions.kind': 'NoPositions'}
  config = overrides.override(decoder.DecoderConfig(), changes)
  assert config.pattern == pattern.Periodic(
      period=(pattern.Layer(), pattern.Layer(
          block.PreNorm(ssm.SSMConfig()), positions.NoPositions())),
      first=(pattern.Layer(block.PostNorm(mlp=layers.MLPConfig(24))),))
  tree = json.loads(config_lib.dumps(config))
  assert config_lib.freeze(decoder.DecoderConfig, tree) == config
  config = overrides.override(config, {
      'pattern.kind': 'LocalGlobal', 'pattern.local_positions.kind': 'Rotary',
      'pattern.local_positions.theta': '1e4', 'pattern.window': '5'})
  assert config.pattern == pattern.LocalGlobal(5, local_positions=LOCAL)


def test_every_block_is_changed():
  def drop(each):
    return dataclasses.replace(each, dropout=0.5)
  config = decoder.DecoderConfig(num_layers=5, pattern=pattern.Periodic(
      first=(pattern.Layer(block.PostNorm()),),
      period=(pattern.Layer(), pattern.Layer(block.PreNorm(ssm.SSMConfig())))))
  local = pattern.LocalGlobal(5, first=config.pattern.first)
  for how in config.pattern, local, None:
    changed = pattern.with_blocks(
        dataclasses.replace(config, pattern=how), drop)
    assert {layer.block.dropout for layer in changed.arrangement.layers} == {
        0.5}
    assert drop(BLOCK) == changed.block


def test_a_bias_is_for_layers_with_the_models_positions():
  own = pattern.Layer(positions=positions.NoPositions())
  wide = block.PreNorm(attention.AttentionConfig(8))
  order = arranged(pattern.Periodic((pattern.Layer(), own)), 2,
                   positions=positions.Alibi())
  bias = jnp.zeros((1, 4, 3, 3))
  assert order.bias(order.layers[0], bias) is bias
  assert order.bias(order.layers[1], bias) is None
  other = pattern.Layer(wide, positions.Alibi())
  with pytest.raises(errors.InputError, match='got 8 in a layer and 4'):
    order.bias(other, bias)


DENSE = (pattern.Layer(BLOCK),) * 3


@pytest.mark.parametrize('make, says', [
    (lambda: pattern.LocalGlobal(0), 'window should be at least 1; got 0'),
    (lambda: pattern.LocalGlobal(5, 1), 'every should be at least 2; got 1'),
    (lambda: pattern.Periodic(()), 'period should hold at least one layer'),
    (lambda: pattern.Periodic(DENSE), 'model.block would be used by none'),
    (lambda: decoder.DecoderConfig(
        num_layers=2, pattern=pattern.Periodic(first=DENSE)),
     'num_layers is 2, but model.pattern.first holds 3'),
    (lambda: decoder.DecoderConfig(
        block=block.PreNorm(ssm.SSMConfig()), pattern=pattern.LocalGlobal()),
     'SSMConfig does not have: choose'),
    (lambda: decoder.DecoderConfig(width=12, pattern=pattern.Periodic((
        pattern.Layer(block.PreNorm(attention.AttentionConfig(5))),
        pattern.Layer()))), 'model.width = 12 does not divide.* = 5 heads')])
def test_impossible_patterns_are_refused(make, says):
  with pytest.raises(errors.InputError, match=says):
    make()
