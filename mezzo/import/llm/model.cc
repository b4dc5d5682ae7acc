#include "mezzo/import/llm/model.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "mezzo/checkpoint/gguf.h"
#include "mezzo/checkpoint/llama2c.h"
#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/builder.h"
#include "mezzo/import/llm/names.h"
#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

// Longer contexts than this many positions are not run here; the rotary tables end there.
constexpr int64_t kLongest = 1 << 15;

}  // namespace

// The graph of one piece; layer -1 is outside the blocks.
class LanguageModel::Builder : public GraphBuilder {
 public:
  Builder(const LanguageModel& model, int64_t layer)
      : model_(model), c_(model.config_), layer_(layer) {}

  bool gpt2() const { return model_.gpt2(); }

  std::string Name(const std::string& module) const {
    const std::string root = gpt2() ? "transformer." : "model.";
    if (module == "lm_head") return module;
    if (layer_ < 0) return root + module;
    return Cat(root, gpt2() ? "h." : "layers.", layer_, ".", module);
  }
  std::string Vector(const std::string& module, const char* kind, int64_t size) {
    return Constant(Name(module) + kind, model_.ReadVector(module + kind, layer_, size));
  }
  std::string Matrix(const std::string& module, int64_t rows, int64_t cols) {
    const auto m = model_.ReadMatrix(module, layer_, {rows, cols});
    const Tensor* plain = std::get_if<Tensor>(&m);
    const auto* groups = std::get_if<GroupCodes>(&m);
    return Constant(Name(module) + ".weight", plain    ? *plain
                                              : groups ? groups->Dequantize()
                                                       : std::get<RowCodes>(m).Dequantize());
  }
  std::string Linear(const std::string& module, const std::string& x, int64_t out, int64_t in) {
    std::vector<std::string> inputs{Quantized(x)};
    inputs.push_back(Matrix(module, out, in));
    if (model_.Holds(module + ".bias", layer_)) inputs.push_back(Vector(module, ".bias", out));
    const std::string y = Add("Gemm", Name(module), inputs, {{"transB", int64_t{1}}});
    const LowRank* path = model_.Path(module, layer_, {out, in});
    return path ? Recovered(Name(module), x, y, *path) : y;
  }
  std::string Recovered(const std::string& layer, const std::string& x, const std::string& y,
                        const LowRank& path) {
    const std::string a = Constant(layer + kPathA, path.a), b = Constant(layer + kPathB, path.b);
    const std::string t = Add("Gemm", layer + ".recovery_a", {x, a}, {{"transB", int64_t{1}}});
    return Add("Gemm", layer + ".recovery_b", {t, b, y}, {{"transB", int64_t{1}}});
  }
  // In the format that linear layers read.
  std::string Quantized(const std::string& x) {
    const auto& q = c_.quantization;
    if (!q || q->activations == "float") return x;
    const std::string name = x + ".quantized";
    if (quantized_.insert(name).second) {
      Add("QuantizeRows", name, {x}, {{"format", q->activations}, {"group", q->activation_group}});
      graph.nodes.back().domain = "mezzo";
    }
    return name;
  }
  std::string Norm(const std::string& module, const std::string& x) {
    std::vector<std::string> inputs{x, Vector(module, ".weight", c_.hidden)};
    if (gpt2()) inputs.push_back(Vector(module, ".bias", c_.hidden));
    return Add(gpt2() ? "LayerNormalization" : "RMSNormalization", Name(module), inputs,
               {{"axis", int64_t{-1}}, {"epsilon", c_.norm_epsilon}});
  }
  std::string Shaped(const std::string& x, std::vector<int64_t> shape) {
    const std::string to = Constant(x + ".shape", Tensor::Vector(shape));
    return Add("Reshape", x + ".reshaped", {x, to});
  }
  std::string Turned(const std::string& x, int64_t heads) {
    const std::string cos = Constant("rotary.cos", model_.cos_),
                      sin = Constant("rotary.sin", model_.sin_);
    return Add("RotaryEmbedding", x + ".rotated",
               {Shaped(x, {1, -1, heads * c_.head_size}), cos, sin, "positions"},
               {{"num_heads", heads}});
  }
  // Of tensors (1, tokens, heads * head_size); gives (tokens, heads * head_size).
  std::string Attend(const std::string& q, const std::string& k, const std::string& v) {
    const std::string y =
        Add("Attention", Name("attention"), {q, k, v},
            {{"q_num_heads", c_.heads}, {"kv_num_heads", c_.kv_heads}, {"is_causal", int64_t{1}}});
    return Shaped(y, {-1, c_.heads * c_.head_size});
  }
  void Hidden(const std::string& name) {
    Input(name, DType::kFloat32, {-1, c_.hidden}, {"tokens", ""});
  }
  void Positions() { Input("positions", DType::kInt64, {1, -1}, {"", "tokens"}); }

