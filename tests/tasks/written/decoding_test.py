"""Texts are written token by token, each row by itself."""
import numpy as np
import pytest

from lmjax.generation import sample
from lmjax.generation import transforms
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.tasks.written import decoding
from lmjax.tasks.written import sides
from lmjax.testing import hot

TINY = decoders.gpt2(16, 1, 2, vocab_size=11, context=32)
SOURCES = [np.array(x, np.int32) for x in ([3, 4, 5], [6], [8, 9, 10, 7, 2])]
END, ROOM = 1, 6


def written(how, sources, rows, width, known=11):
  batch = sides.Joined().batch(sources, [np.array([], np.int32)] * len(sources),
                               [], (rows, width, 2))
  keys = np.array([int(row.sum()) for row in sources], np.uint32)
  pad = lambda x: np.pad(x, (0, rows - len(x)))
  prompts = sides.Joined().prompts(
      batch | {'ends': np.full(rows, END)},
      pad(np.ones(len(sources), np.int32)), ROOM)
  model, params = TINY.build(), hot.hot_params(cost.shapes(TINY), std=0.4)
  found = how.build(model)(params, prompts, np.full(rows, known), pad(keys))
  return [(found['tokens'][i, :found['drawn'][i]].tolist(),
           float(found['logprob'][i]), bool(found['finished'][i]))
          for i in range(rows)]


@pytest.mark.slow  # 5 s: four programs are compiled.
@pytest.mark.parametrize('how', [
    decoding.Greedy(), decoding.Sample(top_k=5, seed=3)])
def test_a_text_does_not_depend_on_its_batch_or_padding(how):
  together = written(how, SOURCES, 4, 8)
  assert together[3] == ([], 0.0, False)  # A row of padding.
  for place, source in enumerate(SOURCES):
    alone = written(how, [source], 1, 5)[0]
    assert alone[::2] == together[place][::2]
    assert alone[1] == pytest.approx(together[place][1], rel=1e-4)


@pytest.mark.slow  # 3 s: the same, by the loop that samples prompts.
def test_greedy_is_the_best_token_at_every_step():
  model, params = TINY.build(), hot.hot_params(cost.shapes(TINY), std=0.4)
  expected = sample.generate(
      model, params, SOURCES, max_new_tokens=ROOM, eos_id=END,
      sampling=transforms.Sampling(temperature=0.0))
  for found, tokens, logprobs, finished in zip(
      written(decoding.Greedy(), SOURCES, 4, 8), expected.tokens,
      expected.logprobs, expected.finished):
    assert found[0] == tokens.tolist() and found[2] == finished
    assert found[1] == pytest.approx(float(logprobs.sum()), rel=1e-4)


@pytest.mark.slow  # 2 s: one program is compiled.
def test_ids_that_the_tokenizer_lacks_are_never_drawn():
  some = written(decoding.Sample(temperature=100.0), SOURCES, 4, 8, known=3)
  assert max(max(tokens) for tokens, *_ in some[:3]) == 2


def test_sampling_options_are_checked():
  for wrong in (dict(temperature=0.0), dict(top_p=1.5), dict(top_k=0)):
    with pytest.raises(ValueError, match='should be'):
      decoding.Sample(**wrong)
