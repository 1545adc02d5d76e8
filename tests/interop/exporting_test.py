"""Models are exported by the family that computes the same."""
import dataclasses

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.interop import checkpoint
from lmjax.interop import exporting
from lmjax.interop.families.llamas import llama
from lmjax.interop import importing
from lmjax.models import cost
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.nn import positions
from lmjax.testing import hot

CONFIG = decoders.llama(16, 2, 4, 2, 24, vocab_size=31, context=32)
PARAMS = jax.device_get(hot.hot_params(cost.shapes(CONFIG)))


def test_a_model_finds_the_family_that_computes_the_same():
  assert exporting.family_of(CONFIG) is llama.FAMILY
  assert exporting.family_of(CONFIG, 'llama') is llama.FAMILY


@pytest.mark.parametrize('config, model_type, what', [
    (CONFIG, 'lama', "mean 'llama'"),
    (lstm.RecurrentConfig(), None, 'No family'),
    (lstm.RecurrentConfig(), 'llama', 'RecurrentConfig'),
    (dataclasses.replace(CONFIG, positions=positions.Rotary(
        interleaved=True)), 'llama', 'interleaved = True'),
])
def test_a_model_without_a_family_is_refused(config, model_type, what):
  with pytest.raises(errors.InputError, match=what):
    exporting.family_of(config, model_type)


@pytest.mark.parametrize('dtype', exporting.DTYPES)
def test_an_export_is_imported_as_the_same_model(dtype):
  tensors = dict(exporting.tensors(llama.FAMILY, CONFIG, PARAMS, dtype))
  kind = exporting.DTYPES[dtype]
  assert {tensor.read().dtype for tensor in tensors.values()} == {kind}
  found = importing.convert(checkpoint.Checkpoint(
      None, llama.FAMILY.fields(CONFIG), tensors))
  want = dict(trees.items(PARAMS))
  for path, array in trees.items(found.params):
    np.testing.assert_array_equal(array, want[path].astype(kind))


def test_stacked_layers_are_exported_as_separate_ones():
  apart = {name: leaf for name, leaf in PARAMS.items()
           if not name.startswith('layer_')}
  stacked = apart | {'layers': jax.tree.map(
      lambda *leaves: np.stack(leaves), PARAMS['layer_0'], PARAMS['layer_1'])}
  want = dict(exporting.tensors(llama.FAMILY, CONFIG, PARAMS))
  for name, tensor in exporting.tensors(llama.FAMILY, CONFIG, stacked):
    np.testing.assert_array_equal(tensor.read(), want[name].read())


def test_a_number_that_a_narrow_type_cannot_hold_is_refused():
  params = PARAMS | {'final_norm': {'scale': np.full(16, 1e5, 'float32')}}
  found = dict(exporting.tensors(llama.FAMILY, CONFIG, params, 'float16'))
  with pytest.raises(errors.InputError, match='model.norm.weight .* 1e.05'):
    found['model.norm.weight'].read()
