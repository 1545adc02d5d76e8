"""An optimizer: the sign of the gradient."""
import dataclasses

import jax
import jax.numpy as jnp
import optax

from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignSGD(optimizer.Optimizer):
  """The sign of the gradient, with decoupled weight decay.

  References:
    Bernstein et al., signSGD, arXiv:1802.04434, algorithm 1.
  """
  learning_rate: float = 1e-3

  def rule(self, decay):
    return optax.chain(optax.stateless(
        lambda updates, params: jax.tree.map(jnp.sign, updates)), decay)
