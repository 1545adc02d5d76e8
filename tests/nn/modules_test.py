"""A config that is given in place of its module is named."""
import types

import jax.numpy as jnp
import pytest

from lmjax.core import errors
from lmjax.generation import sample
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.nn import modules
from lmjax.objectives.encoders import mlm
from lmjax.objectives import lm
from lmjax.objectives import seq2seq

CONFIG = decoders.gpt2(8, 1, 2, vocab_size=9, context=4)
IDS = jnp.zeros((1, 4), jnp.int32)
BATCH = dict(inputs=IDS, targets=IDS, weights=IDS + 1.0, positions=IDS,
             segments=IDS + 1)


@pytest.mark.parametrize('use', [
    lambda config: lm.Causal().build(config),
    lambda config: lm.causal(config, {}, BATCH),
    lambda config: lm.Causal().scores(config),
    lambda config: mlm.MaskedLM().build(config, types.SimpleNamespace()),
    lambda config: seq2seq.Seq2Seq().build(config),
    lambda config: decoder.initial_params(config, 0),
    lambda config: sample.generate(config, {}, [[1]], max_new_tokens=1)])
def test_a_config_in_place_of_a_model_is_refused(use):
  with pytest.raises(errors.InputError, match=(
      r'this is its config, DecoderConfig: give config.build\(\)')):
    use(CONFIG)


def test_modules_are_accepted():
  modules.check(CONFIG.build())
