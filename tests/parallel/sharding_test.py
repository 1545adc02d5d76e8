"""Which axes the tables cut, for every model of the house."""
import re

import jax
import jax.numpy as jnp
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax import models
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.parallel import sharding
from lmjax.training.optimizers import adafactor
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import muon
from lmjax.training import step

SIZES = sharding.parse('data:2,fsdp:2,tensor:2')


def test_parse_fills_in_what_is_left_out():
  assert sharding.parse(' tensor:2, data:4') == {
      'stage': 1, 'data': 4, 'fsdp': 1, 'expert': 1, 'sequence': 1, 'tensor': 2}


@pytest.mark.parametrize('text, says', [
    ('date:2', "'date'.*'data'"), ('data:2,data:4', 'twice'),
    ('data', "whole number.*''"), ('data:0', "'0'"), ('fsdp:-2', "'-2'"),
    ('fsdp:2,', "axis ''"), ('tensor:2.0', "'2.0'")])
def test_parse_says_what_is_wrong(text, says):
  with pytest.raises(errors.InputError, match=says):
    sharding.parse(text)


@pytest.mark.parametrize('path, shape, cut', [
    ('embed/embedding', (64, 8), ('tensor', 'fsdp')),
    ('embed/embedding', (63, 8), (None, 'fsdp')),
    ('embed/embedding', (64, 9), ('tensor', None)),  # fsdp finds no room.
    ('layer_0/mixer/query/kernel', (8, 8), ('fsdp', 'tensor')),
    ('layers/mixer/out/kernel', (4, 8, 8), (None, 'tensor', 'fsdp')),
    ('layers/mlp/in/bias', (4, 8), (None, 'tensor')),
    ('layers/mlp/in/kernel', (4, 7, 8), (None, None, 'tensor')),
    ('layers/mlp/out/bias', (4, 8), (None, None)),
    ('final_norm/scale', (8,), (None,)),
    ('something/of_mine', (6, 8), (None, 'fsdp')),
    ('something/odd', (5, 7), (None, None)),
    ('layers/of_mine', (4, 2, 3), (None, 'fsdp', None)),  # Not the layers.
    ('scalar', (), ()),
])
def test_axes_by_path_and_shape(path, shape, cut):
  assert sharding.spec(path, shape, SIZES) == cut


@pytest.mark.parametrize('path, shape, cut', [
    ('layers/mlp/in/kernel', (4, 8, 32), ('stage', 'fsdp', None)),
    ('layers/mlp_norm/scale', (4, 8), ('stage', None)),
    ('layers/of_mine', (4, 3, 6), ('stage', None, 'fsdp')),
    ('layers/mlp/in/kernel', (3, 8, 32), (None, 'fsdp', None)),
    ('final_norm/scale', (8,), (None,)),
    ('layer_0/mlp/in/kernel', (8, 32), ('fsdp', None))])
def test_scanned_layers_are_cut_over_stages(path, shape, cut):
  sizes = sharding.parse('stage:2,fsdp:2')
  assert sharding.spec(path, shape, sizes) == cut


@pytest.mark.parametrize('path, shape, cut', [
    ('layer_0/mlp/experts/in/kernel', (4, 8, 6), ('expert', 'fsdp', 'tensor')),
    ('layers/mlp/experts/out/kernel', (2, 4, 6, 8),
     (None, 'expert', 'tensor', 'fsdp')),
    ('layer_0/mlp/experts/gate/bias', (4, 6), ('expert', 'tensor')),
    ('layer_0/mlp/experts/out/bias', (4, 8), ('expert', None)),
    ('layer_0/mlp/experts/in/kernel', (3, 8, 6), (None, 'fsdp', 'tensor'))])
def test_experts_lie_on_different_devices(path, shape, cut):
  sizes = sharding.parse('expert:2,fsdp:2,tensor:2')
  assert sharding.spec(path, shape, sizes) == cut


def test_an_axis_of_size_1_cuts_nothing():
  sizes = sharding.parse('data:8')
  assert sharding.spec('embed/embedding', (64, 8), sizes) == (None, None)


