"""How held-out text is scored: the options of all who score it."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Scoring:
  """How held-out text is scored.

  Attributes:
    context: Tokens a prediction may see; None takes the model's context.
    stride: Tokens between windows over a long document: smaller is slower and
      leaves every token more context. None takes half the context.
    batch_size: Rows at a time; changes the speed only.
    carried: Whether the state of a recurrent model is carried from window to
      window, so that each token sees its document from the start; runs mixed
      with it that have no state are scored in windows.
    tokens: About how many tokens are scored at the end; None scores all. For
      likelihoods that take a pass a token, such as a masked model's.
  """
  context: int | None = None
  stride: int | None = None
  batch_size: int = 32
  carried: bool = False
  tokens: int | None = None

  def settled(self, context: int) -> 'Scoring':
    """Returns the same with the context and the stride that were left open.

    Args:
      context: Tokens that the model can see.

    Example:
      >>> Scoring().settled(256).stride, Scoring(stride=9).settled(256).stride
      (128, 9)
    """
    context = self.context or context
    return dataclasses.replace(
        self, context=context, stride=self.stride or max(1, context // 2))
