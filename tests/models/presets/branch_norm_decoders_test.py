"""Named sizes are the published ones, and small ones are the reference's."""
import dataclasses
import functools

import jax
import numpy as np
import pytest

from lmjax.models import cost
from lmjax.models import parts
from lmjax.models.presets import branch_norm_decoders as presets
from lmjax.nn import pattern
from lmjax.nn import positions
from lmjax.testing import hot
from tests.reference import decoders
from tests.reference import ends
from tests.reference import measured

PUBLISHED = {  # Metadata of the safetensors on the Hugging Face Hub.
    'granite3_1_2b': 2_533_531_648,  # ibm-granite/granite-3.1-2b-instruct
    'granite3_3_8b': 8_170_864_640,  # ibm-granite/granite-3.3-8b-instruct
    'olmo2_1b': 1_484_916_736,  # allenai/OLMo-2-0425-1B
    'olmo2_7b': 7_298_617_344,  # allenai/OLMo-2-1124-7B
    'gemma2_2b': 2_614_341_888,  # google/gemma-2-2b
    'gemma2_9b': 9_241_705_984,  # google/gemma-2-9b
    'gemma3_270m': 268_098_176,  # google/gemma-3-270m-it
    'gemma3_1b': 999_885_952,  # google/gemma-3-1b-it
    'gemma3_4b': 3_880_099_328,  # google/gemma-3-4b-it-qat-q4_0-gguf
}
IDS = np.random.default_rng(0).integers(0, 61, 40)
SMALL = {
    'granite': presets.granite(
        32, 2, 4, 2, 48, vocab_size=61, context=64, theta=500.0, logits=0.5),
    'olmo2': presets.olmo2(32, 2, 4, 48, vocab_size=61, context=64),
    'gemma2': presets.gemma2(
        32, 3, 4, 2, 48, vocab_size=61, context=64, head_size=12, window=7),
    'gemma3': dataclasses.replace(
        presets.gemma3(
            32, 4, 4, 1, 48, vocab_size=61, context=64, head_size=12,
            window=7), pattern=pattern.LocalGlobal(
                window=7, every=3, global_layer='last',
                local_positions=positions.Rotary(theta=50.0))),
}


def test_every_size_is_checked():
  assert presets.PRESETS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize('name', PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name):
  assert measured.parameters(presets.PRESETS[name]) == PUBLISHED[name]


def over_all_heads(p, x_TNH):
  """Norms queries or keys of all heads together."""
  flat = decoders.rms_norm(p, x_TNH.reshape(len(x_TNH), -1))
  return flat.reshape(x_TNH.shape)


def reference(name, params):
  """Returns the logits, [T, V]."""
  if name == 'granite':
    turn = functools.partial(decoders.turned, theta=500.0, size=8)
    x_TD = decoders.hidden(
        params, ends.embedded(params, params, IDS, scale=12.0), 'pre',
        norm=functools.partial(decoders.rms_norm, epsilon=1e-5),
        activation=decoders.silu, multiplier=0.22,
        attend=lambda i, x_TD, p: decoders.attention(
            x_TD, p, 4, 2, turn=turn, scale=1 / 8))
    return ends.logits({}, params, x_TD, tied=True) / 0.5
  if name in ('gemma2', 'gemma3'):
    return gemma(name, params)
  turn = functools.partial(decoders.turned, theta=500_000.0, size=8)
  x_TD = decoders.hidden(
      params, ends.embedded(params, params, IDS), 'pre',
      norm=decoders.rms_norm, activation=decoders.silu,
      attend=lambda i, x_TD, p: decoders.attention(
          x_TD, p, 4, turn=turn, norm=over_all_heads))
  return ends.logits(params['head'], params, x_TD, tied=False)


def gemma(name, params):
  """Returns the logits, [T, V]."""
  norm = functools.partial(decoders.rms_norm, offset=1.0)
  def normed(p, x_TNH):  # Each head by itself.
    return np.stack([norm(p, x_TH) for x_TH in x_TNH.swapaxes(0, 1)], 1)
  def attend(i, x_TD, p):
    if name == 'gemma2':  # The first and the third layer are local.
      return decoders.attention(
          x_TD, p, 4, 2, softcap=50.0, window=(7, None, 7)[i],
          turn=functools.partial(decoders.turned, theta=10_000.0, size=12))
    far = i == 2  # The third layer is global.
    return decoders.attention(
        x_TD, p, 4, 1, norm=normed, window=None if far else 7,
        turn=functools.partial(
            decoders.turned, theta=1_000_000.0 if far else 50.0, size=12))
  x_TD = decoders.hidden(
      params, ends.embedded(params, params, IDS, scale=32 ** 0.5), 'pre',
      norm=norm, activation=decoders.gelu_tanh, attend=attend)
  return ends.logits({}, params, x_TD, tied=True,
                     softcap=30.0 if name == 'gemma2' else None)


def relative_error(name, **changes):
  """Returns the largest error of the logits, over their deviation."""
  params = jax.device_get(hot.hot_params(cost.shapes(SMALL[name])))
  config = dataclasses.replace(SMALL[name], **changes)
  return measured.logits_error(config, params, IDS, reference(name, params))


@pytest.mark.parametrize('name', SMALL)
def test_logits_are_those_of_the_reference(name):
  assert relative_error(name) < 5e-5


@pytest.mark.slow
@pytest.mark.parametrize('name, changes', [
    ('granite', dict(embed=parts.Embed(scale=12.1))),
    ('granite', dict(head=parts.Head(scale=2.002))),
    ('granite', dict(block=dataclasses.replace(
        SMALL['granite'].block, multiplier=0.221))),
    ('olmo2', dict(block=dataclasses.replace(
        SMALL['olmo2'].block, mixer=dataclasses.replace(
            SMALL['olmo2'].block.mixer, scale=0.36)))),
    ('gemma2', dict(pattern=pattern.LocalGlobal(window=8, every=2))),
    ('gemma2', dict(head=parts.Head(softcap=29.0))),
    ('gemma3', dict(pattern=pattern.LocalGlobal(
        window=7, every=3, local_positions=positions.Rotary(theta=50.5)))),
    ('gemma3', dict(positions=positions.Rotary(theta=900_000.0))),
])
def test_parity_detects_a_small_change(name, changes):
  assert relative_error(name, **changes) > 2e-4
