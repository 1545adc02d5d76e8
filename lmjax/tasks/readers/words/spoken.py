"""The three splits of a task on utterances with intents and slots."""
import collections
import dataclasses

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.tasks.readers import division
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks.readers.texts import labels as labels_lib
from lmjax.tasks.readers.words import json_utterances
from lmjax.tasks.readers.words import tagged
from lmjax.tasks.readers.words import tfds_utterances
from lmjax.tasks.readers.words import utterance_folder
from lmjax.tasks.taggers import sentences
from lmjax.tasks.taggers import tag_schemes
from lmjax.tasks import task as task_lib

Reader = (utterance_folder.UtteranceFolder | json_utterances.JsonUtterances
          | tfds_utterances.TfdsUtterances)
SCHEME = tag_schemes.SCHEMES['entities']


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Spoken:
  """The three splits of a task on utterances, each from its own reader.

  Attributes:
    train: The training utterances.
    test: The test utterances; None holds out some of `train`.
    valid: The utterances for early stopping; None holds out some of `train`.
    held_out: The expected fraction of `train` that is held out for each split
      that is None. A hash of the words determines the split of an utterance, so
      copies stay together.
    drop_shared: Whether training utterances that are also in another split are
      dropped. A note has their number in both cases.
    on_bad_tags: What happens to tags that are not valid; see `tagged.Tagged`.
  """
  train: Reader
  test: Reader | None = None
  valid: Reader | None = None
  held_out: ranges.Rate = 0.1
  drop_shared: bool = True
  on_bad_tags: tag_schemes.OnBadTags = 'repair'

  def __post_init__(self):
    tagged.check('entities', self.on_bad_tags)

  def read(self) -> task_lib.Splits:
    """Returns the splits; `parts` have the names of intents, and those of tags.

    Raises:
      InputError: If a file or split is empty or malformed, training has fewer
        than two intents or no slot, or does not have an intent of another
        split.
    """
    given, notes = division.collect(_utterances, self)
    given, more = tagged.settled(given, SCHEME, self.on_bad_tags)
    counted = [utterance.label for utterance in given['train']]
    intents = labels_lib.ordered(counted)
    if len(intents) < 2:
      raise errors.InputError(
          f'Utterances need at least 2 intents; training has {intents}. To tag '
          'words alone, set --config.task.kind=Tagging.')
    for name in ('valid', 'test'):
      labelled.check_labels(name, given[name] or (), intents)
    divided = division.divide(
        given, held_out=self.held_out, drop_shared=self.drop_shared,
        notes=notes)
    tags, (told, *unseen) = tagged.named(divided, SCHEME)
    return task_lib.Splits(
        divided.train, divided.valid, divided.test,
        notes=(labels_lib.told(counted, 'intents'), told, *divided.notes,
               *more, *unseen),
        parts=tuple(task_lib.Splits((), (), (), names)
                    for names in (intents, tags)))


def _utterances(name: str, reader: Reader, counts: collections.Counter
                ) -> list[sentences.Utterance]:
  """Returns the utterances of a split."""
  found = list(reader.examples(counts))
  if not found:
    raise errors.InputError(f'The {name} split, {reader}, has no utterance.')
  return found
