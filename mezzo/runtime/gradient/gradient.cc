#include "mezzo/runtime/gradient/gradient.h"

#include <unordered_map>
#include <utility>

#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {

bool HasGradient(const Node& node) { return GradientTable::Get().Find(node) != nullptr; }

struct Gradient::Program {
  struct Step {
    const Node* node;
    GradientRule rule;  // null where no gradient passes
    std::vector<int> inputs, outputs;
    std::vector<char> wanted, constant;
    std::vector<int> last;  // wanted initializers that no earlier node reads
    mutable NodeState state;
  };

  const Graph& graph;
  Threads threads;
  Session session;
  std::unordered_map<std::string, int> slot_of;
  std::vector<std::string> names;  // by slot
  std::vector<std::unique_ptr<Step>> steps;
  std::unordered_map<const Node*, const Step*> step_of;
  std::vector<char> wanted, depends;  // by slot; `depends` on a wanted one, or is one

  Program(const Graph& g, const std::set<std::string>& values, Threads t)
      : graph(g), threads(t), session(g, {t}) {
    for (const auto& [name, tensor] : g.initializers) Slot(name);
    for (const ValueInfo& in : g.inputs) Slot(in.name);
    for (const Node& node : g.nodes)
      for (const std::string& out : node.outputs) Slot(out);
    wanted.assign(names.size(), 0);
    for (const std::string& v : values) {
      const auto it = slot_of.find(v);
      Require(it != slot_of.end(), "gradient: the graph has no value ", v);
      wanted[it->second] = 1;
    }
    depends = wanted;
    for (const Node& node : g.nodes) AddStep(node);
    std::vector<char> read(names.size(), 0);
    for (const auto& step : steps)
      for (const int slot : step->inputs)
        if (step->rule && slot >= 0 && wanted[slot] && g.initializers.contains(names[slot]) &&
            !std::exchange(read[slot], 1))
          step->last.push_back(slot);
  }

  int Slot(const std::string& name) {
    if (name.empty()) return -1;
    const auto [it, fresh] = slot_of.emplace(name, static_cast<int>(names.size()));
    if (fresh) names.push_back(name);
    return it->second;
  }

  void AddStep(const Node& node) {
    auto step = std::make_unique<Step>();
    step->node = &node;
    bool any = false;
    for (const std::string& in : node.inputs) {
      const auto it = slot_of.find(in);
      const int slot = in.empty() || it == slot_of.end() ? -1 : it->second;
      step->inputs.push_back(slot);
      step->wanted.push_back(slot >= 0 && depends[slot]);
      step->constant.push_back(slot >= 0 && graph.initializers.contains(in));
      any = any || step->wanted.back();
    }
    for (const std::string& captured : Captures(node)) {
      const auto it = slot_of.find(captured);
      Require(it == slot_of.end() || !depends[it->second], "node ", node.name, " (", node.op_type,
              "): no gradient passes into its branches");
    }
    for (const std::string& out : node.outputs) step->outputs.push_back(Slot(out));
    // what these make does not move with their inputs
    static const std::set<std::string> kConstant{
        "Shape",   "Size",        "ArgMax",         "ArgMin", "NonZero", "IsNaN", "IsInf", "Equal",
        "Greater", "LessOrEqual", "GreaterOrEqual", "Less",   "Not",     "And",   "Or",    "Xor"};
    const bool follows = any && !kConstant.contains(node.op_type);
    if (follows) step->rule = GradientTable::Get().Find(node);
    Require(step->rule || !follows, "node ", node.name, " (", node.op_type,
            "): the operator has no gradient");
    for (const int slot : step->outputs)
      if (slot >= 0 && step->rule) depends[slot] = 1;
    step_of[&node] = step.get();
    steps.push_back(std::move(step));
  }
};

Gradient::Gradient(const Graph& graph, const std::set<std::string>& wanted, Threads threads)
    : program_(std::make_unique<Program>(graph, wanted, threads)) {}
Gradient::~Gradient() = default;

Tape Gradient::Forward(const TensorMap& inputs) const {
  const Program& p = *program_;
  Tape tape;
  tape.values.resize(p.names.size());
  for (const auto& [name, t] : p.graph.initializers) tape.values[p.slot_of.at(name)] = t;
  for (const auto& [name, t] : inputs) {
    const auto it = p.slot_of.find(name);
    if (it != p.slot_of.end()) tape.values[it->second] = t;
  }
  tape.outputs = p.session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
    const auto it = p.step_of.find(&node);  // nodes of branches are not here
    if (it != p.step_of.end()) tape.values[it->second->outputs[output]] = value;
  });
  return tape;
}

const Tensor& Gradient::Value(const Tape& tape, const std::string& name) const {
  const auto it = program_->slot_of.find(name);
  Require(it != program_->slot_of.end(), "gradient: the graph has no value ", name);
  return tape.values[it->second];
}

void Gradient::Reverse(const Tape& tape, const std::vector<Tensor>& outputs,
                       const Take& take) const {
  const Program& p = *program_;
  std::vector<Tensor> g(p.names.size());
  const auto add = [&](int slot, const Tensor& t) {
    if (!g[slot].defined()) {
      g[slot] = t;
      return;
    }
    if (!g[slot].unique()) g[slot] = g[slot].Clone();
    Accumulate(g[slot], t, p.threads);
  };
  const auto finish = [&](int slot) {
    if (p.wanted[slot] && g[slot].defined()) take(p.names[slot], g[slot]);
  };
  Require(outputs.size() == p.graph.outputs.size(), "gradient: ", outputs.size(), " gradients for ",
          p.graph.outputs.size(), " outputs");
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].defined()) add(p.slot_of.at(p.graph.outputs[i].name), outputs[i]);

  std::vector<Tensor> in, out, g_out;
  for (size_t s = p.steps.size(); s-- > 0;) {
    const Program::Step& step = *p.steps[s];
    in.assign(step.inputs.size(), {});
    out.assign(step.outputs.size(), {});
    g_out.assign(step.outputs.size(), {});
    bool any = false;
    for (size_t o = 0; o < out.size(); ++o) {
      const int slot = step.outputs[o];
      if (slot < 0) continue;
      finish(slot);
      out[o] = tape.values[slot];
      g_out[o] = std::exchange(g[slot], {});
      any = any || g_out[o].defined();
    }
    if (step.rule && any) {
      for (size_t i = 0; i < in.size(); ++i)
        if (step.inputs[i] >= 0) in[i] = tape.values[step.inputs[i]];
      GradientContext ctx{*step.node, in,          out,
                          g_out,      step.wanted, step.constant,
                          p.threads,  step.state,  std::vector<Tensor>(in.size())};
      try {
        step.rule(ctx);
      } catch (const UsageError& e) {
        throw UsageError(
            Cat("gradient of node ", step.node->name, " (", step.node->op_type, "): ", e.what()));
      }
      for (size_t i = 0; i < in.size(); ++i)
        if (step.wanted[i] && ctx.result[i].defined()) add(step.inputs[i], ctx.result[i]);
    }
    for (const int slot : step.last) {
      finish(slot);
      g[slot] = {};
    }
  }
  for (const ValueInfo& input : p.graph.inputs) finish(p.slot_of.at(input.name));
}

}  // namespace mezzo
