"""Small pairs of an encoder and a decoder, to compare with the reference."""
from tests.reference import parity_pairs
from tests.reference.families import family

SIZE = dict(
    vocab_size=101, d_model=48, encoder_layers=2, decoder_layers=2,
    encoder_ffn_dim=72, decoder_ffn_dim=72, encoder_attention_heads=6,
    decoder_attention_heads=6, max_position_embeddings=522)
HEADS = dict(encoder_attention_heads=8, decoder_attention_heads=8)
FAMILIES = {
    'bart': family.Family(
        'BartConfig', 'BartForConditionalGeneration', SIZE, kind=parity_pairs,
        cases={
            'standard': {},
            'scaled': dict(
                scale_embedding=True, activation_function='relu',
                decoder_layers=3)},
        wrong=[dict(scale_embedding=True),
               dict(activation_function='gelu_new'), HEADS]),
    'marian': family.Family(
        'MarianConfig', 'MarianMTModel',
        SIZE | dict(pad_token_id=3, decoder_start_token_id=3, eos_token_id=2,
                    forced_eos_token_id=2),
        kind=parity_pairs,
        cases={
            'scaled': dict(scale_embedding=True, activation_function='swish'),
            'plain': dict(decoder_layers=3)},
        wrong=[dict(scale_embedding=False), dict(activation_function='gelu'),
               HEADS]),
    'mbart': family.Family(
        'MBartConfig', 'MBartForConditionalGeneration', SIZE, kind=parity_pairs,
        cases={'standard': {},
               'scaled': dict(scale_embedding=True, decoder_layers=3)},
        wrong=[dict(scale_embedding=True), HEADS]),
    'pegasus': family.Family(
        'PegasusConfig', 'PegasusForConditionalGeneration',
        SIZE | dict(scale_embedding=True, activation_function='relu'),
        kind=parity_pairs,
        cases={'standard': {}, 'plain': dict(scale_embedding=False,
                                             decoder_layers=3)},
        wrong=[dict(scale_embedding=False), HEADS]),
    't5': family.Family(
        'T5Config', 'T5ForConditionalGeneration',
        dict(vocab_size=101, d_model=48, d_kv=10, d_ff=72, num_layers=2,
             num_heads=6, n_positions=520),
        kind=parity_pairs,
        # T5 does not scale the logits of attention: its queries are small.
        cooler={'Attention.q.': 10 ** -0.5},
        cases={
            'first': {},
            'gated': dict(
                feed_forward_proj='gated-gelu', tie_word_embeddings=False),
            'silu': dict(
                feed_forward_proj='gated-silu', num_decoder_layers=3),
            'buckets': dict(
                relative_attention_num_buckets=16,
                relative_attention_max_distance=40, layer_norm_epsilon=1e-3)},
        wrong=[dict(layer_norm_epsilon=1e-4),
               dict(feed_forward_proj='gelu', dense_act_fn='gelu'),
               dict(relative_attention_max_distance=64),
               dict(scale_decoder_outputs=False)]),
}
