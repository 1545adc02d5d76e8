"""The samples that a run shows at its end."""
import dataclasses

from lmjax.generation import transforms


@dataclasses.dataclass(frozen=True)
class Samples:
  """The samples a run shows at its end.

  Attributes:
    prompts: What they begin with; an empty one begins with BOS.
    max_new_tokens: Their length.
    sampling: How tokens are drawn.
    seed: Of the draws.
  """
  prompts: tuple[str, ...] = ('', '', '')
  max_new_tokens: int = 80
  sampling: transforms.Sampling = transforms.Sampling(
      temperature=0.8, top_p=0.95)
  seed: int = 0
