// The program as its users start it: exit status, what it says, and what it leaves behind. Networks
// and language models, files that are whole and jobs that are ended: all by one fixture, which
// starts it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/base/files.h"
#include "mezzo/checkpoint/npz.h"
#include "mezzo/import/llm/tiny_model_test.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/import/onnx_writer.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

// A started program; its output and errors go to files.
struct Process {
  pid_t id = 0;
  int Wait() const {
    int status = 0;
    while (::waitpid(id, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
};

class Program : public testing::Test {
 protected:
  // A network of one product, and 40 samples whose classes it tells apart.
  void SetUp() override {
    fs::create_directory(temporary_);
    Model model;
    model.opset = 21;
    model.graph.inputs = {{"x", DType::kFloat32, {-1, 4}, {"N", ""}, true}};
    model.graph.outputs = {{"y", DType::kFloat32, {-1, 4}, {"N", ""}, true}};
    std::vector<float> weights(16), samples(160);
    std::vector<int64_t> labels(40);
    for (size_t i = 0; i < 4; ++i) weights[5 * i] = 1;
    for (size_t i = 0; i < 40; ++i) samples[4 * i + i % 4] = 1, labels[i] = i % 4;
    model.graph.initializers["w"] = Tensor::Of(weights, {4, 4});
    model.graph.nodes = {{"MatMul", "", "product", {"x", "w"}, {"y"}, {}}};
    WriteOnnx(model, model_);
    WriteNpz(data_, {{"x", Tensor::Of(samples, {40, 4})}, {"labels", Tensor::Vector(labels)}});
  }

  // `before` runs in the child, between fork and exec.
  Process Start(std::vector<std::string> arguments, const std::function<void()>& before = {}) {
    arguments.insert(arguments.begin(), MEZZO_PROGRAM);
    if (*MEZZO_EMULATOR) arguments.insert(arguments.begin(), MEZZO_EMULATOR);
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    const std::string out = out_.string(), err = err_.string(), temporary = temporary_.string();
    const pid_t child = ::fork();
    if (child != 0) return {child};
    ::setpgid(0, 0);
    ::setenv("TMPDIR", temporary.c_str(), 1);
    for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, SIG_DFL);
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    if (before) before();
    ::execvp(argv[0], argv.data());
    ::_exit(99);
  }
  // The exit status.
  int Run(const std::vector<std::string>& arguments, const std::function<void()>& before = {}) {
    const int status = Start(arguments, before).Wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::vector<std::string> Quantize(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"quantize",       model_.string(), "-o",
                                 output_.string(), "--data",        data_.string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::vector<std::string> Names(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
      names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }

  const TemporaryFolder folder_, logs_;
  const fs::path model_ = folder_.path() / "model.onnx", data_ = folder_.path() / "data.npz",
                 output_ = folder_.path() / "int8.onnx", out_ = logs_.path() / "out",
                 err_ = logs_.path() / "err", temporary_ = logs_.path() / "tmp";
};

TEST_F(Program, QuantizesAndMeasures) {
  ASSERT_EQ(Run(Quantize()), 0) << ReadFile(err_);
  EXPECT_EQ(Names(folder_.path()),
            (std::vector<std::string>{"data.npz", "int8.onnx", "int8.plan.json", "model.onnx"}));
  ASSERT_EQ(Run({"evaluate", output_.string(), "--data", data_.string()}), 0);
  EXPECT_TRUE(ReadFile(out_).starts_with("top1 1 ")) << ReadFile(out_);
}

TEST_F(Program, JsonIsAllThatQuantizePrints) {
  ASSERT_EQ(Run(Quantize({"--json"})), 0) << ReadFile(err_);
  const auto json = nlohmann::json::parse(ReadFile(out_));
  EXPECT_EQ(json["metric"]["float"], 1);
  EXPECT_EQ(json["metric"]["int8"], 1);
  EXPECT_EQ(json["metric"]["loss"], 0);
  EXPECT_EQ(json["macs"]["int8"], 1);
  EXPECT_EQ(json["bytes"]["int8"], fs::file_size(output_));
  EXPECT_GT(json["peak_memory_bytes"], 0);
  EXPECT_FALSE(json["stages"].empty());
  EXPECT_FALSE(json["ladder"].empty());
  EXPECT_NE(ReadFile(err_).find("all layers"), std::string::npos) << "steps are told on stderr";
}

TEST_F(Program, BenchTellsOfEachLayer) {
  ASSERT_EQ(Run(Quantize()), 0) << ReadFile(err_);
  const fs::path page = folder_.path() / "layers.html";
  ASSERT_EQ(Run({"bench", output_.string(), "--runs", "3", "--json", "--report", page.string()}), 0)
      << ReadFile(err_);
  const auto json = nlohmann::json::parse(ReadFile(out_));
  EXPECT_EQ(json["runs"], 3);
  ASSERT_EQ(json["layers"].size(), 2U);
  EXPECT_EQ(json["layers"][0]["operator"], "QuantizeLinear");
  const auto& product = json["layers"][1];
  EXPECT_EQ(product["name"], "product");
  EXPECT_EQ(product["operator"], "QMatMul");
  EXPECT_EQ(product["fused"], "MatMul");
  EXPECT_EQ(product["arithmetic"], "int8");
  EXPECT_EQ(product["output_shape"], (std::vector<int>{1, 4}));
  EXPECT_EQ(product["macs"], 16);
  EXPECT_GT(product["share_of_roofline"], 0);
  EXPECT_TRUE(ReadFile(page).ends_with("</html>\n"));
  EXPECT_EQ(nlohmann::json::parse(ReadFile(folder_.path() / "layers.json")), json);
  ASSERT_EQ(Run({"bench", model_.string(), "--runs", "3", "--layers"}), 0) << ReadFile(err_);
  EXPECT_NE(ReadFile(out_).find("GOP/s float"), std::string::npos) << ReadFile(out_);
  EXPECT_NE(ReadFile(out_).find("MatMul    1x4     product\n"), std::string::npos)
      << ReadFile(out_);
}

TEST_F(Program, SimulatesChips) {
  ASSERT_EQ(Run(Quantize()), 0) << ReadFile(err_);
  const auto simulate = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"simulate", output_.string(), "--data", data_.string(), "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const int status = Run(all);
    return status == 0 ? nlohmann::json::parse(ReadFile(out_)) : nlohmann::json(ReadFile(err_));
  };
  const auto json = simulate({"--sigma", "0,3", "--chips", "4"});
  ASSERT_TRUE(json.is_object()) << json;
  EXPECT_EQ(json["layers"].size(), 1U);
  EXPECT_EQ(json["metric"]["integer_engine"], 1);
  EXPECT_EQ(json["series"][0]["points"][0]["mean"], 1);
  EXPECT_EQ(json["series"][0]["points"][0]["values"].size(), 1u)
      << "without effects all chips are one";
  EXPECT_EQ(json["series"][0]["points"][1]["values"].size(), 4u);
  EXPECT_LT(simulate({"--stuck-at-0", "1", "--chips", "2"})["series"][0]["points"][0]["mean"], 1);
  EXPECT_GT(json["tops_per_watt"], 0);
  EXPECT_EQ(simulate({"--sigma", "0,3", "--chips", "4", "--threads", "1"})["series"],
            json["series"]);
  for (const auto& [option, value] :
       std::map<std::string, std::string>{{"--sigma", "-1"},
                                          {"--chips", "0"},
                                          {"--adc-bits", "17"},
                                          {"--stuck-at-0", "2"},
                                          {"--array-rows", "-1"},
                                          {"--drift", "nan"},
                                          {"--recovery-format", "nf4"},
                                          {"--energy", "much"}}) {
    const auto refusal = simulate({option, value});
    ASSERT_TRUE(refusal.is_string()) << option;
    EXPECT_NE(refusal.get<std::string>().find("mezzo: " + option), std::string::npos) << refusal;
  }
}

// With paths in the file, each kind is shown, and the page is written.
TEST_F(Program, SimulatesRecoveryPaths) {
  ASSERT_EQ(Run(Quantize({"--scheme", "nf4", "--recovery-rank", "2", "--tolerance", "1000%"})), 0)
      << ReadFile(err_);
  const fs::path page = folder_.path() / "chips.html";
  ASSERT_EQ(Run({"simulate", output_.string(), "--data", data_.string(), "--json", "--sigma", "0.1",
                 "--chips", "2", "--report", page.string()}),
            0)
      << ReadFile(err_);
  const auto json = nlohmann::json::parse(ReadFile(out_));
  ASSERT_EQ(json["series"].size(), 4U);
  EXPECT_EQ(json["series"][3]["recovery"], "chip");
  EXPECT_EQ(json["layers"][0]["rank"], 2);
  EXPECT_LT(json["layers"][0]["left"], json["layers"][0]["noise"]);
  EXPECT_TRUE(ReadFile(page).starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(fs::exists(folder_.path() / "chips.json"));
}

// Two products of 64 x 64 between 4 inputs and 4 classes.
Model TwoProducts() {
  Model model;
  model.opset = 21;
  Graph& g = model.graph;
  g.inputs = {{"x", DType::kFloat32, {-1, 4}, {"N", ""}, true}};
  g.outputs = {{"y", DType::kFloat32, {-1, 4}, {"N", ""}, true}};
  const auto add = [&](const std::string& name, const char* in, const char* out, Shape shape) {
    Tensor w(DType::kFloat32, std::move(shape));
    uint32_t state = 7;
    for (float& v : w.span<float>())
      v = static_cast<float>((state = state * 1664525 + 1013904223) >> 16) / 65536 - 0.5f;
    g.initializers["w_" + name] = w;
    g.nodes.push_back({"MatMul", "", name, {in, "w_" + name}, {out}, {}});
  };
  add("in", "x", "a", {4, 64});
  g.nodes.push_back({"Relu", "", "relu", {"a"}, {"r"}, {}});
  add("hidden", "r", "h", {64, 64});
  add("out", "h", "y", {64, 4});
  return model;
}

// What a plan promised is what quantize writes, byte for byte.
TEST_F(Program, PlansWithinBudgetsAndKeepsThem) {
  WriteOnnx(TwoProducts(), model_);
  const fs::path plan = folder_.path() / "plan.json", page = folder_.path() / "page.html";
  std::vector<std::string> arguments{
      "plan",     model_.string(), "--data", data_.string(), "-o",          plan.string(),
      "--budget", "size=60%",      "--json", "--report",     page.string(), "--budget",
      "bops=50%", "--front",       "2",      "--validate",   "4",           "--refine",
      "1"};
  ASSERT_EQ(Run(arguments), 0) << ReadFile(err_);
  const auto json = nlohmann::json::parse(ReadFile(out_));
  EXPECT_TRUE(json["optimality"]["proven"]);
  ASSERT_EQ(json["budgets"].size(), 2u);
  const auto& size = json["budgets"][0];
  EXPECT_LE(size["real"], size["limit"]);
  EXPECT_LE(json["budgets"][1]["planned"], json["budgets"][1]["limit"]);
  EXPECT_EQ(json["layers"].size(), 3u);
  EXPECT_EQ(json["series"].size(), 8u);
  EXPECT_TRUE(fs::exists(page));
  ASSERT_EQ(Run({"quantize", model_.string(), "--plan", plan.string(), "-o", output_.string()}), 0)
      << ReadFile(err_);
  EXPECT_EQ(size["real"], fs::file_size(output_));
  // the same seed, the same plan
  const std::string first = ReadFile(plan);
  arguments.insert(arguments.end(), {"--threads", "1"});
  ASSERT_EQ(Run(arguments), 0) << ReadFile(err_);
  EXPECT_TRUE(ReadFile(plan) == first);
}

// Where int8 is too large, a path beside two bits is the better choice; quantize writes it.
TEST_F(Program, PlansPathsOfNetworks) {
  WriteOnnx(TwoProducts(), model_);
  const fs::path plan = folder_.path() / "plan.json";
  const std::vector<std::string> arguments{"plan",   model_.string(),    "--data",   data_.string(),
                                           "-o",     plan.string(),      "--budget", "size=35%",
                                           "--json", "--recovery-ranks", "4,2",      "--formats",
                                           "nf2"};
  ASSERT_EQ(Run(arguments), 0) << ReadFile(err_);
  const auto json = nlohmann::json::parse(ReadFile(out_));
  const auto& hidden = json["layers"][1];
  EXPECT_EQ(hidden["options"].size(), 5U);
  const auto chosen =
      hidden["options"][hidden["chosen"].get<size_t>()]["format"].get<std::string>();
  EXPECT_TRUE(chosen.starts_with("nf2+r")) << chosen;
  const auto node = nlohmann::json::parse(ReadFile(plan))["nodes"]["hidden"];
  EXPECT_EQ(Cat("nf2+r", node["recovery"]["rank"].get<int>()), chosen);
  ASSERT_EQ(Run({"quantize", model_.string(), "--plan", plan.string(), "-o", output_.string()}), 0)
      << ReadFile(err_);
  EXPECT_EQ(json["budgets"][0]["real"], fs::file_size(output_));
  EXPECT_TRUE(HasPaths(ReadOnnx(output_).graph));
}

TEST_F(Program, RefusesBudgetsAndLayersThatAreNone) {
  WriteOnnx(TwoProducts(), model_);
  const auto refusal = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all{"plan",
                                 model_.string(),
                                 "--data",
                                 data_.string(),
                                 "-o",
                                 (folder_.path() / "plan.json").string(),
                                 "--sensitivity-samples",
                                 "4"};
    all.insert(all.end(), more.begin(), more.end());
    EXPECT_EQ(Run(all), 1);
    return ReadFile(err_);
  };
  EXPECT_NE(refusal({"--budget", "size=1kB"}).find("at least"), std::string::npos);
  EXPECT_NE(refusal({"--budget", "size=5Mb"}).find("5Mb"), std::string::npos);
  EXPECT_NE(refusal({"--budget", "width=5"}).find("width"), std::string::npos);
  EXPECT_NE(refusal({"--budget", "size=-5"}).find("-5"), std::string::npos);
  EXPECT_NE(refusal({"--budget", "size=90%", "--exclude", "nobody"}).find("nobody"),
            std::string::npos);
  EXPECT_NE(refusal({"--budget", "size=90%", "--tie", "in+nobody"}).find("nobody"),
            std::string::npos);
  EXPECT_NE(refusal({"--budget", "size=90%", "--budget", "size=80%"}).find("twice"),
            std::string::npos);
  EXPECT_NE(refusal({"--budget", "size=90%", "--formats", "int9"}).find("int9"), std::string::npos);
  EXPECT_NE(refusal({"--budget", "latency=9ms", "--recovery-ranks", "2"}).find("latency=9ms"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(folder_.path() / "plan.json"));
}

TEST_F(Program, RefusesWithStatusAndCulprit) {
  EXPECT_EQ(Run({"quantize"}), 2);
  EXPECT_EQ(Run({"inspect", "/nonexistent/model.onnx"}), 1);
  EXPECT_EQ(ReadFile(err_),
            "mezzo: /nonexistent/model.onnx: cannot be opened: No such file or directory\n");
}

TEST_F(Program, RefusesOptionsOfTheOtherKindOfModel) {
  EXPECT_EQ(Run(Quantize({"--rtn"})), 1);
  EXPECT_EQ(ReadFile(err_),
            "mezzo: --rtn is for language models; " + model_.string() + " is a network\n");
  EXPECT_EQ(Run({"evaluate", model_.string(), "--data", data_.string(), "--windows", "3"}), 1);
  EXPECT_EQ(Run({"bench", model_.string(), "--kv", "int8"}), 1);
  const fs::path text = temporary_ / "tiny";
  TinyModel::WriteLlama(text, nlohmann::json::object());
  EXPECT_EQ(Run({"bench", text.string(), "--layers"}), 1);
  EXPECT_NE(ReadFile(err_).find("--layers is for networks"), std::string::npos) << ReadFile(err_);
  EXPECT_EQ(Run({"plan", text.string(), "--data", data_.string(), "-o", "p.json", "--budget",
                 "size=90%", "--no-tuning"}),
            1);
}

TEST_F(Program, SaysWhatLabelsLeaveOut) {
  Model model;
  model.opset = 21;
  model.graph.inputs = {{"x", DType::kFloat32, {-1, 3, -1, -1}, {"N", "", "H", "W"}, true}};
  model.graph.outputs = {{"y", DType::kFloat32, {-1, 3, 1, 1}, {"N", "", "", ""}, true}};
  model.graph.nodes = {{"GlobalAveragePool", "", "pool", {"x"}, {"y"}, {}}};
  WriteOnnx(model, model_);
  const fs::path pictures = temporary_ / "pictures", preprocess = temporary_ / "none.json";
  fs::create_directory(pictures);
  for (const char* name : {"a.png", "b.png", "c.png"})
    fs::copy_file(fs::path(MEZZO_SOURCE_DIR) / "tests/corpus/image/ok_rgb.png", pictures / name);
  WriteFile(pictures / "labels.csv", "file,class_index\nb.png,1\n");
  WriteFile(preprocess, "{}");
  ASSERT_EQ(Run({"evaluate", model_.string(), "--data", pictures.string(), "--preprocess",
                 preprocess.string()}),
            0)
      << ReadFile(err_);
  EXPECT_EQ(ReadFile(err_), "mezzo: note: " + pictures.string() +
                                "/labels.csv does not list 2 files, which are left out: a.png and "
                                "others\n");
}

// The metric command is what is running when the signal comes: the writer of the output and the
// folder of the command exist then.
TEST_F(Program, SignalLeavesNothingBehind) {
  const fs::path started = logs_.path() / "started";
  for (const int signal : {SIGINT, SIGTERM}) {
    fs::remove(started);
    const std::string command = "touch '" + started.string() + "'; sleep 100; true";
    const Process process = Start(Quantize({"--metric-command", command}));
    for (int i = 0; i < 3000 && !fs::exists(started); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(fs::exists(started)) << ReadFile(err_);
    EXPECT_FALSE(fs::is_empty(temporary_));
    EXPECT_EQ(Names(folder_.path()).size(), 3u);
    ::kill(-process.id, signal);  // to the group, as a terminal does
    const int status = process.Wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
    EXPECT_TRUE(fs::is_empty(temporary_));
    EXPECT_EQ(Names(folder_.path()), (std::vector<std::string>{"data.npz", "model.onnx"}));
  }
}

TEST_F(Program, FileThatDoesNotFitLeavesNothingBehind) {
  const auto limit = [] {
    const rlimit bytes{200, 200};
    ::setrlimit(RLIMIT_FSIZE, &bytes);
  };
  EXPECT_EQ(Run(Quantize(), limit), 1);
  EXPECT_EQ(ReadFile(err_), "mezzo: " + output_.string() + ": cannot be written: File too large\n");
  EXPECT_EQ(Names(folder_.path()), (std::vector<std::string>{"data.npz", "model.onnx"}));
}

TEST_F(Program, OutputThatIsLostIsAnError) {
  const auto full = [] { ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO); };
  EXPECT_EQ(Run({"inspect", model_.string()}, full), 1);
  EXPECT_EQ(ReadFile(err_), "mezzo: standard output: cannot be written\n");
}

TEST_F(Program, ConvertWritesALanguageModel) {
  const fs::path model = temporary_ / "tiny", out = temporary_ / "tiny.gguf";
  TinyModel::WriteLlama(model, nlohmann::json::object());
  EXPECT_EQ(Run({"convert", model.string(), out.string()}), 1);
  EXPECT_NE(ReadFile(err_).find("has no tokenizer.json"), std::string::npos) << ReadFile(err_);
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(Run({"convert", model.string(), out.string(), "--to", "onnx"}), 1);
  EXPECT_NE(ReadFile(err_).find("needs gguf or compressed-tensors"), std::string::npos);
  WriteFile(model / "tokenizer.json", R"({"version": "1.0", "model": {"type": "BPE",
      "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "ByteLevel",
      "add_prefix_space": false, "trim_offsets": true, "use_regex": true}})");
  EXPECT_EQ(Run({"convert", model.string(), out.string(), "--json"}), 0) << ReadFile(err_);
  EXPECT_EQ(nlohmann::json::parse(ReadFile(out_)).at("format"), "gguf");
  EXPECT_TRUE(fs::exists(out));

  const fs::path text_file = temporary_ / "text.txt", folder = temporary_ / "tiny-w4a8";
  WriteFile(text_file, std::string(64, 'a'));
  EXPECT_EQ(Run({"quantize", model.string(), "-o", folder.string(), "--data", text_file.string(),
                 "--context", "16", "--windows", "2", "--group-size", "16", "--json"}),
            0)
      << ReadFile(err_);
  EXPECT_FALSE(nlohmann::json::parse(ReadFile(out_)).at("layers").empty());
  EXPECT_NE(ReadFile(err_).find("wrote"), std::string::npos);

  // The same text whatever the threads, as drawn by the seed.
  const auto made = [&](const fs::path& from, const std::vector<std::string>& options) {
    std::vector<std::string> command{"generate", from.string(), "aaa", "--raw", "--tokens", "9"};
    command.insert(command.end(), options.begin(), options.end());
    EXPECT_EQ(Run(command), 0) << ReadFile(err_);
    return ReadFile(out_);
  };
  // The file names the ids that the tokenizer has not.
  const std::string text = made(out, {"--temperature", "3", "--threads", "1"});
  EXPECT_NE(text.find("[PAD"), std::string::npos) << text;
  EXPECT_EQ(made(out, {"--temperature", "3", "--threads", "2"}), text);
  EXPECT_EQ(made(model, {"--temperature", "3"}), "\n");
  EXPECT_NE(ReadFile(err_).find("3 tokens read"), std::string::npos) << ReadFile(err_);
  EXPECT_EQ(Run({"generate", model.string(), std::string(70, 'a'), "--raw"}), 1);
  EXPECT_NE(ReadFile(err_).find("the prompt has 70 tokens, and the context 64"), std::string::npos)
      << ReadFile(err_);
  EXPECT_EQ(Run({"bench", model.string(), "--prompt", "8", "--tokens", "4", "--json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(ReadFile(out_)).at("prompt_tokens"), 8);
}

}  // namespace
}  // namespace mezzo
