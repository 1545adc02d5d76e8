"""Questions of HellaSwag, as it is published."""
from collections.abc import Mapping
import re
from typing import Any

_MARKS = re.compile(r'\[.*?\]')  # Such as [header] and [step], of WikiHow.


def question(row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the fields `query`, `choices` and `gold` of a line of HellaSwag.

  The words are those of the lm-evaluation-harness: the activity comes first,
  the beginning of the last sentence gets a capital, and marks in brackets are
  removed. A value that is not a text is left as it is.

  Args:
    row: Has `endings` and `label`, which is a number or its digits; and
      `activity_label`, `ctx_a` and `ctx_b`, or only `ctx`.

  References:
    Zellers et al., HellaSwag, arXiv:1905.07830. Gao et al., A framework for
    few-shot language model evaluation, version 0.4.13, task hellaswag.

  Example:
    >>> question({'activity_label': 'Baking', 'ctx_a': 'He mixes.', 'label': 0,
    ...           'ctx_b': 'then he', 'endings': ['eats. [step] So.', 'runs.']})
    {'query': 'Baking: He mixes. Then he', 'choices': ['eats. So.', 'runs.'], \
'gold': 0}
  """
  parts = [row.get(name) for name in ('activity_label', 'ctx_a', 'ctx_b')]
  query = row.get('ctx')
  if all(isinstance(part, str) for part in parts):
    activity, before, last = parts
    query = f'{activity}: {before} {last.capitalize()}'
  endings, label = row['endings'], row.get('label')
  if isinstance(endings, list):
    endings = [_clean(ending) for ending in endings]
  if isinstance(label, str) and label.strip().isdecimal():
    label = int(label)
  return {'query': _clean(query), 'choices': endings, 'gold': label}


def _clean(text: Any) -> Any:
  """Returns a text without marks in brackets."""
  if not isinstance(text, str):
    return text
  text = _MARKS.sub('', text.strip().replace(' [title]', '. '))
  return text.replace('  ', ' ')