  Graph LlamaBlock() {
    const int64_t q_size = c_.heads * c_.head_size, kv_size = c_.kv_heads * c_.head_size;
    Hidden("x");
    Positions();
    const std::string n = Norm("input_layernorm", "x");
    const std::string q = Linear("self_attn.q_proj", n, q_size, c_.hidden),
                      k = Linear("self_attn.k_proj", n, kv_size, c_.hidden),
                      v = Linear("self_attn.v_proj", n, kv_size, c_.hidden);
    const std::string a =
        Attend(Turned(q, c_.heads), Turned(k, c_.kv_heads), Shaped(v, {1, -1, kv_size}));
    const std::string o = Linear("self_attn.o_proj", a, c_.hidden, q_size);
    const std::string x = Add("Add", Name("attention_residual"), {"x", o});
    const std::string m = Norm("post_attention_layernorm", x);
    const std::string gate = Linear("mlp.gate_proj", m, c_.feed_forward, c_.hidden),
                      up = Linear("mlp.up_proj", m, c_.feed_forward, c_.hidden);
    const std::string sigmoid = Add("Sigmoid", Name("mlp.sigmoid"), {gate});
    const std::string silu = Add("Mul", Name("mlp.silu"), {gate, sigmoid});
    const std::string act = Add("Mul", Name("mlp.act"), {silu, up});
    const std::string down = Linear("mlp.down_proj", act, c_.hidden, c_.feed_forward);
    Add("Add", Name("mlp_residual"), {x, down}, {}, "y");
    Output("y");
    return std::move(graph);
  }

  Graph Gpt2Block() {
    Hidden("x");
    Positions();
    const std::string qkv = Linear("attn.c_attn", Norm("ln_1", "x"), 3 * c_.hidden, c_.hidden);
    const std::string all = Shaped(qkv, {1, -1, 3 * c_.hidden});
    Add("Split", Name("attn.split"), {all}, {{"axis", int64_t{2}}, {"num_outputs", int64_t{3}}});
    graph.nodes.back().outputs = {Name("q"), Name("k"), Name("v")};
    const std::string a = Attend(Name("q"), Name("k"), Name("v"));
    const std::string o = Linear("attn.c_proj", a, c_.hidden, c_.hidden);
    const std::string x = Add("Add", Name("attention_residual"), {"x", o});
    const std::string up = Linear("mlp.c_fc", Norm("ln_2", x), c_.feed_forward, c_.hidden);
    const std::string act =
        Add("Gelu", Name("mlp.act"), {up}, {{"approximate", std::string("tanh")}});
    const std::string down = Linear("mlp.c_proj", act, c_.hidden, c_.feed_forward);
    Add("Add", Name("mlp_residual"), {x, down}, {}, "y");
    Output("y");
    return std::move(graph);
  }

  Graph EmbeddingGraph() {
    Input("ids", DType::kInt64, {-1}, {"tokens"});
    const std::string table = Matrix(gpt2() ? "wte" : "embed_tokens", c_.vocabulary, c_.hidden);
    if (!gpt2()) {
      Add("Gather", Name("embed"), {table, "ids"}, {}, "x");
    } else {
      Positions();
      const std::string rows = Add("Gather", Name("embed"), {table, "ids"});
      const std::string where =
          Add("Gather", Name("embed_positions"),
              {Matrix("wpe", c_.context, c_.hidden), Shaped("positions", {-1})});
      Add("Add", Name("embedding"), {rows, where}, {}, "x");
    }
    Output("x");
    return std::move(graph);
  }

  Graph HeadGraph() {
    Hidden("x");
    const std::string n = Norm(gpt2() ? "ln_f" : "norm", "x");
    const std::string w = Matrix(model_.HeadModule(), c_.vocabulary, c_.hidden);
    Add("Gemm", "lm_head", {n, w}, {{"transB", int64_t{1}}}, "logits");
    Output("logits");
    return std::move(graph);
  }

