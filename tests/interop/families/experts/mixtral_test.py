"""An imported Mixtral computes what the reference computes."""
import dataclasses

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop import importing
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.models import presets
from tests.reference import families as references

FAMILY = families.FAMILIES['mixtral']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=2,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
    num_local_experts=5)


@pytest.mark.parametrize('change', [
    dict(router_scale=2.0), dict(num_experts=4), dict(layer_types=[]),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)


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


PUBLISHED = {  # mistralai/Mixtral-8x7B-v0.1
    'architectures': ['MixtralForCausalLM'], 'attention_dropout': 0.0,
    'hidden_act': 'silu', 'hidden_size': 4096, 'intermediate_size': 14336,
    'max_position_embeddings': 32768, 'model_type': 'mixtral',
    'num_attention_heads': 32, 'num_experts_per_tok': 2,
    'num_hidden_layers': 32, 'num_key_value_heads': 8, 'num_local_experts': 8,
    'output_router_logits': False, 'rms_norm_eps': 1e-05,
    'rope_theta': 1000000.0, 'router_aux_loss_coef': 0.02,
    'sliding_window': None, 'tie_word_embeddings': False, 'vocab_size': 32000}


def test_the_published_config_is_the_preset():
  assert FAMILY.config(PUBLISHED) == presets.PRESETS['mixtral_8x7b']
  FAMILY.fields(presets.PRESETS['mixtral_8x7b'])
