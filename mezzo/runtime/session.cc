#include "mezzo/runtime/session.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "mezzo/runtime/shape_values.h"

namespace mezzo {
namespace {

using Clock = std::chrono::steady_clock;

void CheckInput(const ValueInfo& want, const Tensor& got) {
  Require(want.dtype == DType::kNone || got.dtype() == want.dtype, "input ", want.name, ": got ",
          Name(got.dtype()), ", needs ", Name(want.dtype));
  if (!want.has_shape) return;
  bool fits = got.rank() == want.shape.size();
  for (size_t i = 0; fits && i < want.shape.size(); ++i)
    fits = want.shape[i] < 0 || want.shape[i] == got.dim(i);
  if (fits) return;
  std::string needs;
  for (size_t i = 0; i < want.shape.size(); ++i)
    needs += (i ? "," : "") + (want.shape[i] >= 0 ? std::to_string(want.shape[i])
                               : i < want.dim_names.size() && !want.dim_names[i].empty()
                                   ? want.dim_names[i]
                                   : "?");
  throw UsageError(
      Cat("input ", want.name, ": got shape ", ToString(got.shape()), ", needs [", needs, "]"));
}

}  // namespace

// The graph with names resolved to slots. Nested graphs are programs of their own whose captured
// values are handed over from the frame around them.
struct Session::Program {
  struct Subprogram {
    std::unique_ptr<Program> program;
    std::vector<int> captured;  // slots here, in the order of program->captures
  };
  struct Step {
    const Node* node;
    OpEntry op;
    std::vector<int> inputs, outputs;  // slots; -1 if absent
    std::vector<char> last_use;        // per input: nobody reads the slot afterwards
    std::unique_ptr<bool[]> constant;
    std::vector<int> release;  // captured slots that end here
    std::map<std::string, Subprogram> subgraphs;
    bool follows = false;  // its outputs follow from the inputs' shapes
    mutable NodeState state;
  };
  // What followed from the shapes of a run's inputs, for later runs with the same.
  struct Followed {
    std::vector<Shape> shapes;
    std::vector<std::pair<int, Tensor>> values;  // that other steps read, by slot
  };

  const Graph& graph;
  SessionOptions options;
  size_t slot_count = 0;
  std::map<std::string, int> slot_of;
  std::vector<std::pair<int, Tensor>> constants;
  std::vector<char> is_constant;  // per slot
  std::vector<std::string> captures;
  std::vector<int> capture_slots, input_slots, output_slots;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<int> followed_slots;  // of values in Followed, in order
  mutable std::mutex followed_mutex;
  mutable std::shared_ptr<const Followed> followed;

  int NewSlot(const std::string& name, bool constant) {
    is_constant.push_back(constant);
    return slot_of[name] = static_cast<int>(slot_count++);
  }

  // `outer` is the program around this one, null for the outermost.
  Program(const Graph& g, const SessionOptions& o, const Program* outer) : graph(g), options(o) {
    for (const auto& [name, tensor] : g.initializers)
      constants.emplace_back(NewSlot(name, true), Widen4(tensor));
    for (const ValueInfo& in : g.inputs) input_slots.push_back(NewSlot(in.name, false));
    captures = Captures(g);
    for (const std::string& name : captures) {
      Require(outer && outer->slot_of.contains(name), "graph uses value ", name,
              ", which nothing makes");
      capture_slots.push_back(NewSlot(name, outer->is_constant[outer->slot_of.at(name)]));
    }
    for (const Node& node : g.nodes) AddStep(node);
    for (const ValueInfo& out : g.outputs) output_slots.push_back(slot_of.at(out.name));
    if (!outer) MarkFollowing();
    MarkLastUses();
    Prepare();
  }

  void MarkFollowing() {
    const std::vector<char> follow = FollowFromShapes(graph);
    std::vector<char> read(slot_count, 0);
    for (const int slot : output_slots) read[slot] = 1;
    for (size_t s = 0; s < steps.size(); ++s) {
      steps[s]->follows = follow[s];
      for (const int slot : steps[s]->inputs)
        if (slot >= 0 && !follow[s]) read[slot] = 1;
      for (const auto& [name, sub] : steps[s]->subgraphs)
        for (const int slot : sub.captured) read[slot] = 1;
    }
    for (const auto& step : steps)
      for (const int slot : step->outputs)
        if (step->follows && slot >= 0 && read[slot]) followed_slots.push_back(slot);
  }

  std::shared_ptr<const Followed> FollowedOf(const std::vector<Shape>& shapes) const {
    const std::lock_guard lock(followed_mutex);
    return followed && followed->shapes == shapes ? followed : nullptr;
  }
  // Keeps what a step that follows has made for other steps.
  void Keep(const Step& step, const std::vector<Tensor>& frame, Followed& kept) const {
    for (const int slot : step.outputs)
      if (std::binary_search(followed_slots.begin(), followed_slots.end(), slot))
        kept.values.emplace_back(slot, frame[slot]);
  }

