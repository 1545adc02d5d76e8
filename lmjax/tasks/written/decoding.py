"""How the tokens of a text are chosen: greedily, or at random."""
from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import ranges
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import sample
from lmjax.generation import sampling as sampling_lib
from lmjax.generation import transforms

# decode(params, prompts, known_B, keys_B) -> {'tokens': tokens_BT, 'drawn':
# number of tokens of each row, the one that ends it included, 'finished':
# whether one ended it, 'logprob': the natural log-probability of its tokens
# under the model}. Ids below `known_B` are drawn, and draws depend on `keys_B`.
Decode = Callable[[Any, prompts_lib.Padded, jax.Array, jax.Array],
                  dict[str, jax.Array]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Greedy:
  """Takes the most probable token at every step; among ties, the lowest id.

  Attributes:
    max_length: Most tokens of a text, with the one that ends it; None means the
      last of `features.target_lengths`.
  """
  max_length: ranges.Count | None = None

  def build(self, model: nn.Module) -> Decode:
    """Returns the function that writes; see `Decode`."""
    return _drawn(model, transforms.Sampling(temperature=0.0), 0)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Sample:
  """Draws each token at random.

  The draws for a source depend on the source and the seed, not on the other
  texts of its batch.

  Attributes:
    temperature: Divides the logits: below 1, probable tokens are drawn more
      often.
    top_k: Number of most probable tokens to draw from; None takes all.
    top_p: Draws from the fewest tokens with this probability; None takes all.
    seed: Seed of the draws.
    max_length: See `Greedy`.

  References:
    Fan et al., arXiv:1805.04833 (top_k); Holtzman et al., arXiv:1904.09751
    (top_p).
  """
  temperature: ranges.Positive = 1.0
  top_k: ranges.Count | None = None
  top_p: ranges.PositiveShare | None = None
  seed: ranges.Seed = 0
  max_length: ranges.Count | None = None

  def build(self, model: nn.Module) -> Decode:
    """Returns the function that writes; see `Decode`."""
    return _drawn(model, transforms.Sampling(
        temperature=self.temperature, top_k=self.top_k, top_p=self.top_p),
                  self.seed)


Config = Greedy | Sample


def _drawn(model: nn.Module, how: transforms.Sampling, seed: int) -> Decode:
  """Returns the function that draws tokens one after the other."""
  def decode(params, prompts, known_B, keys_B):
    def known(logits_BV, counts_BV):  # A model may have more ids than text.
      del counts_BV
      ids_1V = jnp.arange(logits_BV.shape[1])[None]
      return jnp.where(ids_1V < known_B[:, None], logits_BV, -jnp.inf)

    folded_B = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.key(seed), keys_B)
    rows = sampling_lib.rows(how, folded_B, len(keys_B))
    none_E = jnp.array([-1])  # Each row has its own id that ends it.
    state = sample.start(model, params, prompts, rows, none_E, (known,))
    state = sample.advance(
        model, params, state, none_E, jnp.int32(prompts.room), (known,))
    real_BT = jnp.arange(prompts.room)[None] < state.drawn_B[:, None]
    return {
        'tokens': state.tokens_BT, 'drawn': state.drawn_B,
        'finished': state.finished_B & (state.drawn_B > 0),
        'logprob': jnp.sum(
            jnp.where(real_BT, state.logprobs_BT, 0.0), axis=1)}
  return decode