def test_a_new_rule_is_one_line():
  rules = (('gate/kernel$', ('embed', 'hidden')), *sharding.RULES)
  assert sharding.spec('mixer/gate/kernel', (8, 4), SIZES) == ('fsdp', None)
  assert sharding.spec(
      'mixer/gate/kernel', (8, 4), SIZES, rules) == ('fsdp', 'tensor')


@pytest.mark.parametrize(
    'model', models.MODELS.values(), ids=lambda m: m.__name__)
def test_every_matrix_of_every_model_is_cut(model):
  params = cost.shapes(model().with_vocab(64))
  cuts = sharding.specs(params, SIZES)
  leaves = dict(trees.items(params))
  products = re.compile(r'(mixer|cross|mlp)/\w+/kernel$|embed/embedding$')
  for path, cut in cuts.items():
    leaf = leaves[path]
    if leaf.ndim > 1 and leaf.shape != (128, 1):
      assert 'fsdp' in cut, (path, leaf.shape, cut)
    if products.search(path):
      assert 'tensor' in cut, (path, leaf.shape, cut)


def _state(optimizer, scan):
  sized = decoder.DecoderConfig(
      vocab_size=64, width=16, num_layers=2, context=16, scan=scan)
  return jax.eval_shape(lambda: step.init_state(
      params := decoder.initial_params(sized.build(), 0),
      optimizer.build(params, 1), 0, ema=True))


@pytest.mark.parametrize('scan', [False, True])
@pytest.mark.parametrize('optimizer', [
    adamw.AdamW(), muon.Muon(),
    adamw.AdamW(freeze=('positions',))], ids=['adamw', 'muon', 'frozen'])
def test_moments_follow_their_parameter(optimizer, scan):
  state = _state(optimizer, scan)
  cuts = sharding.specs(state, SIZES)
  own = sharding.specs(state.params, SIZES)
  followers = {path: cut for path, cut in cuts.items()
               if not path.startswith('params/')}
  for name in ('embed/embedding', 'mlp/in/kernel'):
    path = next(p for p in own if p.endswith(name))
    theirs = [cut for p, cut in followers.items() if p.endswith(path)]
    assert len(theirs) >= 2  # At least one moment, and the average.
    assert set(theirs) == {own[path]} and any(own[path])
  assert not any(cuts['step'] + cuts['rng'])


def test_factors_follow_the_axes_that_are_left():
  state = _state(adafactor.Adafactor(min_factored=8), scan=True)
  cuts = sharding.specs(state, SIZES)
  leaves = dict(trees.items(state))
  path = next(p for p in cuts if p.endswith('v_row/layers/mlp/in/kernel'))
  other = path.replace('v_row', 'v_col')
  found = {leaves[p].shape: cuts[p] for p in (path, other)}
  assert found == {(2, 16): (None, 'fsdp'), (2, 512): (None, 'tensor')}


def test_what_belongs_to_no_parameter_is_whole():
  tree = step.TrainState(
      step=jnp.int32(0), params={'w': jnp.ones((8, 8))}, opt_state=(),
      rng=jax.random.key(0), carry={'h': jnp.ones((8, 8))})
  assert sharding.specs(tree, SIZES)['carry/h'] == (None, None)


@pytest.mark.parametrize('cut, want', [
    (('fsdp', None), ('fsdp',)), ((None, None), ()),
    ((None, 'tensor'), (None, 'tensor'))])
def test_partition_drops_what_is_whole_at_the_end(cut, want):
  assert tuple(sharding.partition(cut)) == want


def test_bytes_are_those_of_one_device():
  params = {'mlp': {'in': {'kernel': jnp.ones((8, 16)), 'bias': jnp.ones(16)},
                    'out': {'bias': jnp.ones(8)}}}
  assert sharding.bytes_per_device(params, SIZES) == {
      'mlp/in/kernel': 128, 'mlp/in/bias': 32, 'mlp/out/bias': 32}
