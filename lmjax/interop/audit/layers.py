"""Readings of norms and feed-forward networks."""
from collections.abc import Iterator
import dataclasses
from typing import Any

from lmjax.interop.audit import attention
from lmjax.interop.audit import numbers
from lmjax.nn import layers
from lmjax.nn.mixture import experts

EPSILONS = (1e-12, 1e-8, 1e-6, 1e-5, 1e-3)


def _epsilon(part, config, length):
  del config, length
  for epsilon in numbers.others(part.epsilon, EPSILONS):
    yield 'epsilon', dataclasses.replace(part, epsilon=epsilon)


def _layer_norm(part, config, length):
  yield from _epsilon(part, config, length)
  if part.scale and not part.bias:  # It then has the parameters of an RMSNorm.
    yield '', layers.RMSNorm(epsilon=part.epsilon)


def _rms_norm(part, config, length):
  yield from _epsilon(part, config, length)
  yield 'around_one', dataclasses.replace(
      part, around_one=not part.around_one)
  if part.axes == 1 and not part.around_one:
    yield '', layers.LayerNorm(epsilon=part.epsilon, bias=False)


def activations(part: Any, config: Any, length: int
                ) -> Iterator[tuple[str, Any]]:
  """Yields a part with each of the other activations."""
  del config, length
  for name in layers.ACTIVATIONS:
    if name != part.activation:
      yield 'activation', dataclasses.replace(part, activation=name)


def _experts(part, config, length):
  yield from activations(part, config, length)
  for count in (part.top_k - 1, part.top_k + 1, part.top_k * 2):
    if 1 <= count <= part.num_experts and count != part.top_k and not (
        count == 1 and part.normalize):
      yield 'top_k', dataclasses.replace(part, top_k=count)
  if part.top_k > 1:
    yield 'normalize', dataclasses.replace(part, normalize=not part.normalize)


READINGS = {
    layers.LayerNorm: _layer_norm, layers.RMSNorm: _rms_norm,
    layers.MLPConfig: activations,
    experts.MixtureOfExperts: _experts}


def _gate(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """The gate and the activated projection exchanged."""
  if config.traits.blocks and config.block.mlp.gated:
    yield 'mlp.gate', 'exchanged with mlp.in', config, attention.renamed(
        params, {'in': 'gate', 'gate': 'in'}, within=('mlp', 'experts'))


WHOLE = (_gate,)
