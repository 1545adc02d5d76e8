"""Prints how a run continues prompts: to the terminal, or as JSON lines."""
from collections.abc import Sequence
import itertools
import json
import sys
from typing import Any, TextIO

from lmjax.core import terminal
from lmjax.generation import marked
from lmjax.generation import streaming
from lmjax.recipes.loaded import asking
from lmjax.recipes.loaded import chatting


def generate(trained: Any, prompts: Sequence[Any], file: TextIO = sys.stdout, *,
             conversations: Sequence[chatting.Conversation] | None = None,
             **options: Any) -> None:
  """Writes a JSON line for each sample.

  Args:
    trained: The run, a `trained.Trained`.
    prompts: The prompts, texts.
    file: The file.
    conversations: The conversations whose ids the prompts are, or None.
    **options: Arguments of `asking.completions`.
  """
  for index, found in asking.completions(trained, prompts, **options):
    asked = {'prompt': prompts[index]} if conversations is None else {
        'messages': conversations[index]}
    line = {'index': index} | asked | vars(found)
    print(json.dumps(line), file=file, flush=True)


def show(trained: Any, prompt: Any, *, seed: int = 0, num_samples: int = 1,
         conversations: Sequence[chatting.Conversation] | None = None,
         **options: Any) -> None:
  """Prints continuations as they are drawn.

  Args:
    trained: The run, a `trained.Trained`.
    prompt: The prompt, a text, which is printed too.
    seed: Seed of the draws.
    num_samples: Number of continuations.
    conversations: The conversation whose ids the prompt is, of which only the
      reply is printed; or None.
    **options: Arguments of `asking.options`.
  """
  full, before = 0, [prompt] if conversations is None else []
  options = asking.options(trained, **options)
  for i, key in enumerate(streaming.keys(seed, 1, num_samples)):
    pieces = streaming.Stream(
        trained.model, trained.placed, trained.tokenizer, prompt,
        rng=key[None], **options)
    if num_samples > 1:
      print(f'--- sample {i + 1} of {num_samples}')
    apart = isinstance(trained.tokenizer, marked.Marked)  # Not one text.
    for piece in itertools.chain(before, ['\n' * apart], pieces):
      print(terminal.printable(piece), end='', flush=True)
    print()
    full += pieces.completion.ended == 'context'
  asking.tell_full(trained, full, num_samples)
