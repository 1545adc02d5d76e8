"""The ways to ask: each file, template and seed, and how they are named."""
import json

from lmjax.evaluation.choice import choices
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import shots
from lmjax.evaluation.choice import variants
from lmjax.evaluation.choice import wording


def asked(tmp_path, **options):
  for name in 'ab':
    (tmp_path / f'{name}.jsonl').write_text('\n'.join(
        json.dumps({'query': f'{name}{i}', 'choices': ['x', 'y'], 'gold': 0})
        for i in range(3)))
  return list(variants.of(choices.Choices(
      paths=(str(tmp_path / '*.jsonl'),), limit=2, **options), questions.read))


def test_each_file_template_and_seed_is_a_way(tmp_path):
  found = asked(
      tmp_path, shots=shots.Shots(count=1, seeds=(3, 4)),
      more_templates=(wording.Template(delimiter=': '),))
  assert [(each.facts['name'], each.facts['template'], each.seed)
          for each in found] == [
              (name, template, seed) for name in 'ab' for template in (0, 1)
              for seed in (3, 4)]
  assert [each.delimiter for each in found[::2]] == [' ', ': '] * 2
  assert all(each.facts['shots'] == 1 for each in found)


def test_examples_come_from_beyond_the_limit(tmp_path):
  first, _ = asked(tmp_path, shots=shots.Shots(count=1, draw='first'))
  assert (len(first.asked), len(first.pool)) == (2, 3)
  plain, _ = asked(tmp_path)
  assert (len(plain.pool), plain.facts['template']) == (2, None)


def test_a_title_says_what_is_not_the_default():
  assert variants.title('piqa', None, None) == 'piqa'
  assert variants.title('piqa', 0, 2, 'greedy') == (
      'piqa (greedy, seed 0, template 2)')
