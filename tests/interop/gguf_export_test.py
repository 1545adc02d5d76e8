"""Models are exported as GGUF files that import as the same models."""
import dataclasses
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
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
from lmjax.testing import hot
from tests.data.tokenizers.converting import gguf_test
from tests.reference import published
from tests.reference import wheels

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


NEOX = dict(
    model_type='gpt_neox', hidden_size=32, intermediate_size=48,
    num_hidden_layers=2, num_attention_heads=2, rotary_pct=0.5,
    max_position_embeddings=512, vocab_size=TOKENIZER.vocab_size)


@pytest.mark.parametrize('model_type', [None, 'gpt_neox'])
def test_the_family_is_one_of_which_llama_cpp_has_the_model(
    tmp_path, model_type):
  config = importing.named(NEOX).config(NEOX)  # Nearly a Falcon.
  found = gguf_export.write(
      tmp_path / 'x.gguf', config, params_of(config), TOKENIZER,
      model_type=model_type)
  assert found.name == 'GPT-NeoX'
  with pytest.raises(errors.InputError, match='not keep ffn_hidden_size = 48'):
    gguf_export.write(
        tmp_path / 'y.gguf', config, params_of(config), TOKENIZER,
        model_type='falcon')


def test_a_window_that_llama_cpp_does_not_read_is_refused(tmp_path):
  tree = dict(NEOX, model_type='phi3', sliding_window=16)
  del tree['rotary_pct']
  config = importing.named(tree).config(tree)
  with pytest.raises(errors.InputError, match='without its sliding_window'):
    gguf_export.write(
        tmp_path / 'x.gguf', config, params_of(config), TOKENIZER,
        model_type='phi3')


_GROUPED = dict(
    hidden_size=64, intermediate_size=96, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    vocab_size=257)
_SERVED = {  # Whether llama.cpp computes in float32: not the GELU.
    'llama': (True, _GROUPED | dict(
        head_dim=32, tie_word_embeddings=True, rope_theta=500_000.0,
        rope_scaling={
            'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0,
            'high_freq_factor': 4.0,
            'original_max_position_embeddings': 8192})),
    'qwen2': (True, _GROUPED | dict(rope_scaling={
        'type': 'yarn', 'factor': 4.0,
        'original_max_position_embeddings': 128})),
    'mixtral': (True, _GROUPED | dict(num_local_experts=4)),
    'phi3': (True, _GROUPED | dict(
        max_position_embeddings=4096, original_max_position_embeddings=512,
        rope_scaling={
            'type': 'longrope', 'short_factor': [1 + i / 8 for i in range(8)],
            'long_factor': [1.0 + i for i in range(8)]})),
    'gemma3_text': (False, _GROUPED | dict(
        head_dim=32, query_pre_attn_scalar=32, sliding_window=16,
        num_hidden_layers=7)),
    'gpt_neox': (False, NEOX | dict(vocab_size=257)),
}
_LLAMA_CPP = '''
import json, sys, urllib.request
import xllamacpp
for path in sys.argv[2:]:
  params = xllamacpp.CommonParams()
  params.model.path, params.n_ctx, params.n_parallel = path, 512, 1
  params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
  kinds = xllamacpp.llama_flash_attn_type
  params.flash_attn_type = kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
  params.n_gpu_layers, params.fit_params, params.warmup = 0, False, False
  params.verbosity, params.cpuparams.n_threads = -1, 2
  server = xllamacpp.Server(params)
  answer = json.load(urllib.request.urlopen(urllib.request.Request(
      server.listening_address + '/completion', json.dumps({
          'prompt': json.loads(sys.argv[1]), 'n_predict': 1, 'n_probs': 257,
          'logit_bias': [[65, 1000.0]],  # Else it waits for whole letters.
      }).encode(), {'Content-Type': 'application/json'})))
  print(json.dumps([[each['id'], each['logprob']] for each in
                    answer['completion_probabilities'][0]['top_logprobs']]))
'''


@pytest.mark.slow  # Six models are compiled here, and served there.
def test_llama_cpp_computes_the_same(tmp_path):
  folder = wheels.folder('xllamacpp==2026.10.11549')
  published.byte_tokenizer(tmp_path)
  tokenizer = pretrained.read(tmp_path)
  ids = np.random.default_rng(0).integers(1, 250, 100)
  wanted = []
  for model_type, (_, tree) in _SERVED.items():
    tree = tree | {'model_type': model_type}
    config = importing.named(tree).config(tree)
    params = jax.device_get(hot.hot_params(cost.shapes(config)))
    gguf_export.write(tmp_path / f'{model_type}.gguf', config, params,
                      tokenizer, 'F32', model_type=model_type)
    with jax.default_matmul_precision('highest'):
      wanted.append(jax.nn.log_softmax(jax.jit(config.build().apply)(
          {'params': params}, jnp.asarray(ids[None]))[0][0, -1]))
  said = subprocess.run(
      [sys.executable, '-c', _LLAMA_CPP, json.dumps(ids.tolist()),
       *(str(tmp_path / f'{model_type}.gguf') for model_type in _SERVED)],
      env={'PYTHONPATH': str(folder)}, check=True, capture_output=True,
      timeout=300).stdout
  for line, want_V, (exact, _) in zip(
      said.splitlines(), wanted, _SERVED.values(), strict=True):
    found = dict(json.loads(line))
    found_V = np.array([found[i] for i in range(len(want_V))])
    error = np.abs(found_V - want_V).max() / want_V.std()
    assert error < (5e-5 if exact else 1e-2)


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
