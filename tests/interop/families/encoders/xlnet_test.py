"""An imported XLNet computes what the reference computes, in both streams."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from lmjax.nn import masks
from tests.reference import parity
from tests.reference import parity_encoders

FAMILY = families.FAMILIES['xlnet']
SIZE = dict(vocab_size=211, d_model=48, n_layer=2, n_head=6, d_inner=72)
CASES = {'gelu': {}, 'relu': dict(ff_activation='relu', layer_norm_eps=1e-3)}
PUBLISHED = dict(
    architectures=['XLNetLMHeadModel'], attn_type='bi', bi_data=False,
    bos_token_id=1, clamp_len=-1, d_head=64, d_inner=3072, d_model=768,
    dropout=0.1, end_n_top=5, eos_token_id=2, ff_activation='gelu',
    initializer_range=0.02, layer_norm_eps=1e-12, mem_len=None,
    model_type='xlnet', n_head=12, n_layer=12, pad_token_id=5, reuse_len=None,
    same_length=False, start_n_top=5, summary_activation='tanh',
    summary_last_dropout=0.1, summary_type='last', summary_use_proj=True,
    untie_r=True, vocab_size=32000)
NAMES = frozenset()


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.XLNetConfig(**SIZE | dict(mem_len=None) | changes),
      'XLNetLMHeadModel', **(written or {}) | dict(context=520))


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('xlnet_base'))


@pytest.mark.parametrize('name', ['xlnet_base', 'xlnet_large'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(attn_type='uni'), dict(clamp_len=64), dict(same_length=True),
    dict(untie_r=False), dict(d_head=32), dict(ff_activation='mish')])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)


def content_error(found, rows=1, length=parity.LENGTH, real_BT=None,
                  types_BT=None):
  """Returns the error of the logits of the content stream."""
  inputs_BT = parity.ids(found.imported.config.vocab_size, rows, length)
  given = {'attention_mask': real_BT, 'token_type_ids': types_BT}
  mask = None if real_BT is None else masks.make(
      jnp.arange(length)[None], jnp.asarray(real_BT), causal=False)

  def logits(model):
    x_BTD = model.encode(
        jnp.asarray(inputs_BT), mask,
        types_BT=None if types_BT is None else jnp.asarray(types_BT))
    return model.logits(x_BTD)

  got = _applied(found, logits)
  want = parity.want_logits(found, inputs_BT, **_tensors(given))
  of = slice(None) if real_BT is None else real_BT > 0
  return parity.relative_error(got[of], want[of])


def query_error(found, length=64):
  """Returns the error of predictions of all tokens in a random order."""
  inputs_BT = parity.ids(found.imported.config.vocab_size, 2, length)
  order_BT = np.stack([
      np.random.default_rng(row).permutation(length) for row in range(2)])
  unseen_BTS = order_BT[:, :, None] <= order_BT[:, None]
  targets_BTS = np.broadcast_to(np.eye(length), unseen_BTS.shape)
  got = _applied(found, lambda model: model(
      jnp.asarray(inputs_BT), order_BT=jnp.asarray(order_BT))[0])
  want = parity.want_logits(found, inputs_BT, **_tensors({
      'perm_mask': unseen_BTS.astype(np.float32),
      'target_mapping': targets_BTS.astype(np.float32)}))
  # The reference averages masked values where a query sees no key.
  of = order_BT > 0
  return parity.relative_error(got[of], want[of])


def _applied(found, function):
  with jax.default_matmul_precision('highest'):
    return np.asarray(jax.jit(lambda params: found.imported.model.apply(
        {'params': params}, method=function))(found.imported.params))


def _tensors(arrays):
  import torch
  return {name: torch.from_numpy(value) for name, value in arrays.items()
          if value is not None}


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  found = case(tmp_path, **CASES[name])
  assert content_error(found) < parity.LOGITS
  real_BT = np.ones((2, 40), np.int64)
  real_BT[1, 25:] = 0
  types_BT = (np.arange(40)[None] > np.array([[12], [20]])).astype(np.int64)
  assert content_error(found, 2, 40, real_BT, types_BT) < parity.LOGITS
  assert query_error(found) < parity.LOGITS


@pytest.mark.slow
def test_gradients_and_a_step_are_those_of_the_reference(tmp_path):
  import torch
  found = case(tmp_path)
  inputs_BT = parity.ids(found.imported.config.vocab_size, 2, 40)
  types_BT = (np.arange(40)[None] > np.array([[12], [20]])).astype(np.int64)
  noise_BTV = np.random.default_rng(0).normal(
      size=(*inputs_BT.shape, 211)).astype(np.float32)

  def loss(params):
    def logits(model):
      return model.logits(model.encode(
          jnp.asarray(inputs_BT), types_BT=jnp.asarray(types_BT)))
    logits_BTV = found.imported.model.apply({'params': params}, method=logits)
    return jnp.mean((logits_BTV - noise_BTV) ** 2)

  gradients, step = parity.step_errors(found, loss, lambda: torch.mean((
      found.reference(
          torch.from_numpy(inputs_BT),
          token_type_ids=torch.from_numpy(types_BT)).logits
      - torch.from_numpy(noise_BTV)) ** 2))
  assert gradients < parity.GRADIENTS
  assert step < parity.GRADIENTS


@pytest.mark.slow
def test_export_is_the_import_reversed(tmp_path):
  found = case(tmp_path)
  parity_encoders.check_tensors(found)


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(layer_norm_eps=1e-4), dict(ff_activation='gelu_new'),
    dict(ff_activation='relu')])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert content_error(case(tmp_path, written)) > 4 * parity.LOGITS
