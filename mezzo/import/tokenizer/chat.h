// Prompts for chat models. Checkpoints bring their template as a Jinja program; it is not run but
// recognized, by its markers, as one of the formats known here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mezzo {

enum class ChatFormat { kNone, kChatMl, kLlama2, kLlama3 };

// none, chatml, llama-2 or llama-3; UsageError for another name.
ChatFormat ChatFormatOf(std::string_view name);
// From the checkpoint's template; an empty one is kNone. UsageError if it is not recognized.
ChatFormat RecognizeChat(std::string_view chat_template);

struct ChatMessage {
  std::string role;  // system, user or assistant
  std::string content;
};

// The text up to where the assistant answers, to be encoded with add_special. kNone is the contents
// run together. A default system message, which some templates put first, is the caller's to add.
// UsageError for messages that the format has no place for.
std::string ChatPrompt(ChatFormat format, const std::vector<ChatMessage>& messages);

}  // namespace mezzo