 private:
  const LanguageModel& model_;
  const LlmConfig& c_;
  const int64_t layer_;
  std::set<std::string> quantized_;
};

bool LanguageModel::Recognizes(const fs::path& path) {
  return fs::exists(path / "config.json") || path.extension() == ".gguf" ||
         path.extension() == ".bin";
}

LanguageModel LanguageModel::Open(const fs::path& path) {
  LanguageModel m;
  m.source_ = path;
  if (fs::is_directory(path)) {
    const fs::path config = path / "config.json";
    m.config_ = ParseHfConfig(ReadFile(config, uint64_t{1} << 24), config.string());
    m.checkpoint_ = std::make_shared<Safetensors>(ReadSafetensors(path));
    m.prefix_ = m.config_.architecture == "gpt2" ? "transformer." : "model.";
    const auto& tensors = m.checkpoint_->tensors;
    const auto first = tensors.lower_bound(m.prefix_);
    if (first == tensors.end() || !first->first.starts_with(m.prefix_)) m.prefix_.clear();
    if (HoldsAdapters(path)) m.ReadPaths();
  } else if (path.extension() == ".gguf") {
    Gguf file = ReadGguf(path);
    m.config_ = ConfigOf(file);
    m.names_ = Names::kGguf;
    m.checkpoint_ = std::make_shared<Gguf>(std::move(file));
  } else {
    Require(path.extension() == ".bin", path.string(), ": no language model, which would be a ",
            "folder with config.json and safetensors, a .gguf, or a llama2.c model (.bin)");
    Llama2c file = ReadLlama2c(path);
    m.config_ = ConfigOf(file);
    m.names_ = Names::kLlama2c;
    m.checkpoint_ = std::make_shared<Llama2c>(std::move(file));
  }
  const LlmConfig& c = m.config_;
  const auto pairs = static_cast<int64_t>(c.rotary.size());
  const int64_t rows = std::min(c.context, kLongest);
  m.cos_ = Tensor(DType::kFloat32, {rows, pairs});
  m.sin_ = Tensor(DType::kFloat32, {rows, pairs});
  for (int64_t p = 0; p < rows; ++p)
    for (int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(p) * c.rotary[i];
      m.cos_.data<float>()[p * pairs + i] = static_cast<float>(std::cos(angle));
      m.sin_.data<float>()[p * pairs + i] = static_cast<float>(std::sin(angle));
    }
  return m;
}

void LanguageModel::ReadPaths() {
  paths_ = ReadAdapters(source_);
  for (const auto& path : paths_) {
    const std::string& layer = path.first;
    const auto holds = [&](const char* what) {
      return checkpoint_->tensors.contains(layer + what);
    };
    RequireFile(holds(".weight") || holds(".weight_packed") || holds(".weight_codes"), this->path(),
                ": has an adapter for ", layer, ", which the model has not");
  }
}

const LowRank* LanguageModel::Path(const std::string& module, int64_t layer,
                                   const Shape& shape) const {
  if (paths_.empty()) return nullptr;
  const std::string name = LayerName(module, layer);
  const auto it = paths_.find(name);
  if (it == paths_.end()) return nullptr;
  const LowRank& p = it->second;
  RequireFile(p.b.dim(0) == shape[0] && p.a.dim(1) == shape[1], path(), ": the adapter of ", name,
              " has A ", ToString(p.a.shape()), " and B ", ToString(p.b.shape()), ", needs ",
              ToString(shape), " of B A");
  return &p;
}

std::string LanguageModel::FileName(const std::string& name, int64_t i) const {
  const size_t dot = name.rfind('.');
  const std::string module = name.substr(0, dot);
  if (names_ == Names::kHuggingFace) {
    const char* list = config_.architecture == "gpt2" ? "h." : "layers.";
    if (module == "lm_head") return name;
    return i < 0 ? prefix_ + name : Cat(prefix_, list, i, ".", name);
  }
  const ModuleName& known = FindModule(module);
  const bool gguf = names_ == Names::kGguf;
  const std::string list = gguf ? "blk." : "layers.";
  return (i < 0 ? "" : Cat(list, i, ".")) + (gguf ? known.gguf : known.llama2c) + name.substr(dot);
}

std::string LanguageModel::LayerName(const std::string& module, int64_t i) const {
  const std::string file = FileName(module + ".weight", i);
  return file.substr(0, file.rfind('.'));
}

