"""Each head has its loss and its decoding."""
import typing

from lmjax.tasks import tagging
from lmjax.tasks.taggers import choice
from lmjax.tasks.taggers import tags

MEMBERS = [name for name in vars(tags.Tagger) if not name.startswith('_')]


def test_every_head_has_a_tagger_and_flags_offer_it():
  assert len(MEMBERS) == 5
  for kind, tagger in choice.TAGGERS.items():
    assert choice.of(kind()) is tagger
    assert tagger.decode in typing.get_args(tags.Decode)
    assert all(callable(getattr(tagger, name)) for name in MEMBERS)
  assert set(typing.get_args(typing.get_type_hints(tagging.Tagging)['head'])
             ) == set(choice.TAGGERS)
