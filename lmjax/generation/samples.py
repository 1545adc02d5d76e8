"""The config of the samples that a run shows at its end."""
import dataclasses

from lmjax.core import ranges
from lmjax.generation import transforms


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Samples:
  """The samples that a run shows at its end.

  Attributes:
    prompts: Texts to continue; an empty one starts from BOS.
    max_new_tokens: Most tokens of a sample; fewer if the context is full
      before.
    sampling: How tokens are drawn.
    seed: Seed of the draws.
  """
  prompts: tuple[str, ...] = ('', '', '')
  max_new_tokens: ranges.Count = 80
  sampling: transforms.Sampling = transforms.Sampling(
      temperature=0.8, top_p=0.95)
  seed: ranges.Seed = 0
