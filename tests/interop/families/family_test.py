"""A config is written only if it is read back as the same model."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.interop.families.llamas import llama
from lmjax.models import encoder
from lmjax.models.presets import decoders
from lmjax.nn import layers
from lmjax.nn import positions

CONFIG = decoders.llama(32, 2, 4, 2, 48, vocab_size=61, context=64)


def block(**changes):
  return dataclasses.replace(
      CONFIG, block=dataclasses.replace(CONFIG.block, **changes))


def test_what_is_written_is_read_as_the_same_model():
  tree = llama.FAMILY.fields(CONFIG)
  assert tree['model_type'] == 'llama'
  found = llama.FAMILY.config(tree)
  assert llama.FAMILY.fields(found) == tree
  assert found.block.mixer.size(32) == 8


@pytest.mark.parametrize('change', [
    dict(scan=True), dict(remat='full'), dict(dtype='bfloat16'),
    dict(init_std=0.1)])
def test_how_a_model_is_trained_does_not_matter(change):
  config = dataclasses.replace(CONFIG, **change)
  assert llama.FAMILY.fields(config) == llama.FAMILY.fields(CONFIG)


@pytest.mark.parametrize('config, what', [
    (dataclasses.replace(CONFIG, positions=positions.Learned()), 'Learned'),
    (dataclasses.replace(CONFIG, final_norm=layers.LayerNorm()), 'final_norm'),
    (block(mlp=layers.MLPConfig(48, 'silu', bias=False)), 'mlp.gated'),
    (block(norm=layers.RMSNorm(epsilon=1e-3)), 'epsilon'),
    (block(mixer=dataclasses.replace(CONFIG.block.mixer, window=8)), 'window'),
    (encoder.EncoderConfig(), 'EncoderConfig'),
])
def test_a_model_that_the_family_cannot_be_is_refused(config, what):
  with pytest.raises(errors.InputError, match=what):
    llama.FAMILY.fields(config)


def test_names_lack_the_prefix_if_the_file_does():
  names = [row.names[0] for row in llama.FAMILY.named(CONFIG, {'norm.weight'})]
  assert 'norm.weight' in names and 'model.norm.weight' not in names
