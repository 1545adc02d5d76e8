"""How a question is worded: templates, letters for options, and empty content.

References:
  Zhao et al., Calibrate Before Use, arXiv:2102.09690. Holtzman et al., Surface
  Form Competition, arXiv:2104.08315. Zheng et al., Large Language Models Are
  Not Robust Multiple Choice Selectors, arXiv:2309.03882.
"""
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import string
from typing import Any, NamedTuple

from lmjax.core import config
from lmjax.core import errors
from lmjax.evaluation.choice import questions

_OPTIONS = 'options'
_LETTERED = '\n{options}\nAnswer:'  # Follows a context without a template.


class Form(NamedTuple):
  """One way to ask a question.

  Attributes:
    asked: The question as it is asked; its options are in the order of the
      file, whatever their letters are.
    empty: The question with the same continuations after each of some texts
      without content.
  """
  asked: questions.Item
  empty: tuple[questions.Item, ...] = ()


@dataclasses.dataclass(frozen=True)
class Template:
  r"""How the line of a question becomes its context and its continuations.

  Attributes:
    context: The context, with fields of the line in braces, such as
      'Question: {query}\nAnswer:', where \n is a newline; {context} and {query}
      are also the context that is read without a template, and {options} is
      all options, one a line, as A. ... B. ...; {{ and }} are braces. None
      takes the context as it is, followed by the options if they have letters.
    letters: Whether the continuations are the letters of the options instead of
      their texts.
    rotations: Whether a question of K lettered options is asked K times, with
      each cyclic permutation of the options. The probabilities of an option are
      then averaged.
    delimiter: Text between context and continuation; None takes the one of the
      questions.
  """
  context: str | None = None
  letters: bool = False
  rotations: bool = False
  delimiter: str | None = None

  def __post_init__(self):
    names = [] if self.context is None else _names(self.context)
    if self.rotations and not self.letters:
      raise errors.InputError(
          'template.rotations permutes the letters of options; set '
          'template.letters=true as well.')
    if self.letters and self.context is not None and _OPTIONS not in names:
      raise errors.InputError(
          'template.letters answers with the letters of options, so '
          'template.context should have {options}, which lists them; got '
          f'{self.context!r}.')

  def forms(self, item: questions.Item, contents: Sequence[str] = ()
            ) -> list[Form]:
    """Returns the ways in which a question is asked, at least one.

    Args:
      item: The question.
      contents: Texts without content, such as 'N/A', which take the place of
        every field, or of the context if there is no template. A question
        with a single option has nothing to calibrate, and no such texts.

    Raises:
      InputError: If the line lacks a field, or its options have no letters.
    """
    size = len(item.continuations)
    turns = range(size) if self.rotations else (0,)
    contents = contents if size > 1 else ()
    return [
        Form(self.item(item, turn),
             tuple(self.item(item, turn, content) for content in contents))
        for turn in turns]

  def item(self, item: questions.Item, turn: int = 0,
           content: str | None = None) -> questions.Item:
    """Returns a question in the words of the template.

    Args:
      item: The question.
      turn: By how many places the lettered options are moved forward.
      content: Replaces every field, if it is not None.
    """
    texts = item.continuations
    if self.letters and (
        len(set(item.contexts)) > 1 or not 1 < len(texts) <= 26):
      raise errors.InputError(
          f'{item.source}: template.letters needs 2 to 26 options that follow '
          f'one context; the question has {len(texts)} options and '
          f'{len(set(item.contexts))} contexts.')
    order = [(i - turn) % len(texts) for i in range(len(texts))]  # By place.
    letter = {option: string.ascii_uppercase[place % 26]
              for place, option in enumerate(order)}
    listed = '\n'.join(
        f'{letter[i]}. {texts[i] if content is None else content}'
        for i in order)
    contexts = tuple(
        self._context(item, context, listed, content)
        for context in item.contexts)
    return dataclasses.replace(
        item, contexts=contexts, continuations=tuple(
            letter[i] if self.letters else text
            for i, text in enumerate(texts)))

  def _context(self, item, context, listed, content):
    """Returns one context, of the question or of a text without content."""
    template = self.context
    if template is None:
      plain = context if content is None else content
      return (plain.rstrip() + _LETTERED.format(options=listed)
              if self.letters else plain)
    fields = {**item.row, 'context': context, 'query': context,
              _OPTIONS: listed}
    for name in _names(template):
      if name not in fields:
        raise errors.InputError(
            f'{item.source}: the template has {{{name}}}, but the line has '
            f'{sorted(item.row)[:20]}; write {{{{ for a brace.'
            f'{config.near(name, fields)}')
    return _filled(template, fields, item.source, content)


def _filled(template: str, fields: Mapping[str, Any], source: str,
            content: str | None) -> str:
  """Returns a template with its fields filled in."""
  out = []
  for text, name in _parts(template):
    out.append(text)
    if name is None:
      continue
    value = fields[name]
    if content is not None and name != _OPTIONS:
      value = content
    if not isinstance(value, str | int | float):
      raise errors.InputError(
          f'{source}: field {name!r} of the template should be a text or a '
          f'number; got {value!r:.60}. {{options}} lists the options.')
    out.append(str(value))
  return ''.join(out)


def _names(template: str) -> list[str]:
  return [name for _, name in _parts(template) if name is not None]


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
  """Yields (text, name of the field after it or None).

  Raises:
    InputError: If a brace is alone, or holds anything but a name.
  """
  template = template.replace('\\n', '\n')  # As flags spell it.
  try:
    found = list(string.Formatter().parse(template))
  except ValueError as error:
    raise errors.InputError(
        f'template.context={template!r} has a brace that is alone ({error}); '
        'write {{ or }} for a brace.') from None
  for text, name, form, conversion in found:
    if name is not None and (
        form or conversion or not name or set(name) & set('.[]')):
      raise errors.InputError(
          f'template.context={template!r}: braces should hold the name of a '
          f'field and nothing else; got {name!r}. Write {{{{ for a brace.')
    yield text, name
