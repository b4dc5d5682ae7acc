// Gradients of whole networks against differences. Needs MEZZO_SHARED_DATA.
//
// L is a random sum of the outputs, D(h) its central difference over a step h along some direction
// and g the gradient's product with that. Rounding moves L by `noise`, which is measured: what L
// does when every input moves by a rounding. Networks of ReLU are linear but for kinks, so steps
// are best just so large that they stand out of that: h = 200 noise / |g|, within a 1000th and a
// fifth of the values' root mean square. What kinks and curvature do to D(h / 4) is told by how it
// differs from D(h), with errors that grow as the root of h or faster, and by the slopes on both
// sides:
//
//   |g - D(h/4)| <= 8 noise / h + 3 |D(h) - D(h/4)| + |D+(h/4) - D-(h/4)| + |g| / 1000.
//
// Three elements of each weight are moved, and the whole weight along its gradient: nothing moves L
// more, so there the tolerance must be below a tenth of g for four of five weights.
#include <cstdlib>
#include <filesystem>

#include "mezzo/graph/passes.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/runtime/fold_constants.h"
#include "mezzo/runtime/gradient/check_test.h"
#include "mezzo/runtime/language.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

class NetworkGradient : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("MEZZO_SHARED_DATA");
    if (!root || !fs::exists(root))
      GTEST_SKIP() << "MEZZO_SHARED_DATA does not name a folder of real models";
    folder_ = root;
  }
  fs::path folder_;
};

double Dot(const Tensor& a, const Tensor& b) { return Along({a}, {b}); }

double RootMeanSquare(const Tensor& t) {
  return std::sqrt(Dot(t, t) / static_cast<double>(t.numel()));
}

// t + by * direction
Tensor Moved(const Tensor& t, const Tensor& direction, double by) {
  Tensor moved = t.ToLayout(Layout::kPlain).Clone();
  for (int64_t i = 0; i < t.numel(); ++i)
    moved.data<float>()[i] += static_cast<float>(by * direction.data<float>()[i]);
  return moved;
}

class Comparison {
 public:
  Comparison(const Graph& graph, const TensorMap& inputs, const std::set<std::string>& weights)
      : graph_(graph), inputs_(inputs) {
    std::set<std::string> wanted = weights;
    for (const auto& [name, t] : inputs)
      if (t.dtype() == DType::kFloat32) wanted.insert(name);
    const Gradient gradient(graph, wanted, {});
    const Tape tape = gradient.Forward(inputs);
    for (const Tensor& y : tape.outputs)
      directions_.push_back(Random(y.shape(), 7 + static_cast<unsigned>(directions_.size())));
    gradient.Reverse(tape, directions_, [&](const std::string& value, const Tensor& g) {
      EXPECT_TRUE(g_.emplace(value, g.ToLayout(Layout::kPlain)).second) << value;
    });
    EXPECT_EQ(g_.size(), wanted.size());
    at_ = Along(tape.outputs, directions_);
    for (unsigned seed = 0; seed < 4; ++seed) {
      TensorMap rounded = inputs;
      for (auto& [name, t] : rounded) {
        if (t.dtype() != DType::kFloat32) continue;
        Tensor by = Random(t.shape(), 100 + seed);
        for (int64_t i = 0; i < t.numel(); ++i) by.data<float>()[i] *= t.data<float>()[i];
        t = Moved(t, by, 1.2e-7);
      }
      noise_ = std::max(noise_, std::fabs(Loss(graph_, rounded) - at_));
    }
  }

  void CheckAll() {
    for (const auto& [name, g] : g_) {
      const bool constant = graph_.initializers.contains(name);
      const Tensor& at = constant ? graph_.initializers.at(name) : inputs_.at(name);
      std::mt19937 random(static_cast<unsigned>(name.size()));
      for (unsigned k = 0; k < 3; ++k) {
        Tensor direction = Random(g.shape(), 50 + k);
        if (constant) {  // one element
          direction = Tensor::Zeros(DType::kFloat32, g.shape());
          direction.data<float>()[random() % g.numel()] = 1;
        }
        CheckAlong(name, at, direction);
      }
      ++steepest_;
      sharp_ += CheckAlong(name, at, g) < 0.1;
    }
    EXPECT_GE(sharp_, 0.8 * steepest_) << "of " << steepest_;
  }

