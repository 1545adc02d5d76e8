"""Imported models give the logits that `transformers` gave, without torch."""
import jax
import numpy as np
import pytest

from lmjax.interop import checkpoint
from lmjax.interop import importing
from lmjax.interop.formats import tensors
from lmjax.interop.mapping import rows
from lmjax.models import cost
from tests.reference import golden

NAMES = sorted(path.stem for path in golden.FOLDER.glob('*.npz'))


def logits(model, inputs_BT):
  """Returns a model's logits; those of the content stream if it has two."""
  if model.config.traits.two_stream:
    return model.logits(model.encode(inputs_BT))
  return model(inputs_BT)[0]


@pytest.mark.parametrize('name', NAMES)
def test_an_imported_model_gives_the_golden_logits(name):
  tree, arrays = golden.load(name)
  family = importing.named(tree)
  names = arrays.get('names', np.array([])).astype(str).tolist()
  config = family.config(tree, set(names))
  imported = importing.convert(checkpoint.Checkpoint(None, tree, {
      name: tensors.Tensor.of(golden.weight(name, tensor.shape))
      for name, tensor in rows.write(
          family.rows(config), cost.shapes(config))}))
  with jax.default_matmul_precision('highest'):
    found = jax.jit(lambda params: imported.model.apply(
        {'params': params}, arrays['ids'], method=logits))(imported.params)
  error = np.abs(found - arrays['logits']).max() / arrays['logits'].std()
  assert error < 5e-5
