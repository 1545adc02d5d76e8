"""Samples begin with BOS unless prompts are given."""
from lmjax.generation import samples
from lmjax.generation import transforms


def test_three_samples_from_the_beginning():
  assert samples.Samples().prompts == ('', '', '')
  assert samples.Samples().sampling == transforms.Sampling(
      temperature=0.8, top_p=0.95)