  // Packs weights and the like, so that the first run is as fast as the others.
  void Prepare() const {
    std::vector<Tensor> frame(slot_count);
    for (const auto& [slot, tensor] : constants) frame[slot] = tensor;
    std::vector<const Step*> ready;
    for (const auto& step : steps)
      if (step->op.prepare) ready.push_back(step.get());
    options.threads.Each(ready.size(), [&](size_t i, size_t) {
      const Step& step = *ready[i];
      std::vector<Tensor> in(step.inputs.size());
      for (size_t k = 0; k < in.size(); ++k)
        if (step.inputs[k] >= 0) in[k] = frame[step.inputs[k]];
      OpContext ctx{*step.node,      in,        {step.constant.get(), in.size()}, {}, Threads(),
                    options.kernels, step.state};
      try {
        step.op.prepare(ctx);
      } catch (const UsageError&) {  // said when the node runs, if it does
      }
    });
  }

  void AddStep(const Node& node) {
    const OpEntry* op = OpTable::Get().Find(node.domain, node.op_type);
    Require(op, "node ", node.name, ": operator ", node.domain, node.domain.empty() ? "" : ":",
            node.op_type, " is not supported");
    for (const std::string& in : node.inputs) {
      const Tensor* t = node.Is("QuantizeLinear") ? graph.Initializer(in) : nullptr;
      Require(!t || !IsPacked(t->dtype()), "node ", node.name, ": QuantizeLinear to ",
              Name(t ? t->dtype() : DType::kNone), " is not supported");
    }
    auto step = std::make_unique<Step>();
    step->node = &node;
    step->op = *op;
    step->constant = std::make_unique<bool[]>(node.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int slot = node.inputs[i].empty() ? -1 : Slot(node, node.inputs[i]);
      step->inputs.push_back(slot);
      step->constant[i] = slot >= 0 && is_constant[slot];
    }
    for (const auto& [name, attribute] : node.attributes) {
      const auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute);
      if (!sub) continue;
      Subprogram& s = step->subgraphs[name];
      s.program = std::make_unique<Program>(**sub, options, this);
      for (const std::string& c : s.program->captures) s.captured.push_back(slot_of.at(c));
    }
    for (const std::string& out : node.outputs)
      step->outputs.push_back(out.empty() ? -1 : NewSlot(out, false));
    steps.push_back(std::move(step));
  }

  int Slot(const Node& node, const std::string& name) const {
    const auto it = slot_of.find(name);
    Require(it != slot_of.end(), "node ", node.name, " (", node.op_type, ") uses value ", name,
            " before it is made");
    return it->second;
  }

  void MarkLastUses() {
    std::vector<char> needed(slot_count, 0);
    for (const int slot : output_slots) needed[slot] = 1;
    for (size_t s = steps.size(); s-- > 0;) {
      Step& step = *steps[s];
      for (const auto& [name, sub] : step.subgraphs)
        for (const int slot : sub.captured)
          if (!std::exchange(needed[slot], 1)) step.release.push_back(slot);
      step.last_use.assign(step.inputs.size(), 0);
      for (size_t i = step.inputs.size(); i-- > 0;)  // of x * x, only the last x may be moved from
        if (step.inputs[i] >= 0) step.last_use[i] = !std::exchange(needed[step.inputs[i]], 1);
      // a value that nobody reads is dropped where it is made
      for (const int slot : step.outputs)
        if (slot >= 0 && !needed[slot]) step.release.push_back(slot);
    }
  }

  struct Runner : SubgraphRunner {
    const Step& step;
    const std::vector<Tensor>& frame;
    Runner(const Step& s, const std::vector<Tensor>& f) : step(s), frame(f) {}
    std::vector<Tensor> Run(const std::string& attribute, std::vector<Tensor> inputs) override {
      const auto it = step.subgraphs.find(attribute);
      Require(it != step.subgraphs.end(), "needs the graph attribute ", attribute);
      std::vector<Tensor> captured;
      for (const int slot : it->second.captured) captured.push_back(frame[slot]);
      return it->second.program->Run(std::move(inputs), std::move(captured), {}, nullptr);
    }
  };

  void RunStep(const Step& step, std::vector<Tensor>& frame, const ValueHook& hook) const {
    std::vector<Tensor> in(step.inputs.size());
    for (size_t i = 0; i < in.size(); ++i) {
      if (step.inputs[i] < 0) continue;
      Tensor& value = frame[step.inputs[i]];
      in[i] = step.last_use[i] ? std::move(value) : value;
      if (!step.op.channels_last && in[i].layout() != Layout::kPlain)
        in[i] = in[i].ToLayout(Layout::kPlain);
    }
    Runner runner(step, frame);
    OpContext ctx{*step.node,
                  in,
                  {step.constant.get(), in.size()},
                  std::vector<Tensor>(step.outputs.size()),
                  options.threads,
                  options.kernels,
                  step.state,
                  &runner};
    step.op.run(ctx);
    in.clear();
    for (size_t o = 0; o < step.outputs.size(); ++o) {
      if (step.outputs[o] < 0) continue;
      if (hook) hook(*step.node, o, ctx.out[o]);
      frame[step.outputs[o]] = std::move(ctx.out[o]);
    }
    for (const int slot : step.release) frame[slot] = {};
  }

