"""Changes of a small model's config.json that its family has to refuse.

The first field of each is the one that the message has to name.
"""
from lmjax.interop.mapping import layer_types
from tests.reference.families import llamas

FULL, SLIDING = layer_types.FULL, layer_types.SLIDING
_DECODER = [dict(is_decoder=True), dict(add_cross_attention=True)]
_RELATIVE = dict(position_embedding_type='relative_key')

CHANGES = {
    'albert': [
        dict(num_hidden_groups=2), dict(inner_group_num=2),
        dict(hidden_act='mish'), _RELATIVE],
    'bart': [
        dict(normalize_before=True), dict(normalize_embedding=False),
        dict(add_final_layer_norm=True), dict(static_position_embeddings=True),
        dict(decoder_ffn_dim=1024), dict(decoder_attention_heads=8),
        dict(activation_function='mish'), dict(tie_word_embeddings=False)],
    'bert': [
        *_DECODER, _RELATIVE, dict(hidden_act='mish'),
        dict(tie_word_embeddings=False), dict(embedding_size=128),
        dict(type_vocab_size=0)],
    'bloom': [
        dict(apply_residual_connection_post_layernorm=True),
        dict(n_inner=1024), dict(n_embed=512),
        dict(activation_function='gelu')],
    'cohere': [
        dict(use_qk_norm=True), dict(sliding_window=8),
        dict(logit_scale='small')],
    'distilbert': [
        dict(activation='mish'), dict(tie_weights_=False),
        dict(hidden_size=768)],
    'electra': [*_DECODER, _RELATIVE, dict(hidden_act='mish')],
    'falcon': [
        dict(num_ln_in_parallel_attn=2), dict(activation='mish'),
        dict(parallel_attn=False, new_decoder_architecture=True)],
    'gemma': [
        dict(hidden_act='silu'), dict(hidden_activation='silu'),
        dict(use_bidirectional_attention=True), dict(sliding_window=8)],
    'gemma2': [
        dict(sliding_window=None), dict(layer_types=[FULL]),
        dict(layer_types=[FULL, SLIDING, 'chunked_attention']),
        dict(sliding_window_size=8), dict(use_bidirectional_attention=True),
        dict(hidden_activation='quick_gelu')],
    'gemma3': [
        dict(attn_logit_softcapping=50.0), dict(sliding_window_pattern=0),
        llamas.theta(1e6), dict(use_bidirectional_attention=True),
        dict(layer_types=[FULL, SLIDING])],
    'gpt2': [
        dict(scale_attn_by_inverse_layer_idx=True),
        dict(add_cross_attention=True), dict(activation_function='mish'),
        dict(alibi=True)],
    'gpt_neo': [
        dict(attention_types=[[['global'], 2]]), dict(attention_types=[1]),
        dict(attention_layers=['global'] * 3),
        dict(activation_function='mish')],
    'gpt_neox': [
        dict(hidden_act='mish'), dict(clip_qkv=8.0),
        dict(rope_theta=20_000.0, rotary_emb_base=10_000),
        dict(partial_rotary_factor=0.5, rotary_pct=0.25)],
    'gptj': [
        dict(rotary=False), dict(scale_attn_weights=False),
        dict(rotary_dim=None), dict(activation_function='mish')],
    'granite': [
        dict(embedding_multiplier='large'), dict(residual_scale=2.0),
        dict(hidden_act='tanh')],
    'llama': [
        dict(hidden_act='mish'), dict(sliding_window=8),
        dict(pretraining_tp=0)],
    'marian': [
        dict(static_position_embeddings=False), dict(decoder_vocab_size=8),
        dict(share_encoder_decoder_embeddings=False),
        dict(normalize_embedding=True), dict(normalize_before=True)],
    'mbart': [
        dict(static_position_embeddings=True), dict(normalize_before=False),
        dict(normalize_embedding=False), dict(add_final_layer_norm=False)],
    'mistral': [
        dict(hidden_act='mish'), dict(layer_types=[FULL] * 2),
        dict(sliding_window=4.5)],
    'mixtral': [
        dict(router_scale=2.0), dict(num_experts=4), dict(layer_types=[])],
    'modernbert': [
        dict(hidden_activation='mish'), dict(layer_types=[SLIDING] * 5),
        dict(num_experts=4)],
    'mpnet': [
        dict(relative_attention_num_buckets=16), dict(hidden_act='mish'),
        dict(type_vocab_size=2)],
    'olmo': [
        dict(clip_qkv=8.0), dict(sliding_window=8), dict(hidden_act='tanh')],
    'olmo2': [
        dict(clip_qkv=8.0), dict(sliding_window=8), dict(hidden_act='tanh')],
    'olmoe': [
        dict(clip_qkv=8.0), dict(sliding_window=8), dict(hidden_act='tanh')],
    'opt': [
        dict(layer_norm_elementwise_affine=False),
        dict(activation_function='mish'), dict(alibi=True),
        dict(tie_word_embeddings=False, word_embed_proj_dim=24)],
    'pegasus': [
        dict(static_position_embeddings=False), dict(normalize_before=False),
        dict(normalize_embedding=True), dict(add_bias_logits=True)],
    'phi': [dict(hidden_act='mish'), dict(sliding_window=8)],
    'phi3': [
        dict(clip_qkv=8.0), dict(auto_map={'a': 'b.C'}),
        dict(rope_parameters=llamas.LONG | {'attention_factor': 1.2}),
        dict(rope_parameters={'rope_type': 'llama3'})],
    'qwen2': [
        dict(use_mrope=True), dict(hidden_act='mish'),
        dict(layer_types=[SLIDING] * 3), dict(layer_types=[FULL] * 2)],
    'qwen3': [
        dict(hidden_act='mish'), dict(clip_qkv=8.0),
        dict(layer_types=[SLIDING] * 3)],
    'qwen3_moe': [
        dict(use_sliding_window=True), dict(decoder_sparse_step=0),
        dict(shared_expert_intermediate_size=8)],
    'roberta': [*_DECODER, _RELATIVE, dict(hidden_act='mish')],
    'smollm3': [
        dict(no_rope_layers=[1, 1]), dict(no_rope_layers=[1, 2, 1, 0]),
        dict(no_rope_layer_interval=0), dict(layer_types=[SLIDING] * 4),
        dict(hidden_act='tanh')],
    'stablelm': [
        dict(qk_layernorm=True), dict(sliding_window=8),
        dict(hidden_act='tanh')],
    't5': [
        dict(feed_forward_proj='gated-mish'), dict(is_decoder=True),
        dict(is_gated_act=False, feed_forward_proj='gated-gelu'),
        dict(dense_act_fn='relu', feed_forward_proj='gated-gelu'),
        dict(is_encoder_decoder=False)],
    'xlnet': [
        dict(attn_type='uni'), dict(clamp_len=64), dict(same_length=True),
        dict(untie_r=False), dict(d_head=32), dict(ff_activation='mish')],
}
