#include "mezzo/import/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

constexpr size_t kMaxPattern = 1 << 16;

std::string Message(int code) {
  unsigned char text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// What a match writes to; one for each thread.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 1 << 20, nullptr);
  Scratch() {
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_heap_limit(context, 64 << 10);  // KiB
  }
  Scratch(const Scratch&) = delete;
  ~Scratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

}  // namespace

Regex::Regex(std::string_view pattern, const std::string& where)
    : Regex(OnigurumaToPcre2(pattern, where), PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
            where) {}

Regex Regex::Literal(std::string_view text, const std::string& where) {
  return Regex(std::string(text), PCRE2_LITERAL, where);
}

Regex::Regex(const std::string& pattern, uint32_t options, const std::string& where)
    : literal_(options & PCRE2_LITERAL), where_(where) {
  RequireFile(pattern.size() <= kMaxPattern, where, ": is a regular expression of ", pattern.size(),
              " bytes, the limit is ", kMaxPattern);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   options | PCRE2_UTF, &error, &offset, nullptr);
  RequireFile(code != nullptr, where, ": the regular expression '", pattern.substr(0, 200),
              "' is wrong at byte ", offset, ": ", Message(error));
  code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it, the interpreter does
}

bool Regex::Match(std::string_view text, size_t from, size_t* begin, size_t* end) const {
  thread_local Scratch scratch;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto run = [&](uint32_t options) {
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       options | PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
  };
  int result = run(0);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = run(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  Require(result >= 0, where_, ": its regular expression gives up on a text of ", text.size(),
          " bytes: ", Message(result));
  const size_t* span = pcre2_get_ovector_pointer(scratch.data);
  *begin = span[0];
  *end = span[1];
  return true;
}

bool Regex::Next(std::string_view text, bool first, size_t* begin, size_t* end) const {
  const size_t last = *end;
  for (size_t from = last; from <= text.size();) {
    if (!Match(text, from, begin, end)) return false;
    if (first || *begin != *end || *end != last) return true;
    from += from < text.size() ? NextCodePoint(text, from).size() : 1;
  }
  return false;
}

bool Regex::Finds(std::string_view text) const {
  bool found = false;
  ForEachSpan(text, [&](std::string_view, bool match) { found = found || match; });
  return found;
}

}  // namespace mezzo