  std::vector<Tensor> Run(std::vector<Tensor> inputs, std::vector<Tensor> captured,
                          const ValueHook& hook, std::vector<int64_t>* node_ns) const {
    Require(inputs.size() == input_slots.size(), "graph ", graph.name, " has ", input_slots.size(),
            " inputs, got ", inputs.size());
    std::vector<Tensor> frame(slot_count);
    for (const auto& [slot, tensor] : constants) frame[slot] = tensor;
    for (size_t i = 0; i < inputs.size(); ++i) frame[input_slots[i]] = std::move(inputs[i]);
    for (size_t i = 0; i < captured.size(); ++i) frame[capture_slots[i]] = std::move(captured[i]);
    // A hook wants to see, or to change, every value.
    const bool follow = !followed_slots.empty() && !hook;
    Followed kept;
    for (size_t i = 0; follow && i < input_slots.size(); ++i)
      kept.shapes.push_back(frame[input_slots[i]].shape());
    const std::shared_ptr<const Followed> before = follow ? FollowedOf(kept.shapes) : nullptr;
    if (before)
      for (const auto& [slot, value] : before->values) frame[slot] = value;
    for (const auto& step : steps) {
      if (before && step->follows) {
        if (node_ns) node_ns->push_back(0);
        continue;
      }
      const auto start = node_ns ? Clock::now() : Clock::time_point{};
      try {
        RunStep(*step, frame, hook);
      } catch (const UsageError& e) {
        throw UsageError(
            Cat("node ", step->node->name, " (", step->node->op_type, "): ", e.what()));
      }
      if (node_ns) node_ns->push_back((Clock::now() - start).count());
      if (follow && step->follows) Keep(*step, frame, kept);
    }
    if (follow && !before) {
      const std::lock_guard lock(followed_mutex);
      followed = std::make_shared<const Followed>(std::move(kept));
    }
    std::vector<Tensor> outputs;
    for (const int slot : output_slots) outputs.push_back(frame[slot].ToLayout(Layout::kPlain));
    return outputs;
  }

  std::vector<Tensor> RunNamed(const TensorMap& inputs, const ValueHook& hook,
                               std::vector<int64_t>* node_ns) const {
    std::vector<Tensor> ordered;
    for (const ValueInfo& want : graph.inputs) {
      const auto it = inputs.find(want.name);
      if (it == inputs.end()) {
        std::string given;
        for (const auto& [name, tensor] : inputs) given += " " + name;
        throw UsageError(Cat("the model needs input ", want.name, "; given:", given));
      }
      CheckInput(want, it->second);
      ordered.push_back(it->second);
    }
    return Run(std::move(ordered), {}, hook, node_ns);
  }
};

Session::Session(const Graph& graph, SessionOptions options)
    : program_(std::make_unique<Program>(graph, options, nullptr)) {}
Session::~Session() = default;

std::vector<Tensor> Session::Run(const TensorMap& inputs, const ValueHook& hook) const {
  return program_->RunNamed(inputs, hook, nullptr);
}

std::vector<Tensor> Session::Profile(const TensorMap& inputs, std::vector<int64_t>* ns) const {
  ns->clear();
  return program_->RunNamed(inputs, {}, ns);
}

namespace {

void CountUnsupported(const Graph& graph, std::map<std::string, int>& counts) {
  for (const Node& node : graph.nodes) {
    if (!OpTable::Get().Find(node.domain, node.op_type))
      ++counts[node.domain.empty() ? node.op_type : node.domain + ":" + node.op_type];
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        CountUnsupported(**sub, counts);
  }
}

}  // namespace

size_t BytesOf(const TensorMap& tensors) {
  size_t sum = 0;
  for (const auto& [name, t] : tensors) sum += t.bytes();
  return sum;
}

size_t PeakOfRun(const Session& session, const TensorMap& inputs, std::vector<Tensor>* outputs) {
  ResetTensorMemoryPeak();
  const size_t before = GetTensorMemory().live;
  std::vector<Tensor> made = session.Run(inputs);
  if (outputs) *outputs = std::move(made);
  return GetTensorMemory().peak - before;
}

std::vector<std::string> UnsupportedOperators(const Graph& graph) {
  std::map<std::string, int> counts;
  CountUnsupported(graph, counts);
  std::vector<std::string> names;
  for (const auto& [name, n] : counts) names.push_back(Cat(name, " (", n, ")"));
  return names;
}

}  // namespace mezzo
