"""The ways in which the same questions are asked: files, templates, seeds."""
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import pathlib
from typing import Any

from lmjax.data.text import files
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import wording


@dataclasses.dataclass(frozen=True)
class Variant:
  """Questions of a file, in the words of a template.

  Attributes:
    asked: The questions.
    pool: The questions that solved examples are taken from.
    template: How they are worded.
    delimiter: Text between a question and its answer.
    seed: Seed of the draw of examples; None if they are not drawn.
    facts: The attributes of a report that tell it from others: `name`, `shots`,
      `seed` and `template`.
  """
  asked: Sequence[questions.Item]
  pool: Sequence[questions.Item]
  template: wording.Template
  delimiter: str
  seed: int | None
  facts: dict[str, Any]


def of(config: Any, read: Callable[..., list[questions.Item]]
       ) -> Iterator[Variant]:
  """Yields each file, template and seed.

  Args:
    config: A config with `paths`, `limit`, `delimiter`, `shots`, `template` and
      `more_templates`, such as `choices.Choices`.
    read: Function from (path, limit) to the questions of a file.
  """
  templates, shots = (config.template, *config.more_templates), config.shots
  given = shots.path and read(shots.path)
  for path in (files.expand(config.paths) if config.paths else ()):
    is_pool = shots.count and given is None
    found = read(path, None if is_pool else config.limit)
    for number, template in enumerate(templates):
      for seed in shots.drawn:
        yield Variant(
            found[:config.limit], given or found, template,
            config.delimiter if template.delimiter is None
            else template.delimiter, seed, dict(
                name=pathlib.Path(path).name.partition('.')[0],
                shots=shots.count, seed=seed,
                template=number if len(templates) > 1 else None))


def title(name: str, seed: int | None, template: int | None,
          kind: str = '') -> str:
  """Returns the name of questions with what tells a report from others.

  Args:
    name: Name of the questions.
    seed: Seed of the solved examples; None if they were not drawn.
    template: Number of the template; None if there is only one.
    kind: What is asked for, if there is something to say.

  Example:
    >>> title('piqa', 1234, None), title('lambada', None, 0, 'greedy')
    ('piqa (seed 1234)', 'lambada (greedy, template 0)')
  """
  parts = [kind, '' if seed is None else f'seed {seed}',
           '' if template is None else f'template {template}']
  said = ', '.join(part for part in parts if part)
  return name + (f' ({said})' if said else '')
