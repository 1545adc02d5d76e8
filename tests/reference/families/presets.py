"""Presets of lmjax by family, with the published model that each one is."""

# Which heads a model has is known from the names of its tensors.
HEADS = {
    'albert': {'albert.pooler.weight', 'predictions.bias',
               'sop_classifier.classifier.weight'},
    'bert': {'bert.pooler.dense.weight', 'cls.predictions.bias',
             'cls.seq_relationship.weight'},
    'distilbert': {'vocab_transform.weight'},
    'electra': {'discriminator_predictions.dense.weight'},
    'modernbert': {'head.dense.weight', 'decoder.bias'},
    'roberta': {'lm_head.dense.weight'},
}
PRESETS = {  # None: its config.json is not among those compared.
    'albert': {
        'albert_base': 'albert/albert-base-v2', 'albert_large': None},
    'bart': {'bart_base': 'facebook/bart-base', 'bart_large': None},
    'bert': {
        'tiny_bert': None, 'bert_base': 'google-bert/bert-base-uncased',
        'bert_large': None},
    'bloom': {'bloom_560m': 'bigscience/bloom-560m'},
    'distilbert': {'distilbert': 'distilbert/distilbert-base-uncased'},
    'electra': {
        'electra_small': 'google/electra-small-discriminator',
        'electra_base': None, 'electra_small_generator': None},
    'falcon': {'falcon_7b': 'tiiuae/falcon-7b'},
    'gemma2': {'gemma2_2b': 'google/gemma-2-2b', 'gemma2_9b': None},
    'gemma3': {
        'gemma3_270m': 'google/gemma-3-270m',
        'gemma3_1b': 'google/gemma-3-1b-it', 'gemma3_4b': None},
    'gpt2': {
        'tiny_gpt2': None, 'gpt2': 'gpt2', 'gpt2_medium': 'gpt2-medium',
        'gpt2_xl': 'gpt2-xl'},
    'gpt_neox': {
        'pythia_70m': 'EleutherAI/pythia-70m', 'pythia_160m': None,
        'pythia_1b': None, 'pythia_12b': None,
        'gpt_neox_20b': 'EleutherAI/gpt-neox-20b'},
    'gptj': {'gptj_6b': 'EleutherAI/gpt-j-6b'},
    'granite': {'granite3_1_2b': None, 'granite3_3_8b': None},
    'llama': {
        'tiny_llama': None, 'llama3_8b': 'meta-llama/Meta-Llama-3-8B',
        'llama3_1_8b': 'meta-llama/Llama-3.1-8B-Instruct',
        'smollm2_135m': 'HuggingFaceTB/SmolLM2-135M-Instruct'},
    'mistral': {'mistral_7b': 'mistralai/Mistral-7B-v0.1'},
    'mixtral': {'mixtral_8x7b': 'mistralai/Mixtral-8x7B-v0.1'},
    'modernbert': {
        'modernbert_base': 'answerdotai/ModernBERT-base',
        'modernbert_large': None},
    'olmo2': {'olmo2_1b': 'allenai/OLMo-2-0425-1B', 'olmo2_7b': None},
    'opt': {
        'opt_125m': 'facebook/opt-125m', 'opt_350m': 'facebook/opt-350m',
        'opt_1_3b': None},
    'phi': {'phi_2': 'microsoft/phi-2'},
    'phi3': {'phi3_mini': 'microsoft/Phi-3-mini-4k-instruct'},
    'qwen2': {'qwen2_5_0_5b': 'Qwen/Qwen2.5-0.5B'},
    'qwen3': {'qwen3_0_6b': 'Qwen/Qwen3-0.6B', 'qwen3_8b': None},
    'roberta': {
        'roberta_base': 'FacebookAI/roberta-base', 'roberta_large': None,
        'xlm_r_base': 'FacebookAI/xlm-roberta-base'},
    'smollm3': {'smollm3_3b': 'HuggingFaceTB/SmolLM3-3B'},
    't5': {
        'tiny_t5': None, 't5_small': 'google-t5/t5-small',
        't5_1_1_small': 'google/t5-v1_1-small',
        't5_1_1_base': 'google/flan-t5-base',
        'mt5_small': 'google/mt5-small'},
    'xlnet': {
        'xlnet_base': 'xlnet/xlnet-base-cased', 'xlnet_large': None},
}
