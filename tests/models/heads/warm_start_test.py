"""Pretrained parameters are copied into a model with a head."""
import dataclasses

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models.heads import pooled
from lmjax.models.heads import warm_start
from lmjax.models.presets import decoders
from lmjax.testing import hot

TINY = decoders.gpt2(16, 1, 2, vocab_size=11, context=8)
ROW = np.ones((1, 1), np.int32)
PARAMS = hot.hot_params(jax.eval_shape(
    pooled.PooledConfig().build(TINY, 3).init, jax.random.key(0), ROW, ROW,
    ROW)['params'])


def test_the_backbone_is_the_pretrained_one_and_the_head_stays():
  pretrained = hot.hot_params(cost.shapes(TINY), seed=5)
  warm = warm_start.warm_start(PARAMS, pretrained, TINY)
  theirs, ours = (dict(trees.items(x)) for x in (pretrained, PARAMS))
  for path, leaf in trees.items(warm):
    assert leaf is (ours if path.startswith('classes/') else theirs)[path]


def test_layers_stacked_in_pretraining_are_taken_apart_and_back():
  scanned = dataclasses.replace(TINY, scan=True)
  for backbone, other in (TINY, scanned), (scanned, TINY):
    params = hot.hot_params(jax.eval_shape(
        pooled.PooledConfig().build(backbone, 3).init, jax.random.key(0), ROW,
        ROW, ROW)['params'])
    pretrained = hot.hot_params(cost.shapes(other), seed=5)
    warm = warm_start.warm_start(params, pretrained, backbone)
    assert trees.digest(warm['classes']) == trees.digest(params['classes'])
    body = {name: warm[name] for name in warm if name != 'classes'}
    assert trees.digest(layouts.looped(body)) == trees.digest(
        layouts.looped(pretrained))


def test_warm_start_says_what_does_not_fit():
  other = hot.hot_params(cost.shapes(dataclasses.replace(TINY, context=7)))
  with pytest.raises(errors.InputError, match=r'positions/.*\(7, 16\)'):
    warm_start.warm_start(PARAMS, other, TINY)
  del other['positions']
  with pytest.raises(errors.InputError, match="no parameter 'positions/"):
    warm_start.warm_start(PARAMS, other, TINY)
