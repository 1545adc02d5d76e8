"""Experts of Mixtral are read one by one, or stacked in one tensor."""
import dataclasses

import jax
import numpy as np
import pytest

from lmjax.interop import importing
from lmjax.interop.formats import tensors as tensors_lib
from tests.reference import families as references


@pytest.mark.slow
def test_experts_that_are_stacked_are_read(tmp_path):
  found = references.FAMILIES['mixtral'].case('two experts', tmp_path)
  state = {name: tensors_lib.Tensor.of(value.numpy())
           for name, value in found.reference.state_dict().items()}
  assert 'model.layers.0.mlp.experts.gate_up_proj' in state
  again = importing.convert(
      dataclasses.replace(found.imported.source, tensors=state))
  for old, new in zip(jax.tree.leaves(found.imported.params),
                      jax.tree.leaves(again.params), strict=True):
    np.testing.assert_array_equal(old, new)
