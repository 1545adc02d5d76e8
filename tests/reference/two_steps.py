"""What an optimizer does to one kernel at its first two steps."""
import jax.numpy as jnp
import numpy as np

KERNEL = np.float32([[0.5, -2.0], [1.0, 3.0]])
GRADIENTS = np.float32([[[1.0, -2.0], [0.5, 4.0]], [[-3.0, 1.0], [2.0, 0.25]]])


def updates(optimizer):
  """Returns what it adds to `KERNEL` when it meets each of `GRADIENTS`."""
  params = {'dense': {'kernel': KERNEL}}
  built = optimizer.build(params, 2)
  state, found = built.init(params), []
  for gradient in GRADIENTS:
    update, state = built.update(
        {'dense': {'kernel': jnp.asarray(gradient)}}, state, params)
    found.append(update['dense']['kernel'])
  return np.array(found)
