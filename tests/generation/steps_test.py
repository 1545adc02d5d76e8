"""Rows that join a batch at any time, against rows alone."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.generation import prompts
from lmjax.generation import sample
from lmjax.generation import steps
from lmjax.generation import transforms
from lmjax.models import lstm
from lmjax.models.presets import encoder_decoders
from lmjax.nn import caches
from lmjax.nn import recurrent
from tests.generation import conftest

PROMPTS = [[3, 1, 4], [1], [5, 9, 2, 6, 5, 3, 5, 8, 9], [2, 7, 1, 8], [8, 8]]
MODELS = {
    'scan': conftest.VARIANTS['scan'],
    'window': conftest.with_window(conftest.VARIANTS['rotary'], 5),
    't5': encoder_decoders.t5(16, 2, 4, 24, vocab_size=47, context=40),
    'recurrent': lstm.RecurrentConfig(
        vocab_size=47, context=64, width=24,
        cell=recurrent.LSTMConfig(hidden=24)),
}


@pytest.mark.parametrize('name', [
    't5', *(pytest.param(name, marks=pytest.mark.slow)
            for name in ('window', 'scan', 'recurrent'))])
@pytest.mark.slow
def test_rows_inserted_at_different_times_are_the_rows_alone(name):
  """Five prompts share two places; each is read when a place is free."""
  model, params = conftest.hot_model(MODELS[name])
  asked = [prompts.Prompt(ids, [7] + ids if name == 't5' else None)
           for ids in PROMPTS]
  lengths = (4, 9, 2, 6, 3)  # Tokens wanted of each.
  rows = [prompts.pad([prompt], max_new_tokens=12, context=40, vocab_size=47)
          for prompt in asked]
  prefill = jax.jit(lambda row: steps.prefill(model, params, row))
  step = jax.jit(lambda *args: steps.step(model, params, *args))
  insert = jax.jit(caches.insert)

  cache = steps.empty(model, params, rows[0], 2)
  drawn, places, waiting = [[] for _ in rows], [None, None], [0, 1, 2, 3, 4]
  token_B, position_B = np.zeros(2, np.int32), np.zeros(2, np.int32)
  while waiting or any(place is not None for place in places):
    for place, row in enumerate(places):
      if row is None and waiting:
        places[place] = row = waiting.pop(0)
        new, logits_BV = prefill(rows[row])
        cache = insert(cache, new, place)
        token_B[place] = logits_BV[0].argmax()
        position_B[place] = len(PROMPTS[row])
        drawn[row].append(int(token_B[place]))
    cache, logits_BV = step(cache, jnp.array(token_B), jnp.array(position_B))
    position_B += 1
    for place, row in enumerate(places):
      if row is None:
        continue
      token_B[place] = logits_BV[place].argmax()
      drawn[row].append(int(token_B[place]))
      if len(drawn[row]) >= lengths[row]:
        places[place] = None

  alone = sample.generate(
      model, params, asked, max_new_tokens=12,
      sampling=transforms.Sampling(temperature=0)).tokens
  for got, want, length in zip(drawn, alone, lengths):
    assert got == want[:length].tolist()
