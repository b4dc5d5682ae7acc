#include <cctype>
#include <cstdlib>
#include <optional>
#include <utility>

#include "mezzo/import/tokenizer/stages.h"
#include "mezzo/import/tokenizer/unicode.h"
#include "mezzo/import/tokenizer/vocabulary.h"

namespace mezzo {
namespace {

// The byte that a token <0x41> stands for.
std::optional<char> ByteOf(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  for (const size_t i : {3, 4})
    if (!std::isxdigit(static_cast<unsigned char>(token[i]))) return std::nullopt;
  return static_cast<char>(std::strtoul(token.substr(3, 2).c_str(), nullptr, 16));
}

// The bytes that a token of the byte-level alphabet stands for; any other token is itself.
std::string BytesOf(const std::string& token) {
  static const auto kBytes = [] {
    TextMap<char> bytes;
    for (unsigned b = 0; b < 256; ++b)
      bytes[ByteCharacter(static_cast<unsigned char>(b))] = static_cast<char>(b);
    return bytes;
  }();
  std::string bytes;
  for (size_t i = 0; i < token.size();) {
    const std::string_view character = NextCodePoint(token, i);
    const auto it = kBytes.find(character);
    if (it == kBytes.end()) return token;
    bytes += it->second;
    i += character.size();
  }
  return bytes;
}

// Each byte that belongs to no code point becomes U+FFFD.
std::string ReplaceInvalidBytes(std::string_view bytes) {
  std::string out;
  for (size_t i = 0, n = 0; i < bytes.size(); i += n) {
    bool valid;
    n = CodePointBytes(bytes, i, &valid);
    for (size_t k = 0; k < n && !valid; ++k) out += kReplacementCharacter;
    if (valid) out += bytes.substr(i, n);
  }
  return out;
}

}  // namespace

Decoder DecodeBytes() {
  return [](std::vector<std::string>* texts) {
    std::string bytes;
    for (const std::string& token : *texts) bytes += BytesOf(token);
    *texts = {ReplaceInvalidUtf8(bytes)};
  };
}

Decoder DecodeByteTokens() {
  return [](std::vector<std::string>* texts) {
    std::vector<std::string> out;
    std::string run;
    const auto flush = [&] {
      if (ReplaceInvalidUtf8(run) == run)
        out.push_back(run);
      else
        out.insert(out.end(), run.size(), std::string(kReplacementCharacter));
      run.clear();
    };
    for (std::string& token : *texts) {
      if (const auto byte = ByteOf(token)) {
        run += *byte;
        continue;
      }
      if (!run.empty()) flush();
      out.push_back(std::move(token));
    }
    if (!run.empty()) flush();
    *texts = std::move(out);
  };
}

Decoder DecodeSpaces(std::string replacement, PrependScheme scheme) {
  const Regex mark = Regex::Literal(replacement, "Metaspace");
  return [=](std::vector<std::string>* texts) {
    for (size_t i = 0; i < texts->size(); ++i) {
      const bool dropped = i == 0 && scheme != PrependScheme::kNever;
      (*texts)[i] = ReplaceAll(mark, (*texts)[i], dropped ? "" : " ");
    }
  };
}

Decoder JoinTexts(std::string separator) {
  return [=](std::vector<std::string>* texts) {
    std::string all;
    for (size_t i = 0; i < texts->size(); ++i) all += (i > 0 ? separator : "") + (*texts)[i];
    *texts = {std::move(all)};
  };
}

Decoder ReplaceInTexts(Regex pattern, std::string content) {
  return [=](std::vector<std::string>* texts) {
    for (std::string& text : *texts) text = ReplaceAll(pattern, text, content);
  };
}

Decoder DecodePieces(bool add_prefix, bool remove_extra_spaces) {
  const Regex mark = Regex::Literal(kSpaceMark, "pieces");
  return [=](std::vector<std::string>* texts) {
    constexpr size_t kMarkBytes = sizeof(kSpaceMark) - 1;
    std::string all, run;
    bool drop = add_prefix || remove_extra_spaces;  // a mark that the next piece begins with
    const auto flush = [&] {
      all += ReplaceInvalidBytes(run);
      run.clear();
    };
    for (std::string_view piece : *texts) {
      if (const auto byte = ByteOf(std::string(piece))) {
        run += *byte;
        continue;
      }
      flush();
      drop = drop && all.empty();
      if (drop && piece.starts_with(kSpaceMark)) {
        piece.remove_prefix(kMarkBytes);
        drop = remove_extra_spaces;
      }
      all += ReplaceAll(mark, piece, " ");
    }
    flush();
    *texts = {std::move(all)};
  };
}

Decoder StripTexts(std::string character, size_t start, size_t stop) {
  return [=](std::vector<std::string>* texts) {
    for (std::string& text : *texts) {
      std::string_view rest = text;
      for (size_t i = 0; i < start && rest.starts_with(character); ++i)
        rest.remove_prefix(character.size());
      for (size_t i = 0; i < stop && rest.ends_with(character); ++i)
        rest.remove_suffix(character.size());
      text = std::string(rest);
    }
  };
}

}  // namespace mezzo
