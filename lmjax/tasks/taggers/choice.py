"""The heads that tag words, each with its loss and its decoding."""
from typing import Union

from lmjax.models.heads import chain as chain_lib
from lmjax.models.heads import token
from lmjax.tasks.taggers import chain
from lmjax.tasks.taggers import independent
from lmjax.tasks.taggers import tags

TAGGERS = {
    token.TokenConfig: independent.Independent(),
    chain_lib.CRFConfig: chain.Chain(),
}
Head = Union[tuple(TAGGERS)]


def of(head: Head) -> tags.Tagger:
  """Returns the loss and the decoding of a head."""
  return TAGGERS[type(head)]
