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
import sys

from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.generation import marked
from lmjax.recipes import given
from lmjax.recipes.loaded import asking
from lmjax.recipes.loaded import chatting
from lmjax.recipes.loaded import printing
from lmjax.recipes.loaded import trained as trained_lib


def main(_):
  if (FLAGS.prompt is None) == (FLAGS.prompts_file is None):
    raise errors.InputError('Give either --prompt or --prompts_file.')
  if FLAGS.chat and FLAGS.specials:
    raise errors.InputError(
        'Special tokens of a --chat come from its template; leave out '
        '--specials.')
  options = {name: FLAGS[name].value for name in (
      'max_new_tokens', 'stop', 'seed', 'num_samples', 'window')}
  options |= _SAMPLING()
  if FLAGS.chat:
    prompts = chatting.asked(FLAGS.prompt, FLAGS.prompts_file, FLAGS.system)
  else:
    prompts = ([FLAGS.prompt] if FLAGS.prompts_file is None
               else _READ(FLAGS.prompts_file))
  trained = trained_lib.load(FLAGS.workdir, FLAGS.step)
  if FLAGS.chat:
    options |= dict(conversations=prompts, encode=chatting.given)
    prompts = chatting.encode(trained, prompts)
  elif FLAGS.specials:
    trained = dataclasses.replace(
        trained, tokenizer=marked.Marked(trained.tokenizer))
  drawing = asking.sampling(trained.config.samples, _SAMPLING())
  print(asking.describe(drawing), file=sys.stderr)
  if left := trained.published.unapplied:
    print(f'the imported files also ask for {", ".join(left)}, which is not '
          'applied', file=sys.stderr)
  if FLAGS.prompts_file is None and FLAGS.out is None:
    return printing.show(trained, prompts[0], **options)
  with cli.writing(FLAGS.out) as file:
    printing.generate(
        trained, prompts, file, batch_size=FLAGS.batch_size, **options)


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
