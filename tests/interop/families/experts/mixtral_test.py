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
from tests.reference import parity

FAMILY = families.FAMILIES['mixtral']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=2,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
    num_local_experts=5)

CASES = {
    'two experts': {},
    'three experts, with a window': dict(
        num_experts_per_tok=3, sliding_window=9),
    'tied': dict(tie_word_embeddings=True, head_dim=16),
}


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.MixtralConfig(**SIZE | changes),
      'MixtralForCausalLM', **written or {})


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_the_reference_computes_the_same_in_both_directions(name, tmp_path):
  found = case(tmp_path, **CASES[name])
  parity.check_round_trip(found)
  parity.check(found)  # It trains the reference.


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(num_experts_per_tok=3), dict(sliding_window=100),
    dict(hidden_act='gelu'), dict(rms_norm_eps=1e-4),
])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert parity.logits_error(case(tmp_path, written)) > 4 * parity.LOGITS


@pytest.mark.parametrize('change', [
    dict(router_scale=2.0), dict(num_experts=4), dict(layer_types=[]),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)


@pytest.mark.slow
def test_experts_that_are_stacked_are_read(tmp_path):
  found = case(tmp_path)
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
