#include "mezzo/checkpoint/llama2c.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace mezzo {
namespace {

constexpr uint32_t kMagic = 0x616b3432;
constexpr size_t kSizes = 7, kHeader0 = kSizes * sizeof(int32_t), kHeader1 = 256;

// T at byte `at`, which the caller has checked to be there.
template <class T>
T Number(std::span<const uint8_t> bytes, size_t at) {
  T value;
  std::memcpy(&value, &bytes[at], sizeof value);
  return value;
}

void ParseSizes(const MappedFile& file, size_t at, Llama2c& m) {
  int64_t sizes[kSizes];
  for (size_t i = 0; i < kSizes; ++i) sizes[i] = Number<int32_t>(file.bytes(), at + i * 4);
  if (m.version == 0) {
    m.shared_classifier = sizes[5] > 0;
    sizes[5] = std::abs(sizes[5]);
  }
  for (const int64_t s : sizes)
    RequireFile(s > 0, m.path, ": is no llama2.c model: its header holds the size ", s);
  int64_t* fields[] = {&m.dim,      &m.hidden_dim, &m.layers, &m.heads,
                       &m.kv_heads, &m.vocab,      &m.seq_len};
  for (size_t i = 0; i < kSizes; ++i) *fields[i] = sizes[i];
  RequireFile(m.dim % (2 * m.heads) == 0 && m.heads % m.kv_heads == 0, m.path,
              ": is no llama2.c model: dim ", m.dim, ", ", m.heads, " heads, ", m.kv_heads,
              " key-value heads do not divide one another");
}

struct Part {
  std::string_view name;
  Shape shape;
  bool per_layer = true;
};

// The tensors in the file's order; those of a layer stand for one after another in all layers.
std::vector<Part> Parts(const Llama2c& m) {
  const int64_t kv_dim = m.dim / m.heads * m.kv_heads, half_head = m.dim / m.heads / 2;
  const Part embedding{"tok_embeddings", {m.vocab, m.dim}, false}, norm{"norm", {m.dim}, false};
  const Part attention_norm{"attention_norm", {m.dim}}, ffn_norm{"ffn_norm", {m.dim}};
  const Part wq{"attention.wq", {m.dim, m.dim}}, wk{"attention.wk", {kv_dim, m.dim}};
  const Part wv{"attention.wv", {kv_dim, m.dim}}, wo{"attention.wo", {m.dim, m.dim}};
  const Part w1{"feed_forward.w1", {m.hidden_dim, m.dim}};
  const Part w2{"feed_forward.w2", {m.dim, m.hidden_dim}};
  const Part w3{"feed_forward.w3", {m.hidden_dim, m.dim}};
  const Part cos{"freqs_cos", {m.seq_len, half_head}, false};
  const Part sin{"freqs_sin", {m.seq_len, half_head}, false};
  std::vector<Part> parts;
  if (m.version == 0)
    parts = {embedding, attention_norm, wq, wk, wv, wo, ffn_norm, w1, w2, w3, norm, cos, sin};
  else
    parts = {attention_norm, ffn_norm, norm, embedding, wq, wk, wv, wo, w1, w2, w3};
  if (!m.shared_classifier) parts.push_back({"output", {m.vocab, m.dim}, false});
  return parts;
}

// Bytes of all tensors; the largest number if that overflows.
uint64_t TotalBytes(const std::vector<Part>& parts, int64_t layers) {
  uint64_t total = 0;
  for (const Part& part : parts) {
    const auto one = StoredBytes(Storage::kF32, part.shape);
    uint64_t bytes = 0;
    if (!one || __builtin_mul_overflow(*one, part.per_layer ? layers : 1, &bytes) ||
        __builtin_add_overflow(total, bytes, &total))
      return std::numeric_limits<uint64_t>::max();
  }
  return total;
}

}  // namespace

Llama2c ParseLlama2c(const MappedFile& file) {
  const std::span<const uint8_t> bytes = file.bytes();
  Llama2c m;
  m.path = file.name();
  RequireFile(bytes.size() >= kHeader0, m.path, ": has ", bytes.size(),
              " bytes, too few for a llama2.c model");
  const bool versioned = Number<uint32_t>(bytes, 0) == kMagic;
  if (versioned) {
    m.version = Number<int32_t>(bytes, 4);
    RequireFile(m.version == 1, m.path, ": is a llama2.c model of version ", m.version,
                ", known are 0 and 1");
    RequireFile(bytes.size() >= kHeader1, m.path, ": ends inside its header");
    m.shared_classifier = bytes[8 + kHeader0] != 0;
  }
  ParseSizes(file, versioned ? 8 : 0, m);

  const std::vector<Part> parts = Parts(m);
  const size_t header = versioned ? kHeader1 : kHeader0;
  const uint64_t need = TotalBytes(parts, m.layers), have = bytes.size() - header;
  RequireFile(have == need, m.path, ": has ", have, " bytes of weights, its header says ", need);
  uint64_t at = header;
  for (const Part& part : parts)
    for (int64_t layer = 0; layer < (part.per_layer ? m.layers : 1); ++layer) {
      std::string name =
          part.per_layer ? Cat("layers.", layer, ".", part.name) : std::string(part.name);
      if (!name.starts_with("freqs")) name += ".weight";
      const uint64_t size = *StoredBytes(Storage::kF32, part.shape);
      const std::string where = Cat(m.path, ": tensor ", Quoted(name));
      m.tensors[name] = {Storage::kF32, part.shape, bytes.subspan(at, size), file.owner(), where};
      at += size;
    }
  return m;
}

Llama2c ReadLlama2c(const std::filesystem::path& path) { return ParseLlama2c(MappedFile(path)); }

std::vector<Llama2cToken> ParseLlama2cTokenizer(const MappedFile& file) {
  const std::span<const uint8_t> bytes = file.bytes();
  RequireFile(bytes.size() >= 4, file.name(), ": is no llama2.c tokenizer: it is empty");
  const int64_t longest = Number<int32_t>(bytes, 0);
  std::vector<Llama2cToken> tokens;
  for (size_t at = 4; at < bytes.size();) {
    const std::string where = Cat(file.name(), ": token ", tokens.size());
    RequireFile(bytes.size() - at >= 8, where, ": the file ends inside it");
    const auto score = Number<float>(bytes, at);
    const int64_t length = Number<int32_t>(bytes, at + 4);
    at += 8;
    RequireFile(0 <= length && length <= longest, where, ": has a length of ", length,
                ", the longest is said to be ", longest);
    RequireFile(static_cast<uint64_t>(length) <= bytes.size() - at, where, ": needs ", length,
                " bytes, the file has ", bytes.size() - at);
    tokens.push_back({std::string(bytes.begin() + at, bytes.begin() + at + length), score});
    at += static_cast<size_t>(length);
  }
  return tokens;
}

std::vector<Llama2cToken> ReadLlama2cTokenizer(const std::filesystem::path& path) {
  return ParseLlama2cTokenizer(MappedFile(path));
}

}  // namespace mezzo
