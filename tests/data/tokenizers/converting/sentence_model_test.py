"""Model files of SentencePiece: their fields, ids and frames."""
import io
import json

import pytest

from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import sentences
from lmjax.data.tokenizers.converting import scored
from lmjax.data.tokenizers.converting import sentence_model

TEXT = ['the quick brown fox jumps over the lazy dog', 'pack my box with jugs']


def trained(**options):
  import sentencepiece
  written = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(TEXT * 4), model_writer=written, minloglevel=2,
      **{'vocab_size': 60, 'hard_vocab_limit': False} | options)
  return written.getvalue()


def built(model, name=''):
  return sentences.SentenceTokenizer(
      model, *sentence_model.of_model(model, name))


@pytest.fixture(scope='module')
def plain():
  return trained()


def test_the_pieces_of_a_model_are_read(plain):
  import sentencepiece
  processor = sentencepiece.SentencePieceProcessor(model_proto=plain)
  found, roles = sentence_model.pieces(plain)
  size = processor.vocab_size()
  assert found.names == [processor.id_to_piece(i) for i in range(size)]
  assert found.scores == [processor.get_score(i) for i in range(size)]
  assert found.algorithm == 'unigram' and found.prefix and found.squeezed
  assert found.charsmap  # nmt_nfkc is the trainer's default.
  assert roles == {'unk': '<unk>', 'bos': '<s>', 'eos': '</s>'}
  assert found.of_type(scored.Type.CONTROL) == ['<s>', '</s>']


@pytest.mark.parametrize('options, frame', [
    ({}, (['<s>'], ['<s>'], [])),
    ({'bos_id': -1, 'pad_id': 0, 'eos_id': 1, 'unk_id': 2},
     ([], ['</s>'], ['</s>'])),
    ({'control_symbols': ['[CLS]', '[SEP]', '[MASK]']},
     (['[CLS]'], ['[SEP]'], ['[SEP]'])),
    ({'control_symbols': ['<cls>', '<sep>', '<mask>']},
     ([], ['<sep>'], ['<sep>', '<cls>'])),
], ids=['Llama', 'T5', 'ALBERT', 'XLNet'])
def test_the_frame_is_known_by_the_pieces(options, frame):
  tokenizer = built(trained(model_type='bpe', **options))
  names = {i: name for name, i in tokenizer.specials.items()}
  assert tuple([names[i] for i in ids]
               for ids in tokenizer.frame(2).ids) == frame
  text = tokenizer.encode('the fox').tolist()
  assert tokenizer.encode_document('the fox').tolist() == (
      [*tokenizer.frame().before, *text, *tokenizer.frame().after])


def test_types_of_xlnet_end_with_that_of_cls():
  tokenizer = built(trained(control_symbols=['<cls>', '<sep>']))
  assert tokenizer.frame(2).types == ((), (0,), (1, 2))
  assert tokenizer.frame().types == ((), (), (0, 2))


def test_sentinels_of_t5_count_down_from_the_last_id():
  model = trained(bos_id=-1, pad_id=0, eos_id=1, unk_id=2)
  tokenizer = built(model)
  assert tokenizer.special('<extra_id_0>') == tokenizer.vocab_size - 1
  assert len(tokenizer.sentinel_ids) == 100
  assert tokenizer.encode('<extra_id_0>').max() < tokenizer.vocab_size - 100
  few, _ = sentence_model.of_model(model, sentinels=3)
  assert few['added_tokens'][-1]['content'] == '<extra_id_0>'


def test_models_of_fairseq_have_ids_of_their_own(plain):
  tokenizer, other = built(plain, sentence_model.FAIRSEQ), built(plain)
  assert tokenizer.encode_document('').tolist() == [0, 2]
  assert tokenizer.frame(2).ids == ((0,), (2, 2), (2,))
  assert tokenizer.special('[MASK]') == tokenizer.vocab_size - 1
  ids = other.encode('the fox')
  assert tokenizer.encode('the fox').tolist() == (ids + 1).tolist()
  assert tokenizer.encode('中').tolist()[-1] == 3  # Unknown.


def test_pieces_of_marian_have_the_ids_of_its_vocabulary(tmp_path, plain):
  import sentencepiece
  processor = sentencepiece.SentencePieceProcessor(model_proto=plain)
  pieces = processor.encode('the fox', out_type=str)
  vocab = {'</s>': 0, '<unk>': 1, '>>fra<<': 2, 'Wort': 3, '<pad>': 4}
  vocab |= {piece: 5 + i for i, piece in enumerate(sorted({*pieces[1:]}))}
  (tmp_path / 'source.spm').write_bytes(plain)
  (tmp_path / 'vocab.json').write_text(json.dumps(vocab))
  tokenizer = pretrained.read(tmp_path)
  ids = [vocab.get(piece, 1) for piece in pieces]
  assert tokenizer.encode_document('the fox').tolist() == [*ids, 0]
  assert tokenizer.encode_document('>>fra<<the fox').tolist() == [2, *ids, 0]
  assert tokenizer.frame(2).ids == ((), (), (0,))
  assert tokenizer.decode([3]) == 'Wort' and tokenizer.eos_id == 0
  with pytest.raises(ValueError, match='should have <unk>'):
    sentence_model.of_marian(plain, {'</s>': 0})


@pytest.mark.parametrize('content', [
    b'', b'\x0a', b'\xff' * 20, b'{"a": 1}', b'text\n', b'\x0a\x7f'])
def test_other_files_are_not_models(content):
  assert not sentence_model.is_model(content)


def test_a_damaged_model_is_refused(plain):
  assert sentence_model.is_model(plain)
  with pytest.raises(ValueError, match='is cut'):
    sentence_model.pieces(plain[:-1])
  with pytest.raises(ValueError, match='a unigram or bpe model'):
    sentence_model.pieces(trained(model_type='char'))
