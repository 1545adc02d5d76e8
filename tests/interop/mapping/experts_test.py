"""Experts have the same parameters, in whichever layout their file is."""
import numpy as np

from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import experts
from lmjax.interop.mapping import rows as rows_lib

RNG = np.random.default_rng(0)
EXPERTS = [{name: RNG.normal(size=shape).astype('float32') for name, shape in (
    ('gate', (6, 4)), ('up', (6, 4)), ('down', (4, 6)))} for _ in range(3)]
PARAMS = {'mlp': {'experts': {
    'in': {'kernel': np.stack([expert['gate'].T for expert in EXPERTS])},
    'gate': {'kernel': np.stack([expert['up'].T for expert in EXPERTS])},
    'out': {'kernel': np.stack([expert['down'].T for expert in EXPERTS])}}}}
SEPARATE = experts.separate(3, 'experts', ('gate', 'up', 'down'))
STACKED = experts.stacked('experts')


def read(rows, tensors):
  tensors = {name: tensors_lib.Tensor.of(value)
             for name, value in tensors.items()}
  return dict(rows_lib.read(
      rows_lib.matched(rows, PARAMS, tensors), tensors))


def check(found):
  for name, leaf in PARAMS['mlp']['experts'].items():
    np.testing.assert_array_equal(
        found[f'mlp/experts/{name}/kernel'], leaf['kernel'])


def test_experts_of_their_own_are_read():
  check(read(SEPARATE, {
      f'experts.{e}.{name}.weight': value
      for e, expert in enumerate(EXPERTS) for name, value in expert.items()}))


def test_stacked_experts_are_read():
  check(read(STACKED, {
      'experts.gate_up_proj': np.stack([
          np.concatenate([expert['gate'], expert['up']])
          for expert in EXPERTS]),
      'experts.down_proj': np.stack([expert['down'] for expert in EXPERTS])}))


def test_both_layouts_are_written():
  for rows in (SEPARATE, STACKED):
    check(read(rows, {name: tensor.read()
                      for name, tensor in rows_lib.write(rows, PARAMS)}))
