"""States of a dialogue as text: what the user wants, slot by slot."""
from collections.abc import Mapping, Sequence

import numpy as np

from lmjax.evaluation import estimates

REPLY = ' => '  # Between a state and the reply after it.
_NONE = 'nothing'  # The text of a state without slots.


def text(state: Mapping[str, str]) -> str:
  """Returns a state as text, with slots in the order of their names.

  Args:
    state: The value of each slot; slots without a value are left out.

  Raises:
    ValueError: If a slot or a value has a mark that separates them.

  Example:
    >>> text({'food': 'thai', 'area': 'north'})
    'area = north; food = thai'
  """
  pairs = []
  for slot, value in sorted(state.items()):
    slot, value = (' '.join(each.split()) for each in (slot, value))
    for each in (slot, value):
      if any(mark in each for mark in ('=', ';')):
        raise ValueError(
            f'{each!r} has a = or a ;, which separate slots and values')
    if value:
      pairs.append(f'{slot} = {value}')
  return '; '.join(pairs) or _NONE


def read(written: str) -> dict[str, str]:
  """Returns the state at the beginning of a text, in lower case.

  What has not the form of `text` is left out, as a model may write anything.
  """
  found = {}
  for pair in written.partition(REPLY.strip())[0].split(';'):
    slot, equals, value = pair.partition('=')
    slot, value = (' '.join(each.lower().split()) for each in (slot, value))
    if equals and slot and value:
      found[slot] = value
  return found


def scores(texts: Sequence[str], references: Sequence[str]
           ) -> dict[str, estimates.Estimate]:
  """Returns how states match their references, in points from 0 to 100.

  'joint_goal' is the share of states all of whose slots and values are right,
  and 'slot_f1' the F1 of pairs of a slot and its value over all states; where
  there is none in either, it is not known.

  Args:
    texts: Texts that begin with a state.
    references: The right text for each.

  References:
    Henderson et al., The Second Dialog State Tracking Challenge, 2014, section
    3.2 (joint goals).
  """
  both = [[set(read(each).items()) for each in pair]
          for pair in zip(texts, references, strict=True)]
  right_N = np.array([len(said & wanted) for said, wanted in both])
  sizes_N = np.array([len(said) + len(wanted) for said, wanted in both])
  f1 = estimates.ratio(200.0 * right_N, sizes_N)
  if not sizes_N.sum():
    f1 = estimates.Estimate(None, why='no state has a slot')
  return {'joint_goal': estimates.mean(
      [100.0 * (said == wanted) for said, wanted in both]), 'slot_f1': f1}
