#include "mezzo/evaluate/metrics/command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sstream>

#include "mezzo/base/files.h"
#include "mezzo/checkpoint/npz.h"

extern char** environ;

namespace mezzo {
namespace {

// Runs `command folder` by the shell, its output and errors into these files; its wait status.
int RunShell(const std::string& command, const std::string& folder, const std::string& out,
             const std::string& err) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  const std::string script = command + " \"$1\"";
  const char* argv[] = {"sh", "-c", script.c_str(), "sh", folder.c_str(), nullptr};
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, "/bin/sh", &files, nullptr, const_cast<char**>(argv), environ);
  posix_spawn_file_actions_destroy(&files);
  Require(error == 0, "metric command: cannot run the shell: ", std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// The last of a file, at most 4000 bytes.
std::string Tail(const std::filesystem::path& path) {
  const ByteSource source(path);
  const uint64_t n = std::min<uint64_t>(source.size(), 4000);
  std::string text(n, '\0');
  source.Read(source.size() - n, text.data(), n);
  while (text.ends_with('\n')) text.pop_back();
  return text.empty() ? " (it wrote nothing to standard error)" : "\n" + text;
}

bool ToNumber(const std::string& word, double* value) {
  char* end = nullptr;
  *value = std::strtod(word.c_str(), &end);
  return !word.empty() && *end == '\0' && std::isfinite(*value);
}

// "0.5", "name 0.5" or "0.5 name".
bool ParseAnswer(const std::string& line, std::string* name, double* value) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  if (words.empty() || words.size() > 2) return false;
  if (ToNumber(words.back(), value)) {
    if (words.size() == 2) *name = words[0];
    return true;
  }
  if (words.size() != 2 || !ToNumber(words[0], value)) return false;
  *name = words[1];
  return true;
}

class CommandMetric : public Metric {
 public:
  explicit CommandMetric(const MetricOptions& o) : o_(o) {
    Require(!o.command.empty(), "metric command: needs a command (--metric-command)");
  }
  std::string name() const override { return "command"; }
  bool higher_is_better() const override { return o_.higher_is_better; }
  bool needs_labels() const override { return false; }

  // values: the sample's index, for the list of samples.
  Contribution Measure(const Sample& sample, const Outputs& outputs,
                       const Outputs*) const override {
    std::map<std::string, Tensor> arrays;
    for (size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i].defined())
        arrays[i < o_.output_names.size() ? o_.output_names[i] : Cat("output", i)] =
            outputs[i].dtype() == DType::kBFloat16 ? Cast(outputs[i], DType::kFloat32) : outputs[i];
    std::string label;
    if (const auto* index = std::get_if<int64_t>(&sample.label)) {
      arrays["label"] = Tensor::Scalar(*index);
      label = std::to_string(*index);
    } else if (const auto* score = std::get_if<double>(&sample.label)) {
      arrays["label"] = Tensor::Scalar(*score);
      label = Cat(*score);
    } else if (const auto* target = std::get_if<Tensor>(&sample.label)) {
      arrays["label"] = *target;
    } else if (const auto* text = std::get_if<std::string>(&sample.label)) {
      label = *text;
    }
    char stem[32];
    std::snprintf(stem, sizeof stem, "%06zu", sample.index);
    NpzWriter writer(folder_.path() / Cat(stem, ".npz"), /*sync=*/false);
    for (const auto& [name, tensor] : arrays) writer.Add(name, tensor);
    writer.Commit();
    const std::string row = Cat(sample.index, ",", Quote(sample.name), ",", Quote(label), "\n");
    std::lock_guard lock(mutex_);
    measured_[sample.index] = row;
    return {std::nan(""), {static_cast<double>(sample.index)}};
  }

  void Merge(const Contribution& c) override {
    std::lock_guard lock(mutex_);
    rows_ += measured_.extract(static_cast<size_t>(c.values[0])).mapped();
    ++n_;
  }

  MetricResult Finish() override {
    Require(n_ > 0, "metric command: there are no samples");
    const TemporaryFolder answers;
    const std::filesystem::path data = folder_.path(), err = answers.path() / "stderr",
                                out = answers.path() / "stdout";
    WriteFile(data / "samples.csv", rows_);
    const int status = RunShell(o_.command, data.string(), out.string(), err.string());
    const bool exited = WIFEXITED(status);
    Require(exited && WEXITSTATUS(status) == 0, "metric command '", o_.command, "' failed with ",
            exited ? Cat("status ", WEXITSTATUS(status)) : Cat("signal ", WTERMSIG(status)), ":",
            Tail(err));
    const std::string text = ReadFile(out, 64 << 20), line = text.substr(0, text.find('\n'));
    MetricResult r{name(), 0, o_.higher_is_better, std::nan(""), n_, {}};
    Require(ParseAnswer(line, &r.name, &r.value), "metric command '", o_.command, "' answered '",
            line.substr(0, 200), "', needs a number, or a number and a name:", Tail(err));
    return r;
  }

 private:
  static std::string Quote(const std::string& s) {
    std::string quoted = "\"";
    for (const char c : s) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
  }

  MetricOptions o_;
  TemporaryFolder folder_;
  mutable std::mutex mutex_;
  mutable std::map<size_t, std::string> measured_;  // lines of samples.csv not yet merged, by index
  std::string rows_ = "index,name,label\n";
  size_t n_ = 0;
};

}  // namespace

std::unique_ptr<Metric> MakeCommandMetric(const MetricOptions& options) {
  return std::make_unique<CommandMetric>(options);
}

}  // namespace mezzo
