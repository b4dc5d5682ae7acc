// SentencePiece's tokenizer.model: a protocol buffer ModelProto, of which is read
//   1 pieces {1 piece, 2 score, 3 type}
//   2 trainer_spec {3 model_type, 24 treat_whitespace_as_suffix, 40 unk_id, 41 bos_id, 42 eos_id}
//   3 normalizer_spec {2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces,
//                      5 escape_whitespaces}
//   5 denormalizer_spec {2 precompiled_charsmap}
#include <algorithm>
#include <bit>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {
namespace {

enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// The fields of a message, one after the other.
class Message {
 public:
  Message(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  bool Next() {
    if (bytes_.empty()) return false;
    const uint64_t tag = Varint();
    field = static_cast<int>(tag >> 3 & 0xFFFF);
    wire = static_cast<int>(tag & 7);
    number = 0;
    text = {};
    if (wire == kVarint)
      number = Varint();
    else if (wire == kBytes)
      text = Take(Varint());
    else if (wire == kFixed32)
      number = Little(Take(4));
    else if (wire == kFixed64)
      number = Little(Take(8));
    else
      Fail();
    return true;
  }
  bool Is(int wanted, Wire type) const {
    if (field == wanted && wire != type) Fail();
    return field == wanted;
  }

  int field = 0, wire = 0;
  uint64_t number = 0;    // of a number
  std::string_view text;  // of bytes

 private:
  [[noreturn]] void Fail() const { throw FileError(Cat(name_, ": is no SentencePiece model")); }
  std::string_view Take(uint64_t n) {
    if (n > bytes_.size()) Fail();
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(Take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    Fail();
  }
  static uint64_t Little(std::string_view bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size(); ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << 8 * i;
    return value;
  }

  std::string_view bytes_;
  const std::string& name_;
};

void ReadPiece(Message m, TokenTable* table) {
  std::string text;
  float score = 0;
  int32_t type = 1;
  while (m.Next()) {
    if (m.Is(1, kBytes)) text = m.text;
    if (m.Is(2, kFixed32)) score = std::bit_cast<float>(static_cast<uint32_t>(m.number));
    if (m.Is(3, kVarint)) type = static_cast<int32_t>(m.number);
  }
  table->tokens.push_back(text);
  table->scores.push_back(score);
  table->types.push_back(type);
}

void ReadTrainerSpec(Message m, const std::string& name, TokenTable* table) {
  uint64_t type = 1;
  while (m.Next()) {
    if (m.Is(3, kVarint)) type = m.number;
    if (m.Is(24, kVarint))
      RequireFile(m.number == 0, name, ": treat_whitespace_as_suffix is not supported");
    const auto id = [&] {  // -1: there is none
      const auto value = static_cast<int32_t>(m.number);
      return value < 0 ? std::nullopt : std::optional(value);
    };
    if (m.Is(40, kVarint)) table->unknown = id();
    if (m.Is(41, kVarint)) table->bos = id();
    if (m.Is(42, kVarint)) table->eos = id();
  }
  RequireFile(type == 1 || type == 2, name, ": model_type is ", type,
              ", needs 1, unigram, or 2, BPE");
  table->model = type == 1 ? "t5" : "llama";
}

void ReadNormalizerSpec(Message m, const std::string& name, TokenTable* table) {
  while (m.Next()) {
    if (m.Is(2, kBytes)) table->precompiled_charsmap = m.text;
    if (m.Is(3, kVarint)) table->add_space_prefix = m.number != 0;
    if (m.Is(4, kVarint)) table->remove_extra_whitespaces = m.number != 0;
    if (m.Is(5, kVarint)) RequireFile(m.number != 0, name, ": escape_whitespaces is off, needs on");
  }
}

void CheckDenormalizerSpec(Message m, const std::string& name) {
  while (m.Next())
    RequireFile(!m.Is(2, kBytes) || m.text.empty(), name,
                ": denormalizer_spec holds rules, which are not supported");
}

// What GGUF's "llama" takes for granted.
void CheckPairs(const TokenTable& table, const std::string& name) {
  RequireFile(table.precompiled_charsmap.empty(), name,
              ": normalizes text (precompiled_charsmap has ", table.precompiled_charsmap.size(),
              " bytes), which a BPE model needs to do by the rule 'identity'");
  RequireFile(!*table.remove_extra_whitespaces, name,
              ": remove_extra_whitespaces is on, which a BPE model needs off");
}

// SentencePiece goes by the type, whatever trainer_spec says.
void FindUnknown(const std::string& name, TokenTable* table) {
  const auto is_unknown = [](int32_t type) {
    return type == static_cast<int32_t>(TokenType::kUnknown);
  };
  const auto it = std::find_if(table->types.begin(), table->types.end(), is_unknown);
  RequireFile(std::count_if(it, table->types.end(), is_unknown) == 1, name,
              ": a unigram model needs one piece of the type 2, unknown");
  table->unknown = static_cast<int32_t>(it - table->types.begin());
}

}  // namespace

TokenTable ParseSentencePiece(std::string_view bytes, const std::string& name) {
  TokenTable table;
  table.unknown = 0;  // defaults of trainer_spec
  table.bos = 1;
  table.eos = 2;
  table.add_bos = true;  // as the Llama family has it
  table.add_eos = false;
  table.remove_extra_whitespaces = true;  // default of normalizer_spec
  bool trainer = false, normalizer = false;
  for (Message m(bytes, name); m.Next();) {
    if (m.Is(1, kBytes)) ReadPiece({m.text, name}, &table);
    if (m.Is(2, kBytes)) ReadTrainerSpec({m.text, name}, name, &table), trainer = true;
    if (m.Is(3, kBytes)) ReadNormalizerSpec({m.text, name}, name, &table), normalizer = true;
    if (m.Is(5, kBytes)) CheckDenormalizerSpec({m.text, name}, name);
  }
  RequireFile(trainer && normalizer, name, ": has no ", trainer ? "normalizer" : "trainer",
              "_spec, is no SentencePiece model");
  if (table.model == "llama")
    CheckPairs(table, name);
  else
    FindUnknown(name, &table);
  return table;
}

}  // namespace mezzo
