#include <algorithm>
#include <set>

#include "mezzo/graph/passes.h"
#include "mezzo/runtime/fuse.h"

namespace mezzo {
namespace {

bool Is(const Node* node, const char* op) {
  return node && node->domain == "mezzo" && node->op_type == op;
}

class AttentionFusion {
 public:
  AttentionFusion(Graph& graph, LowerReport* report)
      : graph_(graph), report_(report), uses_(graph) {}

  void Run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (Is(&graph_.nodes[i], "Softmax")) Fuse(graph_.nodes[i]);
    RemoveNodes(graph_, gone_);
  }

 private:
  void Fuse(const Node& softmax) {
    const Node* scores = Maker(softmax.inputs[0]);
    const Node* values = OnlyReader(softmax.outputs[0]);
    if (!Varies(scores) || scores->String("y_type", "uint8") != "float32" ||
        uses_.count(softmax.inputs[0]) != 1 || !Varies(values) ||
        values->inputs[0] != softmax.outputs[0])
      return;
    Node made;
    made.op_type = "Attention", made.domain = "mezzo", made.name = values->name;
    made.inputs = {scores->inputs[0], scores->inputs[1], values->inputs[1]};
    if (softmax.HasInput(1)) made.inputs.push_back(softmax.inputs[1]);
    made.outputs = values->outputs;
    made.attributes = softmax.attributes;
    for (const auto& [name, value] : scores->attributes) made.attributes["scores_" + name] = value;
    for (const auto& [name, value] : values->attributes) made.attributes["values_" + name] = value;
    std::vector<const Node*> parts{values, scores, &softmax};
    const char* kPerms[] = {"q_perm", "k_perm", "v_perm"};
    for (size_t i = 0; i < 3; ++i) {
      const Node* turned = Maker(made.inputs[i]);
      if (!turned || !ReadsThrough(*turned, i != 1)) continue;
      made.attributes[kPerms[i]] = turned->Ints("perm");
      if (uses_.count(made.inputs[i]) == 1) parts.push_back(turned);
      made.inputs[i] = turned->inputs[0];
    }
    const Node* last = values;
    if (const Node* turned = OnlyReader(made.outputs[0]); turned && ReadsThrough(*turned, true)) {
      made.attributes["y_perm"] = turned->Ints("perm");
      made.outputs = turned->outputs;
      parts.push_back(turned);
      last = turned;
    }
    Put(std::move(made), parts, last);
  }

  // A product of two values.
  bool Varies(const Node* node) const {
    return Is(node, "QMatMul") && !node->HasInput(2) && !node->Has("offsets") &&
           !node->Int("transpose_b", 0) && node->inputs[0] != node->inputs[1] &&
           !graph_.Initializer(node->inputs[0]) && !graph_.Initializer(node->inputs[1]);
  }

  // A Transpose in place of which strides do; of rows, if the last dimension has to stay.
  static bool ReadsThrough(const Node& node, bool rows) {
    const std::vector<int64_t> perm =
        node.Is("Transpose") ? node.Ints("perm") : std::vector<int64_t>();
    return perm.size() >= 2 && (!rows || perm.back() + 1 == static_cast<int64_t>(perm.size()));
  }

  const Node* Maker(const std::string& value) const {
    const auto it = uses_.producer.find(value);
    return it == uses_.producer.end() ? nullptr : &graph_.nodes[it->second];
  }
  const Node* OnlyReader(const std::string& value) const {
    const auto it = uses_.consumers.find(value);
    return it == uses_.consumers.end() || uses_.count(value) != 1 ? nullptr
                                                                  : &graph_.nodes[it->second[0]];
  }

  // In the place of `last`, one of its parts.
  void Put(Node made, const std::vector<const Node*>& parts, const Node* last) {
    std::vector<LowerReport::Source> sources;
    for (const Node* part : parts) {
      gone_.insert(static_cast<size_t>(part - graph_.nodes.data()));
      if (!report_) continue;
      std::vector<LowerReport::Source> own{{part->name, part->op_type}};
      if (const auto it = report_->replaced.find(part->outputs[0]); it != report_->replaced.end()) {
        own = std::move(it->second);
        report_->replaced.erase(it);
      }
      sources.insert(sources.end(), own.begin(), own.end());
    }
    if (report_) report_->replaced[made.outputs[0]] = std::move(sources);
    const auto at = static_cast<size_t>(last - graph_.nodes.data());
    gone_.erase(at);
    graph_.nodes[at] = std::move(made);
  }

  Graph& graph_;
  LowerReport* report_;
  const Uses uses_;
  std::set<size_t> gone_;
};

}  // namespace

void FuseAttention(Graph& graph, LowerReport* report) { AttentionFusion(graph, report).Run(); }

}  // namespace mezzo
