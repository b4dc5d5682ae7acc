// mezzo convert: a language model in another program's format.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/cli/commands.h"
#include "mezzo/import/llm/export.h"

namespace mezzo {
namespace {

struct Options {
  std::string model, output, to;
  bool json = false;
};

void Run(const Options& o) {
  const std::filesystem::path out = o.output;
  const std::string to = !o.to.empty()                ? o.to
                         : out.extension() == ".gguf" ? "gguf"
                                                      : "compressed-tensors";
  Require(to == "gguf" || to == "compressed-tensors", "--to: got ", to,
          ", needs gguf or compressed-tensors");
  const LanguageModel model = LanguageModel::Open(o.model);
  const auto notes = to == "gguf" ? ExportGguf(model, out) : ExportCompressedTensors(model, out);
  if (o.json) {
    const nlohmann::ordered_json json{
        {"model", o.model}, {"output", o.output}, {"format", to}, {"notes", notes}};
    std::printf("%s\n", json.dump(1).c_str());
    return;
  }
  for (const std::string& note : notes) std::printf("note: %s\n", note.c_str());
  std::printf("wrote %s\n", o.output.c_str());
}

}  // namespace

void AddConvert(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand("convert",
                                     "A language model for llama.cpp, or for vLLM and "
                                     "transformers");
  auto o = std::make_shared<Options>();
  cmd->add_option("model", o->model, "A folder that quantize wrote; for gguf also a float model")
      ->required();
  cmd->add_option("output", o->output, "A .gguf, or the folder to make")->required();
  cmd->add_option("--to", o->to, "gguf or compressed-tensors (default: as the output is named)");
  cmd->add_flag("--json", o->json);
  cmd->callback([o] { Run(*o); });
}

}  // namespace mezzo
