"""The parts of a run fit together."""
import dataclasses

import jax
import numpy as np
import pytest

from lmjax.core import trees
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import held_out
from lmjax import experiment
from lmjax.interop import vector_file
from lmjax.models.counted import word_vectors
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.objectives import truncated
from lmjax.recipes import prepared
from lmjax.training import guard
from lmjax.training import options

CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=('a text of words ' * 8,) * 20), split=None,
        tokenizer=symbols.Bytes(), batch_size=2),
    model=decoders.gpt2(8, 1, 2, vocab_size=None, context=16),
    training=options.Training(seed=3))


@pytest.mark.slow
def test_the_parts_are_those_of_the_config(tmp_path):
  parts = prepared.prepare(CONFIG, str(tmp_path))
  assert parts.sized.vocab_size == parts.tokenizer.vocab_size == 258
  assert parts.batches(0)['inputs'].shape == (2, 16)
  jax.tree.map(np.testing.assert_array_equal, parts.initial_params(),
               decoder.initial_params(parts.model, 3))
  assert trees.count(parts.shapes) == trees.count(parts.initial_params())
  assert parts.flops_per_step > 6 * 8 * 258 * 32  # Two rows of 16.
  state = parts.initial_state()
  assert state.ema is None and state.carry is None and state.losses is None
  assert jax.random.key_data(state.rng)[1] == 3


@pytest.mark.slow
def test_the_state_has_room_for_what_training_keeps(tmp_path):
  config = dataclasses.replace(CONFIG, training=options.Training(
      ema_decay=0.9, guard=guard.Guard(spike=guard.Spike(window=8, at_least=2))))
  state = prepared.prepare(config, str(tmp_path)).initial_state()
  assert state.ema is not None and state.losses.losses.shape == (8,)


def test_a_carried_state_has_the_rows_of_a_batch(tmp_path):
  config = dataclasses.replace(
      CONFIG, objective=truncated.TruncatedBPTT(),
      model=lstm.RecurrentConfig(width=8, num_layers=1, context=16),
      data=dataclasses.replace(CONFIG.data, packing=continuous.Continuous(
          streams=2)))
  carry = prepared.prepare(config, str(tmp_path)).initial_state().carry
  assert {leaf.shape[0] for leaf in jax.tree.leaves(carry)} == {2}


@pytest.mark.slow
def test_an_embedding_may_begin_with_word_vectors(tmp_path):
  config = dataclasses.replace(CONFIG, vectors=word_vectors.SkipGram(
      size=8, epochs=1, batch_size=64))
  parts = prepared.prepare(config, str(tmp_path))
  found = parts.initial_params()
  vectors = config.vectors.fit(held_out.Documents(parts.data.train), 258)
  first = found['embed']['embedding']
  cosines = np.sum(first * vectors, 1) / (
      np.linalg.norm(first, axis=1) * np.linalg.norm(vectors, axis=1))
  np.testing.assert_allclose(cosines, 1, atol=1e-5)  # Whatever their scale.
  jax.tree.map(np.testing.assert_array_equal, found['layer_0'],
               decoder.initial_params(parts.model, 3)['layer_0'])


@pytest.mark.slow
def test_an_embedding_may_begin_with_vectors_from_a_file(tmp_path, capsys):
  (tmp_path / 'x.txt').write_text(
      ''.join(f'{letter} 1 1 1 1 3 3 3 3\n' for letter in 'ae'))
  config = dataclasses.replace(
      CONFIG, vectors=vector_file.VectorFile(str(tmp_path / 'x.txt')))
  parts = prepared.prepare(config, str(tmp_path))
  found = parts.initial_params()['embed']['embedding']
  before = decoder.initial_params(parts.model, 3)['embed']['embedding']
  changed = np.flatnonzero((found != before).any(1))
  assert {parts.tokenizer.token_bytes(i) for i in changed} == {
      b'a', b'e', b'A', b'E'}
  for row in changed:
    np.testing.assert_allclose(
        found[row] / found[row, 0], [1] * 4 + [3] * 4, rtol=1e-5)
  assert 'vectors of 4 of 258 tokens' in capsys.readouterr().out
