"""Small encoders, to compare with the reference."""
from lmjax.interop.mapping import layer_types
from tests.reference import parity_encoders
from tests.reference import parity_streams
from tests.reference.families import family

FULL, SLIDING = layer_types.FULL, layer_types.SLIDING
SIZE = dict(
    vocab_size=101, hidden_size=48, intermediate_size=72, num_hidden_layers=2,
    num_attention_heads=6, max_position_embeddings=520)
FAMILIES = {
    'albert': family.Family(
        'AlbertConfig', 'AlbertForPreTraining',
        SIZE | dict(embedding_size=24, num_hidden_layers=3),
        kind=parity_encoders,
        cases={
            'pretraining': {},
            'masked': dict(head='AlbertForMaskedLM', hidden_act='gelu'),
            'pooled': dict(head='AlbertModel', layer_norm_eps=1e-3)},
        wrong=[dict(layer_norm_eps=1e-4), dict(hidden_act='gelu'),
               dict(num_attention_heads=8), dict(num_hidden_layers=4)]),
    'bert': family.Family(
        'BertConfig', 'BertForPreTraining', SIZE, kind=parity_encoders,
        cases={
            'pretraining': {},
            'masked': dict(head='BertForMaskedLM', hidden_act='gelu_new'),
            'pooled': dict(head='BertModel', layer_norm_eps=1e-3),
            'pairs': dict(
                head='BertForNextSentencePrediction', hidden_act='relu')},
        wrong=[dict(layer_norm_eps=1e-4), dict(hidden_act='gelu_new'),
               dict(num_attention_heads=8)]),
    'distilbert': family.Family(
        'DistilBertConfig', 'DistilBertForMaskedLM',
        dict(vocab_size=101, dim=48, hidden_dim=72, n_layers=2, n_heads=6,
             max_position_embeddings=520),
        kind=parity_encoders,
        cases={
            'masked': {},
            'headless': dict(head='DistilBertModel', activation='relu'),
            'sinusoids': dict(sinusoidal_pos_embds=True)},
        wrong=[dict(activation='gelu_new'), dict(activation='relu'),
               dict(n_heads=8)]),
    'electra': family.Family(
        'ElectraConfig', 'ElectraForPreTraining',
        SIZE | dict(embedding_size=24), kind=parity_encoders,
        cases={
            'discriminator': dict(hidden_act='relu'),
            'generator': dict(head='ElectraForMaskedLM', hidden_act='relu'),
            'wide embeddings': dict(embedding_size=48),
            'headless': dict(head='ElectraModel', layer_norm_eps=1e-3)},
        wrong=[dict(layer_norm_eps=1e-4), dict(hidden_act='gelu'),
               dict(num_attention_heads=8)]),
    'modernbert': family.Family(
        'ModernBertConfig', 'ModernBertForMaskedLM',
        SIZE | dict(
            intermediate_size=40, num_hidden_layers=5, local_attention=16,
            max_position_embeddings=1024, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, cls_token_id=1, sep_token_id=2),
        kind=parity_encoders,
        cases={
            'masked': {},
            'headless': dict(head='ModernBertModel', norm_eps=1e-3),
            'biases': dict(
                attention_bias=True, mlp_bias=True, norm_bias=True,
                classifier_bias=True, classifier_activation='relu'),
            'no bias of logits': dict(decoder_bias=False),
            'every other layer': dict(
                layer_types=[FULL, SLIDING] * 2 + [FULL]),
            'same wavelengths': dict(
                global_rope_theta=20_000.0, local_rope_theta=20_000.0)},
        wrong=[dict(norm_eps=1e-4), dict(hidden_activation='gelu_new'),
               dict(num_attention_heads=8), dict(local_attention=18),
               dict(layer_types=[FULL, SLIDING] * 2 + [FULL],
                    global_attn_every_n_layers=2),
               dict(classifier_activation='gelu_new')]),
    'mpnet': family.Family(
        'MPNetConfig', 'MPNetForMaskedLM',
        SIZE | dict(max_position_embeddings=522), kind=parity_encoders,
        cases={
            'masked': {},
            'pooled': dict(head='MPNetModel', layer_norm_eps=1e-3)},
        wrong=[dict(layer_norm_eps=1e-4), dict(hidden_act='gelu_new'),
               dict(hidden_act='relu')]),
    'roberta': family.Family(
        'RobertaConfig', 'RobertaForMaskedLM',
        SIZE | dict(max_position_embeddings=522, type_vocab_size=1,
                    layer_norm_eps=1e-5),
        kind=parity_encoders,
        cases={
            'masked': {},
            'pooled': dict(head='RobertaModel', type_vocab_size=2),
            'other offset': dict(
                pad_token_id=3, max_position_embeddings=524,
                hidden_act='relu')},
        wrong=[dict(layer_norm_eps=1e-4), dict(hidden_act='gelu_new'),
               dict(num_attention_heads=8), dict(pad_token_id=0)]),
    'xlnet': family.Family(
        'XLNetConfig', 'XLNetLMHeadModel',
        dict(vocab_size=101, d_model=48, n_layer=2, n_head=6, d_inner=72,
             mem_len=None),
        kind=parity_streams, written=dict(context=520),
        cases={
            'gelu': {},
            'relu': dict(ff_activation='relu', layer_norm_eps=1e-3)},
        wrong=[dict(layer_norm_eps=1e-4), dict(ff_activation='gelu_new'),
               dict(ff_activation='relu')]),
}
