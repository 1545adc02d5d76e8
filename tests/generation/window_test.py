"""Windows against a plain loop that reads each window anew for each token."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.generation import prompts
from lmjax.generation import sample
from lmjax.generation import transforms
from lmjax.generation import window

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
CONTEXT = 64


def drawn(model, prompt, rng=0, **options):
  """Returns all tokens that `window.decode` yields, and their logprobs."""
  pieces = list(window.decode(*model, [prompt], rng=rng, **options))
  return (np.concatenate([piece.tokens[0] for piece in pieces]).tolist(),
          np.concatenate([piece.logprobs[0] for piece in pieces]))


@pytest.mark.slow
def test_greedy_windows_are_those_of_a_plain_loop(any_model):
  model, params = any_model
  logits = jax.jit(lambda ids_BT: model.apply({'params': params}, ids_BT)[0])
  ids, want, logprobs = PROMPT * 20, [], []
  for _ in range(80):
    ids = ids[-CONTEXT // 2:] if len(ids) >= CONTEXT else ids
    padded_BT = jnp.asarray([ids + [0] * (CONTEXT - len(ids))])  # Causal.
    logits_V = logits(padded_BT)[0, len(ids) - 1]
    want.append(int(jnp.argmax(logits_V)))
    logprobs.append(float(jax.nn.log_softmax(logits_V)[want[-1]]))
    ids = ids + want[-1:]
  found = drawn(any_model, PROMPT * 20, max_new_tokens=80,
                sampling=transforms.Sampling(0))
  assert found[0] == want
  np.testing.assert_allclose(found[1], logprobs, atol=1e-4)


@pytest.mark.slow
def test_tokens_within_the_context_are_those_without_windows(model):
  options = dict(rng=3, max_new_tokens=CONTEXT - len(PROMPT))
  once = sample.generate(*model, [PROMPT], **options)
  tokens, _ = drawn(model, PROMPT, rng=3, max_new_tokens=150)
  assert tokens[:CONTEXT - len(PROMPT)] == once.tokens[0].tolist()
  assert len(tokens) == 150


@pytest.mark.slow
def test_each_window_draws_with_its_own_keys(model):
  def constant(logits_BV, counts_BV):  # Draws depend on the keys alone.
    return jnp.zeros_like(logits_BV)
  tokens, _ = drawn(model, [1] * 32, max_new_tokens=96, transforms=(constant,))
  windows = [tuple(tokens[i:i + 32]) for i in (0, 32, 64)]
  assert len(set(windows)) == 3


@pytest.mark.slow
def test_the_end_of_a_text_ends_the_windows(model):
  tokens, _ = drawn(model, PROMPT, max_new_tokens=500)
  end = tokens[100]
  found, _ = drawn(model, PROMPT, max_new_tokens=500, eos_id=end)
  assert found == tokens[:tokens.index(end) + 1]
  other = next(token for token in tokens if token != end)
  found, _ = drawn(model, PROMPT, max_new_tokens=500, eos_id=[end, other])
  assert found == tokens[:1 + min(tokens.index(end), tokens.index(other))]


def test_a_prompt_with_a_source_is_refused(model):
  prompt = prompts.Prompt([1], source=[2, 3])
  with pytest.raises(errors.InputError, match='reads the prompt both ways'):
    drawn(model, prompt, max_new_tokens=4)
