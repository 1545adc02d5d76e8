"""Muon: orthogonalised momentum for hidden matrices."""
import dataclasses

import jax
import optax

from lmjax.core import ranges
from lmjax.core import trees
from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Muon(optimizer.Optimizer):
  """Orthogonalised momentum for hidden matrices, Adam for everything else.

  Updates are scaled to the root mean square of Adam's updates, so that both use
  the same learning rate and weight decay.

  References:
    Jordan et al., Muon: an optimizer for hidden layers in neural networks,
    2024; Liu et al., Muon is Scalable for LLM Training, arXiv:2502.16982,
    eq. 4.

  Attributes:
    momentum: Decay rate of the momentum of the orthogonalised matrices.
    iterations: Newton-Schulz steps that orthogonalise a matrix.
    b1: Decay rate of Adam's average of gradients.
    b2: Decay rate of Adam's average of squared gradients.
    eps: Added to the root of the average of squares, to avoid division by 0.
    hidden: Pattern of the paths of the matrices to orthogonalise. A matrix is
      the last two axes; earlier axes, as of scanned layers, are a batch.
    rms: Root mean square of an orthogonalised update.
  """
  momentum: ranges.Rate = 0.95
  iterations: ranges.Count = 5
  rms: ranges.Positive = 0.2
  b1: ranges.Rate = 0.9
  b2: ranges.Rate = 0.95
  eps: ranges.Positive = 1e-8
  weight_decay: ranges.NonNegative = 0.1
  hidden: str = r'(^|/)(layers|layer_\d+)/.*kernel$'

  def rule(self, decay):
    def labels(params):
      matched = trees.match(params, [(self.hidden, 'muon'), ('.*', 'adam')])
      return jax.tree.map(
          lambda label, p: label if p.ndim > 1 else 'adam', matched, params)

    return optax.chain(
        optax.partition({
            'muon': optax.chain(self._orthogonalise(), self._rescale()),
            'adam': optax.scale_by_adam(self.b1, self.b2, self.eps),
        }, labels), decay)

  def _orthogonalise(self):
    axes = optax.contrib.MuonDimensionNumbers(
        reduction_axis=-2, output_axis=-1)
    return optax.contrib.scale_by_muon(
        beta=self.momentum, ns_steps=self.iterations,
        weight_dimension_numbers=lambda updates: jax.tree.map(
            lambda _: axes, updates))

  def _rescale(self):  # An orthogonal [n, m] has RMS 1 / sqrt(max(n, m)).
    return optax.stateless(lambda updates, params: jax.tree.map(
        lambda u: u * (self.rms * max(u.shape[-2:]) ** 0.5), updates))
