"""Models are exported as GGUF files that import as the same models."""
import dataclasses

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import symbols
from lmjax.interop import checkpoint
from lmjax.interop.formats.gguf import adapter
from lmjax.interop import gguf_export
from lmjax.interop import importing
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.nn import positions
from lmjax.nn import rotary
from tests.data.tokenizers.converting import gguf_test

TOKENIZER = gguf_test.built(gguf_test.GPT2)
LLAMA = decoders.llama(
    width=32, num_layers=2, num_heads=4, num_kv_heads=2, hidden=48,
    vocab_size=TOKENIZER.vocab_size, context=64)


def params_of(config):
  leaves, tree = jax.tree.flatten(cost.shapes(config))
  draw = np.random.default_rng(0)
  return tree.unflatten([
      draw.normal(size=leaf.shape).astype(np.float32) for leaf in leaves])


@pytest.mark.parametrize('config', [
    LLAMA, decoders.gpt2(
        32, 2, 4, vocab_size=TOKENIZER.vocab_size, context=64)],
    ids=['llama', 'gpt2'])
def test_an_exported_model_is_imported_bit_by_bit(tmp_path, config):
  params = params_of(config)
  gguf_export.write(
      tmp_path / 'x.gguf', config, params, TOKENIZER, 'F32', 'mine', '{{ x }}')
  found = adapter.read(tmp_path / 'x.gguf')
  again = importing.convert(checkpoint.Checkpoint(
      tmp_path / 'x.gguf', found.config, found.tensors))
  jax.tree.map(np.testing.assert_array_equal, again.params, params)
  assert again.config.positions == config.positions
  assert found.vocabulary['tokenizer.chat_template'] == '{{ x }}'
  tokenizer = pretrained.of_gguf(found.vocabulary)
  assert tokenizer.encode('he 12').tolist() == TOKENIZER.encode(
      'he 12').tolist()


def test_layers_that_the_file_would_not_keep_are_named(tmp_path):
  config = decoders.smollm3(
      32, 4, 4, 2, 48, vocab_size=TOKENIZER.vocab_size, context=64)
  gguf_export.write(
      tmp_path / 'x.gguf', config, params_of(config), TOKENIZER)
  *_, turned, still = config.pattern.period
  other = dataclasses.replace(config, pattern=dataclasses.replace(
      config.pattern, period=(turned, still)))
  with pytest.raises(errors.InputError, match='not keep no_rope_layers = '):
    gguf_export.write(tmp_path / 'y.gguf', other, params_of(other), TOKENIZER)
  assert not (tmp_path / 'y.gguf').exists()


def test_a_scaling_of_another_context_is_refused(tmp_path):
  scaling = rotary.Llama3Scaling(8.0, 1.0, 4.0, 4096)
  config = dataclasses.replace(
      LLAMA, positions=positions.Rotary(scaling=scaling))
  with pytest.raises(errors.InputError, match='not the scaling of Llama 3'):
    gguf_export.write(
        tmp_path / 'x.gguf', config, params_of(config), TOKENIZER)
  assert not list(tmp_path.iterdir())


def test_a_tokenizer_that_llama_cpp_lacks_is_refused(tmp_path):
  config = dataclasses.replace(LLAMA, vocab_size=258)
  for tokenizer, why in ((symbols.Bytes().build(()), 'of the kind'),
                         (gguf_test.built(gguf_test.LLAMA), 'another kind')):
    with pytest.raises(errors.InputError, match=why):
      gguf_export.write(tmp_path / 'x', config, params_of(config), tokenizer)
