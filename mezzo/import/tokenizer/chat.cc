#include "mezzo/import/tokenizer/chat.h"

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

struct Format {
  std::string_view name;
  ChatFormat format;
  std::string_view markers[2];  // that its template holds
};
constexpr Format kFormats[] = {
    {"none", ChatFormat::kNone, {}},
    {"chatml", ChatFormat::kChatMl, {"<|im_start|>", "<|im_end|>"}},
    {"llama-2", ChatFormat::kLlama2, {"[INST]", "<<SYS>>"}},
    {"llama-3", ChatFormat::kLlama3, {"<|start_header_id|>", "<|eot_id|>"}},
};

std::string Trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
}

// Users and assistants in turn; the system's message stands inside the first user's.
std::string Llama2(const std::vector<ChatMessage>& messages) {
  std::string prompt, system;
  bool user_next = true;
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto& [role, content] = messages[i];
    if (i == 0 && role == "system") {
      system = Cat("<<SYS>>\n", content, "\n<</SYS>>\n\n");
      continue;
    }
    Require(role == (user_next ? "user" : "assistant"), "chat llama-2: message ", i, " is from '",
            role, "', needs ", user_next ? "user" : "assistant");
    if (user_next)
      prompt += Cat(prompt.empty() ? "" : "<s>", "[INST] ", Trimmed(system + content), " [/INST]");
    else
      prompt += Cat(" ", Trimmed(content), " </s>");
    system.clear();
    user_next = !user_next;
  }
  Require(!user_next, "chat llama-2: the last message must be the user's");
  return prompt;
}

}  // namespace

ChatFormat ChatFormatOf(std::string_view name) {
  std::string known;
  for (const Format& f : kFormats) {
    if (f.name == name) return f.format;
    known += (known.empty() ? "" : ", ") + std::string(f.name);
  }
  throw UsageError(Cat("unknown chat format '", name, "', known are ", known));
}

ChatFormat RecognizeChat(std::string_view chat_template) {
  if (chat_template.empty()) return ChatFormat::kNone;
  const auto holds = [&](std::string_view marker) {
    return !marker.empty() && chat_template.find(marker) != chat_template.npos;
  };
  for (const Format& f : kFormats)
    if (holds(f.markers[0]) && holds(f.markers[1])) return f.format;
  throw UsageError(
      Cat("the chat template is none of chatml, llama-2, llama-3: ", chat_template.substr(0, 200)));
}

std::string ChatPrompt(ChatFormat format, const std::vector<ChatMessage>& messages) {
  if (format == ChatFormat::kLlama2) return Llama2(messages);
  std::string prompt;
  for (const auto& [role, content] : messages) {
    Require(role == "system" || role == "user" || role == "assistant", "chat: a message is from '",
            role, "', needs system, user or assistant");
    if (format == ChatFormat::kChatMl)
      prompt += Cat("<|im_start|>", role, "\n", content, "<|im_end|>\n");
    else if (format == ChatFormat::kLlama3)
      prompt +=
          Cat("<|start_header_id|>", role, "<|end_header_id|>\n\n", Trimmed(content), "<|eot_id|>");
    else
      prompt += content;
  }
  if (format == ChatFormat::kChatMl) prompt += "<|im_start|>assistant\n";
  if (format == ChatFormat::kLlama3) prompt += "<|start_header_id|>assistant<|end_header_id|>\n\n";
  return prompt;
}

}  // namespace mezzo
