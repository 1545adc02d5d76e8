"""Questions in the JSON files of SQuAD, XQuAD and CMRC 2018."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.core.files import user_paths
from lmjax.data.text import files
from lmjax.tasks.answering import passages


@dataclasses.dataclass(frozen=True)
class Squad:
  """Files in the format of SQuAD 1.1 or 2.0, which XQuAD and CMRC 2018 share.

  A file is an object whose `data` lists articles with a `title` and
  `paragraphs`; a paragraph has a `context` and its questions `qas`, each with
  `id`, `question`, `answers` and, in version 2.0, `is_impossible`.

  Attributes:
    paths: Files and globs, plain or `.gz`, in UTF-8.
    on_missing: How to handle an answer that its text does not have: 'fail', or
      'drop' the answer, and the question if no answer is left. An answer that
      is elsewhere in the text than its start says is always moved. Both are
      counted.

  References:
    Rajpurkar et al., arXiv:1606.05250 and arXiv:1806.03822 (SQuAD). Artetxe et
    al., arXiv:1910.11856 (XQuAD). Cui et al., arXiv:1810.07366 (CMRC 2018).
  """
  paths: tuple[user_paths.Path, ...]
  on_missing: passages.OnMissing = 'fail'

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[passages.Question]:
    """Yields the questions, article by article.

    Args:
      counts: Receives the numbers of moved and dropped answers.

    Raises:
      InputError: If a file is not in this format, or an answer is missing.
    """
    counts = collections.Counter() if counts is None else counts
    for path in files.expand(self.paths):
      for article in _list(_read(path, counts), 'data', path):
        title = article.get('title') if isinstance(article, dict) else None
        title = str(title) if title else None
        for paragraph in _list(article, 'paragraphs', f'{path}, {title!r}'):
          context = _text(paragraph, 'context', f'{path}, {title!r}')
          for asked in _list(paragraph, 'qas', f'{path}, {title!r}'):
            found = self._question(asked, context, title, path, counts)
            if found is not None:
              yield found

  def _question(self, asked, context, title, path, counts):
    name = asked.get('id') if isinstance(asked, dict) else None
    where = f'{path}, question {name!r}'
    text = _text(asked, 'question', where)
    answers = passages.given_answers(asked.get('answers'), where)
    is_impossible = asked.get('is_impossible')
    if is_impossible is not None and bool(is_impossible) == bool(answers):
      raise errors.InputError(
          f'{where}: is_impossible is {is_impossible}, but it has '
          f'{len(answers)} answers; correct one of them.')
    return passages.question(
        text, context, answers, where, title, None if name is None else str(
            name), on_missing=self.on_missing, counts=counts)


def _read(path: str, counts: collections.Counter) -> Any:
  """Returns the value of a JSON file."""
  try:
    return strict_json.loads(files.read(path, 'fail', counts), lenient=True)
  except ValueError as error:
    if isinstance(error, errors.InputError):
      raise
    raise errors.InputError(
        f'{path}: not JSON ({error}); for a file of JSON lines, set '
        'source.train.kind=JsonAnswers.') from None


def _list(tree: Any, field: str, where: str) -> list[Any]:
  """Returns a field that should be a list."""
  found = tree.get(field) if isinstance(tree, dict) else None
  if not isinstance(found, list):
    raise errors.InputError(
        f'{where}: not in the format of SQuAD, {{"data": [{{"paragraphs": '
        f'[{{"context": ..., "qas": [...]}}]}}]}}: {field!r} should be a list; '
        f'got {found!r:.60}.')
  return found


def _text(tree: Any, field: str, where: str) -> str:
  """Returns a field that should be text."""
  found = tree.get(field) if isinstance(tree, dict) else None
  if not isinstance(found, str):
    raise errors.InputError(
        f'{where}: {field!r} should be text; got {found!r:.60}.')
  return found
