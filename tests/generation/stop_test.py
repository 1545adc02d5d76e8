"""Stop strings in one piece and in many."""
import itertools

import pytest

from lmjax.core import errors
from lmjax.generation import stop


def run(strings, pieces):
  stopper = stop.Stopper(strings)
  out = [stopper.feed(piece) for piece in pieces]
  return ''.join(out) + stopper.flush(), stopper.stopped


@pytest.mark.parametrize('strings, text, want, stopped', [
    (['END'], 'in the ENDING', 'in the ', True),
    (['END'], 'in the EN', 'in the EN', False),
    (['abab'], 'abaabab!', 'aba', True),
    (['aab'], 'aaab', 'a', True),
    (['abcd', 'c'], 'abcd', 'ab', True),  # What is complete first.
    (['cd', 'abcd'], 'xabcd', 'x', True),  # The longest of those.
    (['\n\n', '\nUser:'], 'Hi\nUs\nUser: ho', 'Hi\nUs', True),
    ([], 'anything', 'anything', False),
])
def test_the_text_does_not_depend_on_its_pieces(strings, text, want, stopped):
  places = range(1, len(text))
  for count in (0, 1, 2, len(places)):
    for cuts in itertools.combinations(places, count):
      edges = [0, *cuts, len(text)]
      pieces = [text[a:b] for a, b in zip(edges, edges[1:])]
      assert run(strings, pieces) == (want, stopped), pieces


def test_no_part_of_a_stop_string_is_shown():
  stopper = stop.Stopper(['<|end|>'])
  assert stopper.feed('bye <|en') == 'bye '
  assert stopper.feed('ough ') == '<|enough '
  assert stopper.feed('<|end|> more') == ''
  assert stopper.stopped and stopper.feed('more') == '' == stopper.flush()


def test_an_empty_stop_string_is_refused():
  with pytest.raises(errors.InputError, match='stop string is empty'):
    stop.Stopper(['x', ''])
