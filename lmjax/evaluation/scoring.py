"""The config of how held-out text is scored."""
import dataclasses

from lmjax.core import errors
from lmjax.core import ranges


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Scoring:
  """How held-out text is scored.

  Attributes:
    context: Most tokens that a prediction sees; None takes the model's context.
    stride: Tokens by which the window moves over a long document; None takes
      half the context. A smaller stride is slower and gives every token more
      context. Has no effect if the state is carried, or on a model that fills
      in spans, whose windows do not overlap.
    batch_size: Rows scored at a time; affects the speed only.
    carried: Whether the state of a recurrent model is carried from window to
      window, so that each token sees its document from the start. Runs mixed
      with it that have no state are scored in windows.
    tokens: About how many tokens to score at the end; None scores all. Useful
      for likelihoods that need one pass per token, as of masked models.
  """
  context: ranges.Count | None = None
  stride: ranges.Count | None = None
  batch_size: ranges.Count = 32
  carried: bool = False
  tokens: ranges.Count | None = None

  def settled(self, context: int) -> 'Scoring':
    """Returns the same with values for a context and stride of None.

    Args:
      context: Most tokens that the model can see.

    Raises:
      InputError: If the stride exceeds the context.

    Example:
      >>> Scoring().settled(256).stride, Scoring(stride=9).settled(256).stride
      (128, 9)
    """
    context = self.context or context
    if self.stride is not None and self.stride > context:
      raise errors.InputError(
          f'scoring.stride = {self.stride} should be at most the context in '
          f'which text is scored, {context}, so that no token is left out; '
          f'set --config.scoring.stride={context} or less.')
    return dataclasses.replace(
        self, context=context, stride=self.stride or max(1, context // 2))
