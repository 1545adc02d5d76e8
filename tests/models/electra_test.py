"""Two encoders on one table: each equals a separate encoder."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import electra
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.models.presets import encoders
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.testing import hot

VOCAB = 13


def encoder_of(width, embed=parts.TypedEmbed(size=8), **changes):
  return encoder.EncoderConfig(
      vocab_size=VOCAB, context=16, width=width, num_layers=1,
      embed=embed, block=block.PostNorm(
          mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(16)),
      **changes)


CONFIG = electra.ElectraConfig(encoder_of(4), encoder_of(
    8, tokens=None, replaced=encoder.ReplacedHead()))
IDS = np.arange(10).reshape(2, 5)


def params_of(config):
  return hot.hot_params(jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params'])


@pytest.mark.slow
def test_each_encoder_is_what_it_is_alone():
  params, model = params_of(CONFIG), CONFIG.build()
  assert params.keys() == {'embeddings', 'generator', 'discriminator'}
  assert params['embeddings'].keys() == {
      'embed', 'positions', 'types', 'embed_norm'}
  logits, _ = jax.jit(model.apply)({'params': params}, IDS)
  alone = CONFIG.generator.build()
  want, _ = jax.jit(alone.apply)(
      {'params': electra.generator_params(params)}, IDS)
  np.testing.assert_allclose(logits, want, atol=1e-5)

  def run(model, params, method):
    return jax.jit(lambda params: model.apply(
        {'params': params}, method=method))(params)
  def generated(model):
    return model.logits(model.generator_hidden(IDS)[0])
  np.testing.assert_allclose(
      run(model, params, generated), want, atol=1e-5)
  def replaced(model):
    return model.replaced_logits(model.hidden(IDS)[0])
  np.testing.assert_allclose(
      run(model, params, replaced),
      run(CONFIG.discriminator.build(), electra.discriminator_params(params),
          replaced), atol=1e-5)


def test_the_parameters_are_all_that_each_needs():
  params = params_of(CONFIG)
  for config, part in ((CONFIG.generator, electra.generator_params),
                       (CONFIG.discriminator, electra.discriminator_params)):
    shapes = lambda tree: {k: v.shape for k, v in trees.items(tree)}
    assert shapes(part(params)) == shapes(params_of(config))


def test_the_small_one_shares_its_table():
  names = 'electra_small_generator', 'electra_small'
  small = electra.ElectraConfig(*(
      dataclasses.replace(encoders.PRESETS[name], scan=True)
      for name in names))
  both = trees.count(jax.eval_shape(
      small.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32)))
  shared = 128 * (30522 + 512 + 2 + 2)
  assert both == 4_620_026 + 13_549_057 - shared


def test_config_survives_json_and_flags():
  tree = config_lib.to_dict(CONFIG)
  assert config_lib.freeze(electra.ElectraConfig, tree) == CONFIG
  default = electra.ElectraConfig().with_vocab(50)
  assert default.vocab_size == default.generator.vocab_size == 50
  assert (default.context, default.width) == (256, 128)
  assert (default.num_layers, default.dtype) == (4, 'float32')
  with pytest.raises(errors.InputError, match='with_vocab'):
    electra.ElectraConfig().build()


@pytest.mark.parametrize('changes, message', [
    (dict(generator=encoder_of(4, tokens=None)), 'generator.tokens'),
    (dict(discriminator=encoder_of(8)), 'discriminator.replaced'),
    (dict(generator=encoder_of(4, parts.TypedEmbed(size=8, types=3))),
     'model.generator.embed.types .* alike; got 3 and 2'),
    (dict(generator=encoder_of(4, parts.TypedEmbed())),
     'model.generator.embed.size .* got 4 and 8'),
    ({part: encoder_of(
        width, parts.TypedEmbed(size=6, widen='first'), **heads)
      for part, width, heads in (('generator', 4, {}), ('discriminator', 8, {
          'tokens': None, 'replaced': encoder.ReplacedHead()}))},
     'model.generator.width .* got 4 and 8'),
    ({part: encoder_of(
        width, parts.TypedEmbed(size=6, scale='sqrt_width'), **heads)
      for part, width, heads in (('generator', 4, {}), ('discriminator', 16, {
          'tokens': None, 'replaced': encoder.ReplacedHead()}))},
     'model.generator.embed.scale .* got 2.0 and 4.0'),
])
def test_encoders_that_do_not_fit_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    dataclasses.replace(CONFIG, **changes)
