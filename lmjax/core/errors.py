"""The one exception that means: what the user gave cannot be used."""


class InputError(ValueError):
  """Bad input, told in a sentence that names the field and the fix.

  Scripts print the sentence and exit with code 2; any other exception is a bug
  of ours and keeps its traceback.
  """


class RunError(RuntimeError):
  """A run that cannot go on although its input is right, told in a sentence.

  Such as steps that are bad one after another, or a disk that stays full.
  Scripts print the sentence and exit with code 1.
  """
