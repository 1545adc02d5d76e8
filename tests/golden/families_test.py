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


@pytest.mark.parametrize('name', NAMES)
def test_an_imported_model_gives_the_golden_logits(name):
  tree, arrays = golden.load(name)
  family = importing.named(tree)
  config = family.config(tree)
  imported = importing.convert(checkpoint.Checkpoint(None, tree, {
      name: tensors.Tensor.of(golden.weight(name, tensor.shape))
      for name, tensor in rows.write(
          family.rows(config), cost.shapes(config))}))
  with jax.default_matmul_precision('highest'):
    found, _ = jax.jit(imported.model.apply)(
        {'params': imported.params}, arrays['ids'])
  error = np.abs(found - arrays['logits']).max() / arrays['logits'].std()
  assert error < 5e-5
