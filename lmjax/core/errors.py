"""Exceptions whose message is meant for the user, without a traceback."""


class InputError(ValueError):
  """Invalid input; the message is a sentence that names the field and the fix.

  Scripts print the sentence and exit with code 2. Exceptions other than
  `InputError` and `RunError` are bugs of lmjax and show their traceback.
  """


class RunError(RuntimeError):
  """A run with valid input cannot continue; the message is a sentence.

  Examples are too many consecutive bad steps and a disk that stays full.
  Scripts print the sentence and exit with code 1.
  """


class Stopped(SystemExit):
  """A signal ended the process where there was nothing to save.

  Attributes:
    code: The exit code.
    sentence: The reason, for the other processes of a run.
    signal: The number of the signal.
  """

  def __init__(self, sentence: str, code: int, signal: int):
    super().__init__(code)
    self.sentence = sentence
    self.signal = signal
