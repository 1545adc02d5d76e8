"""Questions without options: a model writes the answer.

A line of a JSON lines file is

  {"question": text, "answers": [text, ...]}

where `query` and `context` are synonyms of `question`; `answers` may be one
text, and `answer` and `continuation` are synonyms of it. Any of the answers is
right, and the first one is shown where the question is a solved example.
"""
from collections.abc import Callable, Sequence
import dataclasses
import json
import os
import time
from typing import Any, Literal, NamedTuple

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import rules
from lmjax.evaluation.choice import shots as shots_lib
from lmjax.evaluation.choice import variants
from lmjax.evaluation.choice import wording
from lmjax.evaluation.downstream import matching
from lmjax.evaluation import estimates
from lmjax.evaluation import report

# Returns the continuation of each prompt: of at most `limit` tokens, and before
# the first of the strings `stop`.
Write = Callable[[Sequence[str], int, tuple[str, ...]], list[str]]

_QUESTION = 'question', 'query', 'context'
_ANSWERS = 'answers', 'answer', 'continuation'
_HARNESS = rules.RULES['harness']


@dataclasses.dataclass(frozen=True)
@ranges.checked
class OpenAnswers:
  r"""Files of questions whose answers a model writes.

  Attributes:
    paths: JSON lines files or globs; each file is one result, or one for each
      template and seed.
    limit: Most questions to ask of each file; None asks all.
    tokens: Most tokens of an answer.
    stop: Strings that end an answer, where \n is a newline.
    match: The rules by which an answer equals a true one: 'squad' for English,
      'cmrc' for Chinese.
    delimiter: Text between the question and the answer of a solved example. A
      question ends without it.
    shots: Solved examples before each question.
    template: How a question is worded.
    more_templates: Other wordings, each of which gives a report of its own.
  """
  paths: tuple[user_paths.Path, ...] = ()
  limit: ranges.Count | None = None
  tokens: ranges.Count = 32
  stop: tuple[str, ...] = (r'\n',)
  match: Literal['squad', 'cmrc'] = 'squad'
  delimiter: str = ' '
  shots: shots_lib.Shots = shots_lib.Shots()
  template: wording.Template = wording.Template()
  more_templates: tuple[wording.Template, ...] = ()

  def evaluate(self, write: Write, **facts: Any) -> list['OpenReport']:
    """Returns a report for each file, template and seed.

    Args:
      write: Writes the answers.
      **facts: Further attributes of the reports.
    """
    return [self._report(write, variant, facts)
            for variant in variants.of(self, read)]

  def _report(self, write, variant, facts):
    """Returns the report on one way to ask."""
    began = time.perf_counter()
    stop = tuple(text.replace('\\n', '\n') for text in self.stop)
    prompts = self.prompts(variant)
    texts = [text.strip() for text in write(prompts, self.tokens, stop)]
    rows = [
        Row(prompt, item.row['answers'], text, *matching.score(
            matching.named(self.match), item.row['answers'], text))
        for prompt, item, text in zip(prompts, variant.asked, texts)]
    return OpenReport(
        rows=tuple(rows), match=self.match, tokens=self.tokens, stop=stop,
        seconds=time.perf_counter() - began, **variant.facts, **facts)

  def prompts(self, variant: variants.Variant) -> list[str]:
    """Returns the prompt of each question, with its solved examples."""
    say = variant.template.item
    return [
        self.shots.before(say(item), list(map(say, examples)), _HARNESS,
                          variant.delimiter).contexts[0]
        for item, examples in zip(variant.asked, self.shots.of(
            variant.asked, variant.pool, variant.seed))]


def read(path: str, limit: int | None = None) -> list[questions.Item]:
  """Returns the questions of a JSON lines file, with `answers` in their rows.

  Raises:
    InputError: If the file cannot be read, or a line is no question.
  """
  return questions.parsed(path, limit, _item)


def _item(row, source):
  """Returns the question of a line."""
  question = questions.text(questions.field(
      row, source, *_QUESTION), f'{source}: the question')
  answers = questions.field(row, source, *_ANSWERS)
  answers = [answers] if isinstance(answers, str) else answers
  if not (isinstance(answers, list) and answers and all(
      isinstance(each, str) and each.strip() for each in answers)):
    raise errors.InputError(
        f'{source}: answers should be a text or a list of texts that are not '
        f'empty; got {answers!r:.60}.')
  return questions.Item(
      (question,), (answers[0],), 0, source,
      row | {'question': question, 'answers': tuple(answers)})


class Row(NamedTuple):
  """An answer.

  Attributes:
    prompt: The prompt that the model continued.
    answers: The true answers.
    written: What it wrote.
    exact: 1 if that equals one of them, else 0.
    f1: The largest F1 with one of them, in [0, 1].
  """
  prompt: str
  answers: tuple[str, ...]
  written: str
  exact: float
  f1: float


@dataclasses.dataclass(frozen=True)
class OpenReport:
  """How well written answers match the true ones.

  Attributes:
    name: Name of the questions.
    rows: All answers, in the order of the file.
    match: The rules by which they are compared.
    tokens: Most tokens of an answer.
    stop: Strings that end an answer.
    seconds: Wall time, compilation included.
    shots: Number of solved examples before each question.
    seed: Seed by which they were drawn; None if they were not.
    template: Number of the template, from 0; None if there is only one.
    context: Most tokens that a prediction could see; of a longer prompt, the
      beginning is cut.
    tokenizer_hash: Hash of the tokenizer.
    parameters_hash: Hash of the parameters.
  """
  name: str
  rows: tuple[Row, ...]
  match: str
  tokens: int
  stop: tuple[str, ...]
  seconds: float
  shots: int = 0
  seed: int | None = None
  template: int | None = None
  context: int | None = None
  tokenizer_hash: str | None = None
  parameters_hash: str | None = None

  @property
  def title(self) -> str:
    """The name, with what tells this report from others of its questions."""
    return variants.title(self.name, self.seed, self.template)

  @property
  def exact(self) -> float:
    """Share of answers that equal a true one."""
    return self.metrics['exact'].value

  @property
  def f1(self) -> float:
    """Mean F1 of the answers."""
    return self.metrics['f1'].value

  @property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Both scores, with standard errors over questions."""
    return {name: estimates.mean([getattr(row, name) for row in self.rows])
            for name in ('exact', 'f1')}

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types, without the answers."""
    facts = {field.name: getattr(self, field.name)
             for field in dataclasses.fields(self) if field.name != 'rows'}
    return facts | {'questions': len(self.rows)} | estimates.to_dict(
        self.metrics)


def save(path: str | os.PathLike, reports: Sequence[OpenReport]) -> None:
  """Writes all answers as JSON lines, which appear when they are complete."""
  atomic.write(path, ''.join(
      json.dumps({'questions': one.title} | row._asdict(), ensure_ascii=False)
      + '\n' for one in reports for row in one.rows))


def table(reports: Sequence[OpenReport]) -> Any:
  """Returns a `rich` table with a row for each report."""
  cells = [
      [one.title, *(report.number(number, 4) for each in (
          one.metrics.values()) for number in (each.value, each.stderr)),
       str(one.shots), f'{len(one.rows):,}'] for one in reports]
  return report.grid(
      ['', 'exact', '±', 'F1', '±', 'shots', 'questions'], cells)
