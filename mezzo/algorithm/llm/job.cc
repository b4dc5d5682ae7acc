#include "mezzo/algorithm/llm/job.h"

#include <nlohmann/json.hpp>

#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/algorithm/recovery/low_rank_fit.h"
#include "mezzo/base/files.h"
#include "mezzo/base/hash.h"
#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/shards.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Noise of a layer's outputs, as a share of their power.
class OutputNoise {
 public:
  OutputNoise(const Tensor& weight, const Hessian& h, const Threads& threads)
      : weight_(weight),
        threads_(threads),
        h_(h.sums(), h.depth(), h.depth(), h.depth(), 1, threads),
        power_(WeightedSquares(weight, h_, threads)) {}

  double Of(const Tensor& rounded) const {
    return power_ > 0 ? WeightedSquares(Difference(weight_, rounded), h_, threads_) / power_ : 0;
  }

 private:
  const Tensor& weight_;
  const Threads& threads_;
  const PackedB h_;
  const double power_;
};

Json ToJson(const LayerOutcome& l) {
  return {{"layer", l.name}, {"error", l.error}, {"damping", l.damping}};
}

class Writer {
 public:
  Writer(const LanguageModel& model, const LlmJob& job, const fs::path& out)
      : model_(model), job_(job), out_(out), part_(PartOf(out)), folder_(model, part_) {}

  std::vector<LayerOutcome> Run() {
    Require(!fs::exists(out_), out_.string(), ": exists already");
    try {
      Work();
    } catch (...) {
      std::error_code ignored;  // of clearing up: what went wrong before counts
      if (!fs::exists(State(), ignored)) fs::remove_all(part_, ignored);  // nothing to go on from
      throw;
    }
    return std::move(outcomes_);
  }

 private:
  void Work() {
    std::vector<Tensor> x;
    const int64_t first = Begin(x);
    if (first == 0) x = EmbedWindows(model_, job_.windows, job_.threads);
    QuantizeBlocks(
        model_, first, std::move(x), job_.stored, job_.threads,
        {[&](const Node& node, const Tensor& w, const Hessian& h) { return Round(node, w, h); },
         [&](int64_t block, const Graph& graph, const std::vector<Tensor>& y) {
           WriteBlock(block, graph, y);
         }});
    folder_.WriteTables(job_.float_head);
    Finish();
  }

  fs::path State() const { return part_ / "state.safetensors"; }

  static std::string Hash(const std::vector<Window>& windows) {
    uint64_t hash = Fnv1a({});
    for (const Window& w : windows)
      hash = Fnv1a({reinterpret_cast<const uint8_t*>(w.data()), w.size() * sizeof(w[0])}, hash);
    return Cat(hash);
  }

  // The model's files by size and time: one that was mended in between is another model.
  Json Files() const {
    Json files = Json::object();
    const auto add = [&](const fs::path& file) {
      files[file.filename().string()] = {fs::file_size(file),
                                         fs::last_write_time(file).time_since_epoch().count()};
    };
    if (!fs::is_directory(model_.path())) {
      add(model_.path());
      return files;
    }
    for (const fs::directory_entry& e : fs::directory_iterator(model_.path()))
      if (e.is_regular_file()) add(e.path());
    return files;
  }

  // All that the result depends on.
  std::string Key() const {
    const TextTraining& t = job_.recovery.training;
    const GroupRounding& r = job_.rounding;
    Json precisions = Json::object();
    for (const auto& [layer, p] : job_.precisions) precisions[layer] = Name(p);
    return Json{{"model", fs::weakly_canonical(model_.path()).string()},
                {"files", Files()},
                {"layers", model_.config().layers},
                {"windows", job_.windows.size()},
                {"tokens", Hash(job_.windows)},
                {"stored", ToJson(job_.stored)},
                {"float_head", job_.float_head},
                {"rotated", model_.rotated()},
                {"precisions", precisions},
                {"recovery_rank", job_.recovery.rank},
                {"recovery_ranks", job_.recovery.ranks},
                {"alternations", job_.recovery.alternations},
                {"recovery_fit", static_cast<int>(job_.recovery.fit)},
                {"trained_on", {Hash(t.windows), Hash(t.held_out)}},
                {"training", {t.epochs, t.batch, t.rate, t.seed}},
                {"reorder", r.reorder},
                {"correct", r.correct},
                {"search", r.search},
                {"damping", r.damping}}
        .dump(1);
  }

  // The first block to do; x is what it reads if that is not the first of all.
  int64_t Begin(std::vector<Tensor>& x) {
    const fs::path job = part_ / "job.json";
    if (!fs::exists(job)) {
      fs::create_directories(part_);
      WriteFile(job, Key());
      return 0;
    }
    Require(ReadFile(job) == Key(), part_.string(),
            ": is of another job (see its job.json); remove it or choose another output");
    if (!fs::exists(State())) return 0;
    const Safetensors state = ReadSafetensors(State());
    const Json outcomes = Json::parse(state.metadata.at("outcomes"));
    for (const Json& l : outcomes)
      outcomes_.push_back({l.at("layer"), l.at("error"), l.at("damping")});
    for (size_t i = 0; i < job_.windows.size(); ++i) x.push_back(state.At(Cat(i)).Read());
    paths_ = PathsIn(state);
    const int64_t done = std::stoll(state.metadata.at("blocks"));
    if (job_.resumed) job_.resumed(done);
    return done;
  }

