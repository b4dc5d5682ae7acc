// The files of llama2.c (https://github.com/karpathy/llama2.c, export.py and tokenizer.py): models
// of version 0 and 1, and the tokenizer.
//
//   version 0  7 int32: dim, hidden_dim, layers, heads, kv_heads, vocab, seq_len; a negative vocab
//              says that the classifier is not the embedding | float32 tensors
//   version 1  "24ka" | 1 (int32) | the 7 int32 | shared classifier (1 byte) | zeros up to byte 256
//   |
//              the same tensors without the rotary tables, in another order
//   tokenizer  the longest text's length (int32) | for each token: score (float32), length (int32),
//              text
//
// Version 2 (int8) is refused: it was written in two layouts that the file does not tell apart.
#pragma once

#include "mezzo/checkpoint/checkpoint.h"

namespace mezzo {

// Tensors are named as llama2.c's own model names its parameters: tok_embeddings.weight,
// norm.weight, output.weight (unless shared), and layers.N.attention_norm, .attention.wq .wk .wv
// .wo, .ffn_norm, .feed_forward.w1 .w2 .w3, all with ".weight"; version 0 also freqs_cos and
// freqs_sin (seq_len, head size / 2). Rows of wq and wk are in the order of GGUF, not of Hugging
// Face: the two halves that the rotary embedding turns stand side by side.
struct Llama2c : Checkpoint {
  int version = 0;
  int64_t dim = 0, hidden_dim = 0, layers = 0, heads = 0, kv_heads = 0, vocab = 0, seq_len = 0;
  bool shared_classifier = true;
};

// FileError unless all sizes are positive, dim is an even multiple of heads, heads one of kv_heads,
// and the file is as long as the tensors need.
Llama2c ReadLlama2c(const std::filesystem::path& path);
Llama2c ParseLlama2c(const MappedFile& file);

struct Llama2cToken {
  std::string text;  // any bytes
  float score;       // merges of higher score come first; may be NaN
};

// The tokens in the order of their ids. The file does not say how many they are: it is read to its
// end. FileError if that lies inside a token or a text is longer than the file says.
std::vector<Llama2cToken> ReadLlama2cTokenizer(const std::filesystem::path& path);
std::vector<Llama2cToken> ParseLlama2cTokenizer(const MappedFile& file);

}  // namespace mezzo
