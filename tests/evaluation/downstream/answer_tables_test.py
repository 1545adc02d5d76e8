"""Tables of the errors of answers."""
from lmjax.evaluation.downstream import answer_tables
import pytest

Row = answer_tables.Row
ROWS = (
    Row('What is it?', ('a cat',), 'a cat', 1.0, 1.0, 2.0),
    Row('What was it?', ('a big grey dog', 'dog'), 'grey dog', 0.0, 0.8, 1.0),
    Row('How many cats\nare there?', ('7',), 'some', 0.0, 0.0, 1.0),
    Row('Is it?', (), 'x' * 99, 0.0, 0.0, 3.0),
    Row('Why is it?', (), '', 1.0, 1.0, 1.0),
    Row('Where is it?', ('here',), '', 0.0, 0.0, 2.0))


def test_answers_are_counted_by_their_kind():
  head, rows = answer_tables.tables(ROWS)['Kinds of answers']
  assert head[1:] == ('right', 'partly right', 'wrong', 'none given')
  assert rows == [('has an answer', '1', '1', '1', '1'),
                  ('has no answer', '0', '0', '1', '1')]


def test_scores_are_by_question_word_and_length():
  tables = answer_tables.tables(ROWS)
  assert tables['By question word'][1] == [
      ('how many', '1', '0.000', '0.000', '0.000'),
      ('where', '1', '0.000', '0.000', '1.000'),
      ('why', '1', '1.000', '1.000', '1.000'),
      ('what', '2', '0.900', '0.500', '0.000'),
      ('other', '1', '0.000', '0.000', '0.000')]
  assert [row[:2] for row in tables['By length of the answer'][1]] == [
      ('no answer', '2'), ('1 word', '3'), ('2 words', '1')]


def test_the_worst_answers_are_first_those_that_the_model_was_sure_of():
  _, rows = answer_tables.tables(ROWS)[answer_tables.WORST]
  assert [row[1] for row in rows] == [
      '(none)', 'here', '7', 'a big grey dog | dog']
  assert rows[0][2] == 'x' * 89 + '…' and rows[1][2] == '(none)'
  assert rows[2][0] == 'How many cats are there?' and rows[3][3] == '0.80'


@pytest.mark.parametrize('question, word', [
    ('To whom did he go?', 'who'), ('In which year?', 'when'),
    ('Somewhat odd', 'other'), ('《红楼梦》的作者是谁？', 'who'),
    ('什么时候建成？', 'when'), ('有多少人？', 'how many'), ('为什么？', 'why')])
def test_question_words_are_found(question, word):
  assert answer_tables.question_word(Row(question, (), '', 0, 0, 0)) == word


def test_chinese_answers_are_as_long_as_their_characters():
  row = ROWS[0]._replace(answers=('曹雪芹',))
  assert answer_tables.length(row) == '3 to 4'
  assert answer_tables.length(row._replace(answers=('w ' * 9,))) == 'longer'
