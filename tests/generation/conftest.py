"""A small decoder with weights large enough to tell right from wrong."""
import dataclasses

import pytest

from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.nn import positions
from lmjax.testing import hot

V = 47
VARIANTS = {
    'learned': decoders.gpt2(32, 2, 4, vocab_size=V, context=64),
    'rotary': decoders.llama(
        32, 2, 4, 2, 48, vocab_size=V, context=64, tied=False),
    'alibi': dataclasses.replace(
        decoders.gpt2(32, 2, 4, vocab_size=V, context=64),
        positions=positions.Alibi()),
    'scan': dataclasses.replace(
        decoders.gpt2(32, 2, 4, vocab_size=V, context=64), scan=True),
}


def with_window(config: decoder.DecoderConfig, window: int):
  """Returns the config with attention to the last tokens alone."""
  mixer = dataclasses.replace(config.block.mixer, window=window)
  return dataclasses.replace(
      config, block=dataclasses.replace(config.block, mixer=mixer))


def hot_model(config: decoder.DecoderConfig):
  """Returns the model and weights of N(0, 0.15^2), norms near 1."""
  return config.build(), hot.hot_params(cost.shapes(config))


@pytest.fixture(scope='package', params=[
    'learned', 'rotary', *(pytest.param(name, marks=pytest.mark.slow)
                           for name in ('alibi', 'scan'))])
def any_model(request):
  """(model, params) for each way in which positions enter, and scanned."""
  return hot_model(VARIANTS[request.param])


@pytest.fixture(scope='package')
def model():
  """(model, params) of the GPT-2 style, of one layer: it compiles faster."""
  return hot_model(dataclasses.replace(VARIANTS['learned'], num_layers=1))
