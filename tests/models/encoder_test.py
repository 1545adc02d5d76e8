"""The properties that every encoder has."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import pattern
from lmjax.nn import positions
from lmjax.nn import ssm
from lmjax.testing import batches
from lmjax.testing import equivalence
from lmjax.testing import hot
from lmjax.testing import invariance

VOCAB = 17
BERT = encoder.EncoderConfig(
    vocab_size=VOCAB, context=32, width=16, num_layers=2,
    embed=parts.TypedEmbed(dropout=0.1),
    block=block.PostNorm(
        mixer=attention.AttentionConfig(4, dropout=0.1),
        mlp=layers.MLPConfig(24, 'gelu'), norm=parts.NORM, dropout=0.1),
    pooler=encoder.Pooler(), replaced=encoder.ReplacedHead())
ALBERT = dataclasses.replace(
    BERT, embed=parts.TypedEmbed(size=6, dropout=0.1), shared_layers=True,
    positions=positions.Learned(offset=2))
NORM = layers.LayerNorm(bias=False)
MODERN = dataclasses.replace(
    BERT, positions=positions.Rotary(), final_norm=NORM,
    embed=parts.TypedEmbed(norm=NORM, types=0), pooler=None, replaced=None,
    pattern=pattern.LocalGlobal(
        window=3, every=2, global_layer='first',
        local_positions=positions.Rotary(theta=100.0)),
    tokens=parts.TokenHead(norm=NORM, transform_bias=False),
    block=block.PreNorm(
        mixer=attention.AttentionConfig(4, bias=False, out_bias=False),
        mlp=layers.MLPConfig(24, 'gelu', gated=True, bias=False), norm=NORM))
STYLES = {'bert': BERT, 'albert': ALBERT, 'modern': MODERN}
BATCH = batches.packed(batches.documents([5, 4, 6, 3], VOCAB), 10)


def params_of(config):
  return hot.hot_params(jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params'])


@pytest.fixture(scope='module', params=[
    'bert', 'modern', pytest.param('albert', marks=pytest.mark.slow)])
def styled(request):
  """A config and its parameters."""
  config = STYLES[request.param]
  return config, params_of(config)


def mask_of(batch):
  return masks.make(batch['positions'], batch['segments'], causal=False)


def loss_of(model):
  """Returns the summed cross-entropy of `targets`, and its weight."""
  def loss(params, batch):
    logits_BTV, _ = model.apply(
        {'params': params}, batch['inputs'], mask_of(batch))
    log_p_BTV = jax.nn.log_softmax(logits_BTV)
    nll_BT = -jnp.take_along_axis(
        log_p_BTV, jnp.asarray(batch['targets'])[..., None], axis=-1)[..., 0]
    return jnp.sum(nll_BT * batch['weights']), jnp.sum(batch['weights'])
  return loss


@pytest.mark.parametrize('config', [
    pytest.param(BERT, marks=pytest.mark.slow), MODERN],
                         ids=['bert', 'modern'])
def test_documents_and_padding_do_not_see_each_other(config):
  loss, params = loss_of(config.build()), params_of(config)
  invariance.packing_invariance(loss, params, vocab_size=VOCAB)
  invariance.padding_invariance(loss, params, vocab_size=VOCAB)


@pytest.mark.slow
def test_every_token_sees_every_other(styled):
  config, params = styled
  model = config.build()

  def gradient(table, place):
    tree = params | {'embed': {'embedding': table}}
    x_BTD, _ = model.apply({'params': tree}, np.arange(6)[None],
                           method='hidden')
    # A linear sum of a normed vector would hardly depend on anything.
    return jnp.sum(jnp.square(x_BTD[0, place, :5]))
  seen = np.abs(jax.jit(jax.vmap(jax.grad(gradient), (None, 0)))(
      params['embed']['embedding'], jnp.arange(6))).max(-1)[:, :6]
  assert np.all(seen > 1e-6)


@pytest.mark.slow
def test_every_parameter_has_a_finite_gradient(styled):
  config, params = styled
  model = config.build()

  def loss(params):
    def everything(model):
      x_BTD, _ = model.hidden(
          BATCH['inputs'], mask_of(BATCH), train=True,
          types_BT=BATCH['segments'] % 2 if config.embed.types else None)
      out = [model.logits(x_BTD)]
      if config.pooler is not None:
        out += [model.pair_logits(x_BTD), model.replaced_logits(x_BTD)]
      return sum(jnp.sum(jnp.square(x)) for x in out)
    return model.apply({'params': params}, method=everything,
                       rngs={'dropout': jax.random.key(0)})
  for path, leaf in trees.items(jax.jit(jax.grad(loss))(params)):
    assert np.all(np.isfinite(leaf)), path
    assert np.any(leaf != 0), path


def test_config_survives_json_and_flags(styled):
  config, _ = styled
  tree = config_lib.to_dict(config)
  assert config_lib.freeze(encoder.EncoderConfig, tree) == config
  changed = overrides.override(
      config, {'dtype': 'bfloat16', 'pattern.kind': 'none'})
  assert changed == dataclasses.replace(
      config, dtype='bfloat16', pattern=None)


@pytest.mark.slow
def test_half_precision_keeps_float32_where_it_counts(styled):
  config, params = styled
  model = dataclasses.replace(config, dtype='bfloat16').build()
  fresh = jax.eval_shape(model.init, jax.random.key(0), BATCH['inputs'])
  assert {p.dtype for p in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  variables = {'params': params}
  got, _ = jax.jit(model.apply)(variables, BATCH['inputs'])
  want, _ = jax.jit(config.build().apply)(variables, BATCH['inputs'])
  assert got.dtype == jnp.float32
  assert np.abs(got - want).max() < 0.2 * want.std()
  program = str(jax.make_jaxpr(loss_of(model))(params, BATCH))
  assert 'bf16' in program
  for line in program.splitlines():
    if any(f' {name} ' in line or f' {name}[' in line for name in (
        'exp', 'log', 'cos', 'sin', 'rsqrt', 'reduce_max', 'reduce_sum')):
      assert 'bf16' not in line, line


# -- one style is enough for the rest


@pytest.fixture(scope='module')
def bert():
  return BERT.build(), {'params': params_of(BERT)}


def test_without_a_mask_rows_are_one_document(bert):
  model, variables = bert
  ids = BATCH['inputs']
  where = np.broadcast_to(np.arange(10), ids.shape)
  apply = jax.jit(model.apply)
  got, none = apply(variables, ids)
  want, _ = apply(
      variables, ids, masks.make(where, np.ones_like(ids), causal=False))
  assert none is None
  np.testing.assert_allclose(got, want, atol=1e-5)


def test_types_are_those_given_and_0_by_default(bert):
  model, variables = bert
  ids = BATCH['inputs']
  apply = jax.jit(lambda types_BT: model.apply(
      variables, ids, types_BT=types_BT)[0])
  plain, zeros, ones = (apply(x) for x in (None, 0 * ids, 0 * ids + 1))
  np.testing.assert_array_equal(plain, zeros)
  assert not np.allclose(plain, ones)


@pytest.mark.slow
def test_dropout_needs_train_and_evaluation_is_deterministic(bert):
  model, variables = bert
  ids = BATCH['inputs']
  apply = jax.jit(model.apply, static_argnames='train')
  one, two = (apply(variables, ids)[0] for _ in range(2))
  np.testing.assert_array_equal(one, two)
  noisy, _ = apply(
      variables, ids, train=True, rngs={'dropout': jax.random.key(0)})
  assert not np.allclose(noisy, one)


@pytest.mark.slow
def test_scanned_is_looped():
  config = dataclasses.replace(BERT, pooler=None, replaced=None)
  scanned = dataclasses.replace(config, scan=True).build()
  equivalence.scan_equals_loop(
      loss_of(scanned), loss_of(config.build()), params_of(config),
      functools.partial(
          layouts.like, target=cost.shapes(scanned.config)), BATCH)


def test_parameters_have_the_names_that_are_api():
  heads = {'tokens', 'pooler', 'pairs', 'replaced'}
  body = {'embed', 'positions', 'types', 'embed_norm'}
  assert params_of(BERT).keys() == body | heads | {'layer_0', 'layer_1'}
  assert params_of(ALBERT).keys() == body | heads | {'layer_0', 'widen'}
  assert params_of(ALBERT)['positions']['embedding'].shape == (34, 6)
  assert params_of(MODERN).keys() == {
      'embed', 'embed_norm', 'layer_0', 'layer_1', 'final_norm', 'tokens'}


def test_without_a_token_head_the_whole_is_the_hidden_states():
  config = dataclasses.replace(MODERN, tokens=None)
  model, params = config.build(), params_of(config)
  apply = jax.jit(model.apply, static_argnames='method')
  whole, _ = apply({'params': params}, BATCH['inputs'])
  hidden, _ = apply({'params': params}, BATCH['inputs'], method='hidden')
  np.testing.assert_array_equal(whole, hidden)


@pytest.mark.parametrize('method, message', [
    ('logits', 'model.tokens is off; set .*kind=TokenHead'),
    ('pooled', 'model.pooler is off; set .*kind=Pooler'),
    ('pair_logits', 'model.pooler is off'),
    ('replaced_logits', 'model.replaced is off; set .*kind=ReplacedHead')])
def test_a_missing_head_is_refused(method, message):
  model = dataclasses.replace(MODERN, tokens=None).build()
  with pytest.raises(errors.InputError, match=message):
    model.apply({'params': {}}, jnp.zeros((1, 2, 16)), method=method)


def test_pair_logits_without_their_head_are_refused():
  model = dataclasses.replace(BERT, pooler=encoder.Pooler(pairs=False)).build()
  with pytest.raises(errors.InputError, match='pooler.pairs=True'):
    model.apply({'params': {}}, jnp.zeros((1, 2, 16)), method='pair_logits')


@pytest.mark.parametrize('changes, message', [
    (dict(width=0), 'EncoderConfig.width should be at least 1; got 0'),
    (dict(width=18), 'model.width = 18 does not divide'),
    (dict(pattern=pattern.LocalGlobal(), shared_layers=True), 'be shared'),
    (dict(block=block.PreNorm(mixer=ssm.SSMConfig())), 'SSMConfig cannot'),
    (dict(pattern=pattern.Periodic((pattern.Layer(), pattern.Layer(
        block.PreNorm(mixer=ssm.SSMConfig()))))), 'SSMConfig cannot'),
])
def test_impossible_configs_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    dataclasses.replace(BERT, **changes)


def test_too_many_tokens_are_refused_with_both_numbers(bert):
  model, variables = bert
  with pytest.raises(errors.InputError, match='33 tokens, .* is 32'):
    model.apply(variables, np.zeros((1, 33), np.int32))


def test_an_unset_vocabulary_size_becomes_the_tokenizers():
  unset = dataclasses.replace(BERT, vocab_size=None)
  assert unset.with_vocab(300).vocab_size == 300
  assert BERT.with_vocab(VOCAB) == BERT.with_vocab(3) == BERT
  with pytest.raises(errors.InputError, match='has 18 ids.* is 17'):
    BERT.with_vocab(18)
  with pytest.raises(errors.InputError, match='with_vocab'):
    unset.build()


def test_the_pooled_vector_depends_on_the_first_state_only():
  params = params_of(BERT)
  x_BTD = np.asarray(jax.random.normal(jax.random.key(0), (2, 3, 16)))
  pooled, logits = (BERT.build().apply({'params': params}, x_BTD, method=name)
                    for name in ('pooled', 'pair_logits'))
  def dense(name, x_BD):
    return np.asarray(x_BD @ params[name]['kernel']) + np.asarray(
        params[name]['bias'])
  want_BD = np.tanh(dense('pooler', x_BTD[:, 0]))
  np.testing.assert_allclose(pooled, want_BD, atol=1e-5)
  np.testing.assert_allclose(logits, dense('pairs', want_BD), atol=1e-5)
