"""What a model can do is asked of its traits, and of nothing else."""
import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(
    [*(ROOT / 'lmjax').rglob('*.py'), *(ROOT / 'experiments').rglob('*.py')])
# Names by which code speaks of a model, its config and its parts.
MODEL = re.compile(
    r'(?<![a-z])(model|module|backbone|student|teacher|trunk|block|mixer|mlp|'
    r'cell|encoder|decoder|discriminator|generator|sized)s?(?![a-z])')
FAMILIES = {  # Modules whose classes are families, blocks, mixers and MLPs.
    'decoder', 'encoder', 'encoder_decoder', 'electra', 'lstm', 'xlnet',
    'multi_token', 'text_cnn', 'bag_of_ngrams', 'attention', 'ssm', 'experts',
    'recurrent', 'block'}
PLAIN = {'int', 'bool', 'str'}  # Types of what a file holds.
HONEST = {  # Where -> why it may ask.
    'lmjax/planning/estimate.py': {
        'isinstance(model, decoder.DecoderConfig)':
            'a plan is worked out of the fields of one family'},
    'lmjax/nn/decoder_block.py': {
        'type(self.block) not in kinds':
            'each kind of block has one that reads a memory'},
}


def name_of(path):
  return path.relative_to(ROOT).as_posix()


def asks(source):
  """Yields (line, code) wherever code asks a model what it is."""
  tree = ast.parse(source)
  for node in ast.walk(tree):
    if isinstance(node, ast.Compare):
      sides = [side for side in (node.left, *node.comparators)
               if isinstance(side, ast.Call)
               and ast.unparse(side.func) == 'type']
      others = {ast.unparse(side) for side in node.comparators}
      if not others <= PLAIN and any(
          MODEL.search(ast.unparse(side.args[0])) for side in sides):
        yield node.lineno, ast.unparse(node)
    if not isinstance(node, ast.Call) or len(node.args) < 2:
      continue
    function, subject = ast.unparse(node.func), ast.unparse(node.args[0])
    about_model = MODEL.search(subject)
    if function == 'hasattr' and about_model or (
        function == 'getattr' and len(node.args) == 3 and about_model):
      yield node.lineno, ast.unparse(node)
    if function == 'isinstance':
      kinds = {ast.unparse(each.value).removesuffix('_lib')
               for each in ast.walk(node.args[1])
               if isinstance(each, ast.Attribute)}
      if kinds & FAMILIES:
        yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_abilities_are_asked_of_traits(path):
  found = {code: line for line, code in asks(path.read_text())}
  honest = HONEST.get(name_of(path), {})
  assert not found.keys() - honest.keys(), (
      'Ask `model.config.traits`, and name there what is missing.')
  assert not honest.keys() - found.keys(), 'No longer asked: strike it out.'


@pytest.mark.parametrize('code', [
    "hasattr(model, 'empty_cache')", "hasattr(config.model, 'with_vocab')",
    "getattr(model.config, 'causal', True)",
    "getattr(getattr(config.model, 'block', None), 'mlp', None)",
    'type(mixer) is attention.AttentionConfig', 'type(self.block) in kinds',
    'isinstance(found, decoder.DecoderConfig)',
    'isinstance(x, (int, ssm.SSMConfig))',
])
def test_a_question_is_seen(code):
  assert list(asks(f'if {code}: pass'))


@pytest.mark.parametrize('code', [
    'model.config.traits.causal', "getattr(self, 'context')",
    "getattr(schedule, 'final', 0.0)", "hasattr(leaf, 'dtype')",
    'type(model.vocab_size) is int', 'isinstance(positions, positions_lib.Rotary)',
    'isinstance(model, Mapped)',
])
def test_other_questions_are_free(code):
  assert not list(asks(f'if {code}: pass'))
