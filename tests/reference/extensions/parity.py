"""A kind of task: whether a bit string has an odd number of ones."""
import dataclasses

from lmjax.tasks import classification
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Parity(classification.Classification):
  """Bit strings, which a model classifies as even or odd; a `task.Task`."""
  bits: int = 7

  def read(self) -> task_lib.Splits:
    """Returns all strings; two of every six are held out."""
    texts = [format(i, f'0{self.bits}b') for i in range(2**self.bits)]
    examples = [task_lib.Example(
        text, ('even', 'odd')[text.count('1') % 2], f'number {i}')
                for i, text in enumerate(texts)]
    test, valid = examples[4::6], examples[5::6]
    train = [e for i, e in enumerate(examples) if i % 6 < 4]
    return task_lib.Splits(train, valid, test, ('even', 'odd'))