 private:
  double Loss(const Graph& graph, const TensorMap& inputs) const {
    return Along(Session(graph, {}).Run(inputs), directions_);
  }

  // The tolerance as a share of the difference.
  double CheckAlong(const std::string& name, const Tensor& value, const Tensor& direction) {
    float largest = 0;
    for (const float v : direction.span<float>()) largest = std::max(largest, std::fabs(v));
    if (largest == 0) return 1;
    const double scale = RootMeanSquare(value) / largest, g = Dot(g_.at(name), direction);
    const double h =
        std::clamp(200 * noise_ / std::max(std::fabs(g), 1e-30), 1e-3 * scale, 0.2 * scale);
    const auto loss = [&](double by) {
      TensorMap inputs = inputs_;
      Graph graph = graph_;
      (inputs.contains(name) ? inputs : graph.initializers)[name] = Moved(value, direction, by);
      return Loss(graph, inputs);
    };
    const double far = (loss(h) - loss(-h)) / (2 * h);
    const double up = (loss(h / 4) - at_) / (h / 4), down = (at_ - loss(-h / 4)) / (h / 4);
    const double d = (up + down) / 2;
    const double tolerance =
        8 * noise_ / h + 3 * std::fabs(far - d) + std::fabs(up - down) + std::fabs(g) / 100;
    EXPECT_NEAR(g, d, tolerance) << name << ", step " << h << ": " << far << "; a quarter: " << down
                                 << " and " << up;
    return tolerance / std::fabs(d);
  }

  const Graph& graph_;
  const TensorMap& inputs_;
  std::vector<Tensor> directions_;
  TensorMap g_;
  double at_ = 0, noise_ = 0;
  int steepest_ = 0, sharp_ = 0;
};

// Of layers, and all matrices that enter a branch.
std::set<std::string> Weights(const Graph& graph) {
  std::set<std::string> names;
  const auto add = [&](const std::string& name) {
    const Tensor* t = graph.Initializer(name);
    if (t && t->dtype() == DType::kFloat32 && t->rank() >= 2) names.insert(name);
  };
  for (const Node& node : graph.nodes) {
    if (node.Is("Conv") || node.Is("Gemm") || node.Is("MatMul"))
      for (const std::string& in : node.inputs) add(in);
    for (const std::string& captured : Captures(node)) add(captured);
  }
  return names;
}

// One sample of random numbers; pictures of 24 x 24 where any size will do, 36 ms of sound.
TensorMap RandomInputs(const Graph& graph) {
  const std::map<std::string, int64_t> sizes{{"H", 24}, {"W", 24}, {"sequence", 576}};
  TensorMap inputs;
  for (const ValueInfo& in : graph.inputs) {
    Shape shape = in.shape;
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i] < 0) {
        const auto it = sizes.find(i < in.dim_names.size() ? in.dim_names[i] : "");
        shape[i] = it == sizes.end() ? 1 : it->second;
      }
    inputs[in.name] = in.dtype == DType::kFloat32 ? Random(shape, 11)
                                                  : Tensor::Of<int64_t>({16000}, shape);  // rate
  }
  return inputs;
}

TEST_F(NetworkGradient, OfEveryModel) {
  int models = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "models")) {
    if (entry.path().extension() != ".onnx") continue;
    SCOPED_TRACE(entry.path().filename());
    Graph graph = ReadOnnx(entry.path()).graph;
    FoldConstants(graph);
    FoldScalesAndShifts(graph);
    const TensorMap inputs = RandomInputs(graph);
    Comparison(graph, inputs, Weights(graph)).CheckAll();
    ++models;
  }
  EXPECT_GT(models, 0);
}

TEST_F(NetworkGradient, OfABlockOfALanguageModel) {
  const fs::path path = folder_ / "llm/stories260K/stories260K-f32.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not there";
  const LanguageModel model = LanguageModel::Open(path);
  const Graph graph = model.Block(1);
  const std::vector<Window> windows{{1, 403, 407, 261, 378, 403, 300, 31, 7, 444, 90, 261}};
  Graph first = model.Block(0);
  const Tensor x = Session(first, {}).Run(BlockInputs(EmbedWindows(model, windows, {})[0]))[0];
  const TensorMap inputs = BlockInputs(x);
  Comparison(graph, inputs, Weights(graph)).CheckAll();
}

}  // namespace
}  // namespace mezzo
