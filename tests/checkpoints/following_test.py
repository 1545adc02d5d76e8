"""A process that reads what another one saves."""
import jax.numpy as jnp
import optax

from lmjax.checkpoints import following as following_lib
from lmjax.checkpoints import store
from lmjax.training import step


def test_it_reads_and_never_writes(tmp_path):
  state = step.init_state({'a': jnp.arange(3.0)}, optax.sgd(0.1), 0)
  with following_lib.Following(tmp_path / 'kept') as following:
    following.preflight(state)
    following.save(1, state)
    assert not (tmp_path / 'kept').exists()
    with store.Checkpoints(tmp_path / 'kept') as saved:
      saved.save(1, state)
    assert following.restore_latest(state).step == 1