bool LanguageModel::Holds(const std::string& name, int64_t i) const {
  return checkpoint_->tensors.contains(FileName(name, i));
}

const StoredTensor& LanguageModel::Stored(const std::string& name, int64_t i,
                                          const Shape& shape) const {
  const StoredTensor& t = checkpoint_->At(FileName(RotatedName(name), i));
  RequireFile(t.shape == shape, t.where, ": shape ", ToString(t.shape), ", needs ",
              ToString(shape));
  return t;
}

Tensor LanguageModel::HalvesApart(const std::string& module, const Tensor& t) const {
  if (!IsTurned(module) || !config_.interleaved) return t;
  const int64_t width = t.dim(1);
  Tensor out(DType::kFloat32, t.shape());
  for (int64_t r = 0; r < t.dim(0); ++r)
    std::copy_n(t.data<float>() + r * width, width,
                out.data<float>() + RowInHalves(r, config_.head_size) * width);
  return out;
}

StoredMatrix LanguageModel::ReadMatrix(const std::string& module, int64_t i,
                                       const Shape& shape) const {
  if (const auto& q = config_.quantization) {
    if (auto codes = ReadCodes(*checkpoint_, LayerName(module, i), q->format, shape))
      return *std::move(codes);
  }
  // GPT-2's linear layers are convolutions in Hugging Face's form: (in, out).
  if (gpt2() && names_ == Names::kHuggingFace && i >= 0)
    return Transposed(Stored(module + ".weight", i, {shape[1], shape[0]}).Read());
  Tensor w = HalvesApart(module, Stored(module + ".weight", i, shape).Read());
  RotateMatrix(module, i, w);
  return w;
}

Tensor LanguageModel::ReadVector(const std::string& name, int64_t i, int64_t size) const {
  const Tensor t = Stored(name, i, {size}).Read();
  Tensor v = HalvesApart(name.substr(0, name.rfind('.')), t.Reshape({size, 1})).Reshape({size});
  RotateVector(name, v);
  return v;
}

std::string LanguageModel::HeadModule() const {
  return !config_.tied ? "lm_head" : gpt2() ? "wte" : "embed_tokens";
}

void LanguageModel::EmbedRow(const std::string& module, int64_t row, float* to) const {
  const std::string file = FileName(module + ".weight");
  const std::string codes = file.substr(0, file.rfind('.')) + ".weight_codes";
  const bool coded = checkpoint_->tensors.contains(codes);
  const Tensor t = checkpoint_->At(coded ? codes : file).Rows(row, row + 1);
  RequireFile(t.numel() == config_.hidden, path(), ": rows of ", t.numel(), " in ", file,
              ", needs ", config_.hidden);
  float scale = 1;
  if (coded) scale = *checkpoint_->At(file + "_scale").Rows(row, row + 1).data<float>();
  for (int64_t c = 0; c < config_.hidden; ++c) to[c] = scale * t.data<float>()[c];
}

Tensor LanguageModel::Embed(std::span<const int32_t> ids, int64_t first) const {
  const auto tokens = static_cast<int64_t>(ids.size());
  Require(first + tokens <= positions(), path(), ": ", first + tokens, " positions, and it has ",
          positions());
  Tensor x(DType::kFloat32, {tokens, config_.hidden});
  std::vector<float> where(config_.hidden);
  for (int64_t t = 0; t < tokens; ++t) {
    Require(ids[t] >= 0 && ids[t] < config_.vocabulary, path(), ": token ", ids[t],
            " is not in its vocabulary of ", config_.vocabulary);
    float* to = x.data<float>() + t * config_.hidden;
    EmbedRow(gpt2() ? "wte" : "embed_tokens", ids[t], to);
    if (!gpt2()) continue;
    EmbedRow("wpe", first + t, where.data());
    for (int64_t c = 0; c < config_.hidden; ++c) to[c] += where[c];
  }
  RotateMatrix("embed_tokens", -1, x);
  return x;
}

Graph LanguageModel::Embedding() const { return Builder(*this, -1).EmbeddingGraph(); }

Graph LanguageModel::Block(int64_t i) const {
  Builder b(*this, i);
  return b.gpt2() ? b.Gpt2Block() : b.LlamaBlock();
}

Graph LanguageModel::Head() const { return Builder(*this, -1).HeadGraph(); }

}  // namespace mezzo
