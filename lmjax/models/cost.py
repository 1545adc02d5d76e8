"""What a model costs before it is run: parameters, FLOPs and bytes."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import trees
from lmjax.models import decoder


def shapes(config: decoder.DecoderConfig):
  """Returns the parameter tree as shapes and dtypes, computing nothing."""
  return jax.eval_shape(
      lambda: decoder.initial_params(config.build(), 0))


def parameters_by_part(params) -> dict[str, int]:
  """Returns the number of parameters under each top-level name.

  Blocks are added up as 'layers', whether they are looped or scanned.
  """
  parts = {}
  for path, leaf in trees.items(params):
    name = path.partition('/')[0]
    name = 'layers' if name.startswith('layer') else name
    parts[name] = parts.get(name, 0) + int(np.prod(leaf.shape))
  return parts


def flops_per_token(config: decoder.DecoderConfig, length: int) -> float:
  """Returns the FLOPs of training on one token, forward and backward.

  6 for every weight that a token is multiplied with, the head's included, and
  12 * L * N * H * T for attention, counted without the causal half that a
  kernel may skip. Recomputation under `remat` does not count: the figure is
  the model's, not the program's.

  References:
    Kaplan et al., Scaling Laws, arXiv:2001.08361, section 2.1; Chowdhery et
    al., PaLM, arXiv:2204.02311, appendix B (which counts attention likewise).
  """
  kernels = sum(
      int(np.prod(leaf.shape)) for path, leaf in trees.items(shapes(config))
      if path.endswith('kernel'))
  if config.tied:
    kernels += config.vocab_size * config.width
  mixer = config.block.mixer
  heads = mixer.num_heads * mixer.size(config.width)
  return 6.0 * kernels + 12.0 * config.num_layers * heads * length


@dataclasses.dataclass(frozen=True)
class Memory:
  """Estimated bytes of training at rest and at the peak of a step."""
  parameters: int
  gradients: int
  optimizer: int
  activations: int

  @property
  def total(self) -> int:
    return (self.parameters + self.gradients + self.optimizer
            + self.activations)


def memory(config: decoder.DecoderConfig, optimizer, batch_size: int,
           length: int) -> Memory:
  """Estimates the bytes that training holds, on one device.

  Args:
    config: The model.
    optimizer: An optax transformation, asked for the shapes of its state.
    batch_size: Rows that are differentiated at once (a microbatch).
    length: Tokens a row.

  Returns:
    Parameters, gradients and optimizer state exactly; activations as what the
    backward pass keeps under the `remat` policy, plus float32 logits twice.
  """
  params = shapes(config)
  state = jax.eval_shape(optimizer.init, params)
  tokens, width = batch_size * length, config.width
  item = jnp.dtype(config.dtype).itemsize
  mixer, mlp = config.block.mixer, config.block.mlp
  size = mixer.size(width)
  projected = (2 * mixer.num_heads + 2 * mixer.kv_heads) * size
  hidden = mlp.hidden * (3 if mlp.gated else 2)
  scores = 2 * 4 * mixer.num_heads * length  # Float32 logits and weights.
  kept = {  # Bytes a token that each block leaves for the backward pass.
      'full': item * width,
      'dots': item * (2 * width + projected + hidden) + scores // 2,
      'none': item * (6 * width + projected + 2 * hidden) + scores,
  }[config.remat]
  return Memory(
      parameters=_bytes(params), gradients=_bytes(params),
      optimizer=_bytes(state),
      activations=tokens * (kept * config.num_layers
                            + 2 * 4 * config.vocab_size))


def _bytes(tree) -> int:
  return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize
             for leaf in jax.tree.leaves(tree))