  QuantizedLinear Round(const Node& node, const Tensor& weight, const Hessian& h) {
    LayerOutcome outcome{node.name};
    QuantizedLinear made{weight, {}};
    if (const LlmPrecision p = PrecisionOf(job_.precisions, node.name); p != LlmPrecision::kFloat) {
      const OutputNoise noise(weight, h, job_.threads);
      if (p == LlmPrecision::kInt8) {
        RowCodes codes = RoundRows(weight);
        outcome.error = noise.Of(codes.Dequantize());
        made.matrix = std::move(codes);
      } else {
        try {
          made = RoundFourBits(node, weight, h, noise, outcome);
        } catch (const UsageError& e) {
          throw UsageError(Cat(model_.path(), ": layer ", node.name, ": ", e.what()));
        }
      }
    }
    folder_.Add(node.name, node.inputs[1], made.matrix);
    if (made.path) paths_[node.name] = *made.path;
    outcomes_.push_back(outcome);
    if (job_.layer_done) job_.layer_done(outcome);
    return made;
  }

  // The codes, and the path if the layer gets one.
  QuantizedLinear RoundFourBits(const Node& node, const Tensor& weight, const Hessian& h,
                                const OutputNoise& noise, LayerOutcome& outcome) const {
    const LlmRecovery& r = job_.recovery;
    const auto own = r.ranks.find(node.name);
    const int64_t rank = own == r.ranks.end() ? r.rank : own->second;
    const std::vector<float> weighed =
        rank > 0 ? Weighed(r.fit, h.Full(job_.threads)) : std::vector<float>();
    Tensor left = weight;  // for the codes to stand for
    QuantizedLinear best;
    for (int i = 0; i == 0 || (rank > 0 && i <= r.alternations); ++i) {
      GroupCodes codes = RoundGroups(left, h, job_.rounding, job_.threads, &outcome.damping);
      Tensor all = codes.Dequantize();
      std::optional<LowRank> path;
      if (rank > 0) {
        path = RoundToBFloat16(FitLowRank(Difference(weight, all), weighed, rank, job_.threads));
        const Tensor product = Product(*path, job_.threads);
        left = Difference(weight, product);
        all = Sum(all, product);
      }
      const double error = noise.Of(all);
      if (i > 0 && error >= outcome.error) break;
      outcome.error = error;
      best = {std::move(codes), std::move(path)};
    }
    return best;
  }

  void WriteBlock(int64_t block, const Graph& graph, const std::vector<Tensor>& y) {
    folder_.WriteBlock(block, graph);
    std::vector<TensorBytes> state;
    for (size_t i = 0; i < y.size(); ++i) state.push_back(ToBytes(Cat(i), y[i]));
    for (TensorBytes& t : PathTensors(paths_)) state.push_back(std::move(t));
    Json outcomes = Json::array();
    for (const LayerOutcome& l : outcomes_) outcomes.push_back(ToJson(l));
    WriteTensors(State(), state, {{"blocks", Cat(block + 1)}, {"outcomes", outcomes.dump()}});
  }

  LlmRanks Ranks() const {
    LlmRanks ranks;
    for (const auto& [layer, path] : paths_) ranks[layer] = path.rank();
    return ranks;
  }

  void WritePaths() const { WriteAdapters(part_, paths_, out_.filename().string(), model_.gpt2()); }

  void Train() {
    TextTraining training = job_.recovery.training;
    training.state = part_ / "training.safetensors";
    training.threads = job_.threads;
    paths_ = TrainPaths(model_, LanguageModel::Open(part_), training);
    WritePaths();
    fs::remove(training.state);
  }

  void Finish() {
    folder_.Finish(job_.stored);
    if (!paths_.empty()) {
      WritePaths();
      if (!job_.recovery.training.windows.empty()) Train();
    }
    WriteFile(part_ / "plan.json",
              mezzo::ToJson(LlmPlan{job_.stored, job_.float_head, model_.rotated(), job_.precisions,
                                    Ranks(), job_.windows.size(), outcomes_}));
    fs::remove(State());
    fs::remove(part_ / "job.json");
    fs::rename(part_, out_);
  }

  const LanguageModel& model_;
  const LlmJob& job_;
  const fs::path out_, part_;
  std::vector<LayerOutcome> outcomes_;
  LowRanks paths_;
  QuantizedFolder folder_;
};

}  // namespace

double EstimateMemory(const LanguageModel& model, const LlmJob& job) {
  const LlmConfig& c = model.config();
  const double d = static_cast<double>(c.hidden), f = static_cast<double>(c.feed_forward);
  const auto q = static_cast<double>(c.heads * c.head_size),
             kv = static_cast<double>(c.kv_heads * c.head_size);
  const double weights = d * (2 * q + 2 * kv) + 3 * d * f;
  const double most = std::max({d, q, f});
  double tokens = 0, longest = 0;
  for (const Window& w : job.windows) {
    tokens += static_cast<double>(w.size());
    longest = std::max(longest, static_cast<double>(w.size()));
  }
  const double tables = 2 * static_cast<double>(c.vocabulary) * d;  // as float, and as bytes
  // Weights as read, as they go on, packed for products, and coded; H, its factor and the inverse;
  // the block's input and the widest pair of values behind it. Twice, for what the allocator keeps
  // of values that came and went; and a run of a window for each thread.
  const double block =
      4.25 * weights + 4 * most * most + tokens * (2 * d + 2 * std::max(f, q + kv));
  const double run = static_cast<double>(job.threads.count()) * longest * (3 * d + 3 * f);
  return 4 * (std::max(2 * block, tables) + run) + 50e6;
}

std::vector<LayerOutcome> QuantizeLanguageModel(const LanguageModel& model, const LlmJob& job,
                                                const fs::path& out) {
  Require(!job.windows.empty(), "calibration needs at least one window of text");
  Require(!model.config().quantization, model.path(), ": is quantized already");
  return Writer(model, job, out).Run();
}

}  // namespace mezzo
