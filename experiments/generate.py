r"""Continues prompts with a model that experiments/pretrain.py trained.

  python experiments/generate.py --workdir=runs/demo --prompt='The '
  python experiments/generate.py --workdir=runs/demo --num_samples=4 --stop=. \
      --prompts_file=prompts.txt --temperature=0.8 --out=out.jsonl
  python experiments/generate.py --workdir=runs/t5 --specials \
      --prompt='The <extra_id_0> sat on the <extra_id_1>.'
  python experiments/generate.py --workdir=runs/smol --chat --temperature=0 \
      --system='Answer in one sentence.' --prompt='Who wrote Faust?'

A single prompt streams to the terminal. Prompts from a file (- is standard
input) become JSON lines of what was drawn. Each line of the file is a prompt,
which may be empty; in a .jsonl file, the field "prompt" of an object is. A
model with an encoder reads the prompt there, as it read text in training or, if
it was imported, as its publisher meant it.

With --chat, a prompt is what a user says, and is written as a conversation by
the chat template of an imported run; --system says how to answer. The field
"messages" of a .jsonl file has a whole conversation: [{"role": "user",
"content": "Hello"}, ...]. Only the template writes special tokens.

Tokens are drawn as for the run's own samples (config.samples.sampling), except
for the options given here. A text ends where the model's context is full. With
--window it goes on: the last half of the context becomes the prompt of a new
window, whose positions start from 0 again, and a prompt that is too long is cut
to its last part.
"""
import dataclasses
import itertools
import json
import sys

from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.core import terminal
from lmjax.generation import marked
from lmjax.generation import streaming
from lmjax.recipes import given
from lmjax.recipes.loaded import asking
from lmjax.recipes.loaded import chatting
from lmjax.recipes.loaded import trained as trained_lib


def generate(trained: trained_lib.Trained, prompts: list[str],
             file=sys.stdout, *, conversations=None, **options) -> None:
  """Writes a JSON line for each sample; options as in `asking.completions`.

  Args:
    trained: The run.
    prompts: The prompts, texts.
    file: The file.
    conversations: The conversations whose ids the prompts are, or None.
    **options: Further options.
  """
  for index, found in asking.completions(trained, prompts, **options):
    asked = {'prompt': prompts[index]} if conversations is None else {
        'messages': conversations[index]}
    line = {'index': index} | asked | vars(found)
    print(json.dumps(line), file=file, flush=True)


def show(trained: trained_lib.Trained, prompt: str, *, seed: int = 0,
         num_samples: int = 1, conversations=None, **options) -> None:
  """Prints continuations as they are drawn; options as in `asking.options`."""
  full, shown = 0, [prompt] if conversations is None else []
  options = asking.options(trained, **options)
  for i, key in enumerate(streaming.keys(seed, 1, num_samples)):
    pieces = streaming.Stream(
        trained.model, trained.placed, trained.tokenizer, prompt,
        rng=key[None], **options)
    if num_samples > 1:
      print(f'--- sample {i + 1} of {num_samples}')
    apart = isinstance(trained.tokenizer, marked.Marked)  # Not one text.
    for piece in itertools.chain(shown, ['\n' * apart], pieces):
      print(terminal.printable(piece), end='', flush=True)
    print()
    full += pieces.completion.ended == 'context'
  asking.tell_full(trained, full, num_samples)


def main(_):
  if (FLAGS.prompt is None) == (FLAGS.prompts_file is None):
    raise errors.InputError('Give either --prompt or --prompts_file.')
  options = {name: FLAGS[name].value for name in (
      'max_new_tokens', 'stop', 'seed', 'num_samples', 'window')}
  options |= _SAMPLING()
  prompts = _chats() if FLAGS.chat else (
      [FLAGS.prompt] if FLAGS.prompts_file is None
      else _READ(FLAGS.prompts_file))
  trained = trained_lib.load(FLAGS.workdir, FLAGS.step)
  if FLAGS.chat:
    options |= dict(conversations=prompts, encode=chatting.given)
    prompts = chatting.encode(trained, prompts)
  if FLAGS.specials:
    trained = dataclasses.replace(
        trained, tokenizer=marked.Marked(trained.tokenizer))
  drawing = asking.sampling(trained.config.samples, _SAMPLING())
  print(asking.describe(drawing), file=sys.stderr)
  if trained.published.unapplied:
    print('not applied, of what the imported files ask for: '
          f'{", ".join(trained.published.unapplied)}', file=sys.stderr)
  if FLAGS.prompts_file is None and FLAGS.out is None:
    return show(trained, prompts[0], **options)
  with cli.writing(FLAGS.out) as file:
    generate(trained, prompts, file, batch_size=FLAGS.batch_size, **options)


def _chats():
  """Returns the conversations that the flags give."""
  if FLAGS.specials:
    raise errors.InputError(
        'Special tokens of a chat come from its template: leave out '
        '--specials.')
  path = FLAGS.prompts_file
  found = chatting.read(path) if path else [
      [{'role': 'user', 'content': FLAGS.prompt}]]
  return found if FLAGS.system is None else chatting.with_system(
      found, FLAGS.system)


if __name__ == '__main__':
  FLAGS = flags.FLAGS
  cli.path_flag('workdir', None, 'Directory of the run.', required=True)
  flags.DEFINE_string('step', 'best', "A checkpoint's number, best or latest.")
  flags.DEFINE_string('prompt', None, 'What to continue; may be empty.')
  cli.path_flag('prompts_file', None, 'File of prompts, or - for stdin.')
  _READ = given.define('prompt')
  flags.DEFINE_bool('chat', False, 'Write prompts by the chat template.')
  flags.DEFINE_string('system', None, "The system's message of a --chat.")
  flags.DEFINE_bool('specials', False, 'Read <extra_id_0>, [MASK] ... as ids.')
  cli.path_flag('out', None, 'File for JSON lines.')
  flags.DEFINE_integer(
      'max_new_tokens', 100, 'Tokens to draw at most.', lower_bound=1)
  flags.DEFINE_bool('window', False, 'Go on where the context is full.')
  _SAMPLING = given.define_sampling()
  flags.DEFINE_integer('seed', 0, 'Of the draws.', 0, 2**32 - 1)
  flags.DEFINE_integer('num_samples', 1, 'Of each prompt.', lower_bound=1)
  flags.DEFINE_integer('batch_size', 8, 'Rows at a time.', lower_bound=1)
  flags.DEFINE_multi_string('stop', [], 'Text that ends it; may be repeated.')
  cli.run(main)
