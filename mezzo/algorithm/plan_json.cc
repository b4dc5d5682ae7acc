// Plan from and to JSON.
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "mezzo/algorithm/plan.h"
#include "mezzo/base/base64.h"
#include "mezzo/base/error.h"
#include "mezzo/base/files.h"

namespace mezzo {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

// The double whose shortest decimal form is the float's shortest.
double Shortest(float f) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), f).ptr;
  double d = f;
  std::from_chars(text, end, d);
  return d;
}

Json Floats(std::span<const float> values) {
  Json a = Json::array();
  for (const float v : values) a.push_back(Shortest(v));
  return a;
}

Json Number(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }

std::string FormatName(IntFormat f) { return f.is_signed ? "int8" : "uint8"; }

// An object whose fields are taken by name; what nobody took is unknown.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    RequireFile(object.is_object(), where_, ": expected an object");
  }
  void Done() const {
    for (const auto& [key, value] : object_.items())
      RequireFile(taken_.contains(key), where_, ": unknown field '", key, "'");
  }
  const Json& Get(const std::string& key) {
    taken_.insert(key);
    const auto it = object_.find(key);
    RequireFile(it != object_.end(), where_, ": field '", key, "' is missing");
    return *it;
  }
  bool Has(const std::string& key) {
    taken_.insert(key);
    return object_.contains(key);
  }
  std::string Path(const std::string& key) const { return where_ + "." + key; }

  std::string String(const std::string& key) {
    const Json& v = Get(key);
    RequireFile(v.is_string(), Path(key), ": expected a string");
    return v.get<std::string>();
  }
  bool Bool(const std::string& key) {
    const Json& v = Get(key);
    RequireFile(v.is_boolean(), Path(key), ": expected true or false");
    return v.get<bool>();
  }
  double Double(const std::string& key) {  // null stands for "not measured"
    const Json& v = Get(key);
    RequireFile(v.is_number() || v.is_null(), Path(key), ": expected a number");
    return v.is_null() ? NAN : v.get<double>();
  }
  float Float(const std::string& key) {
    const double v = Double(key);
    RequireFile(std::fabs(v) <= __FLT_MAX__, Path(key), ": expected a finite float");
    return static_cast<float>(v);
  }
  int64_t Int(const std::string& key, int64_t low, int64_t high) {
    const Json& v = Get(key);
    RequireFile(v.is_number_integer(), Path(key), ": expected an integer");
    const bool fits = !v.is_number_unsigned() || v.get<uint64_t>() <= static_cast<uint64_t>(high);
    RequireFile(fits && v.get<int64_t>() >= low && v.get<int64_t>() <= high, Path(key), ": got ",
                v.dump(), ", needs ", low, " to ", high);
    return v.get<int64_t>();
  }
  std::vector<std::string> Strings(const std::string& key) {
    std::vector<std::string> values;
    for (const Json& v : Get(key)) {
      RequireFile(v.is_string(), Path(key), ": expected strings");
      values.push_back(v.get<std::string>());
    }
    return values;
  }
  std::vector<float> FloatList(const std::string& key, bool positive) {
    const Json& list = Get(key);
    RequireFile(list.is_array(), Path(key), ": expected a list of numbers");
    std::vector<float> values;
    for (const Json& v : list) {
      const double d = v.is_number() ? v.get<double>() : NAN;
      RequireFile(std::fabs(d) <= __FLT_MAX__ && (!positive || d > 0), Path(key), ": got ",
                  v.dump(), positive ? ", needs positive floats" : ", needs finite floats");
      values.push_back(static_cast<float>(d));
    }
    return values;
  }

 private:
  const Json& object_;
  std::string where_;
  std::set<std::string> taken_;
};

Json ToJson(const ActivationPlan& a) {
  return {{"scale", Shortest(a.qparams.scale)},
          {"zero_point", a.qparams.zero_point},
          {"lo", Shortest(a.lo)},
          {"hi", Shortest(a.hi)},
          {"symmetric", a.symmetric},
          {"calibration", a.calibration}};
}

ActivationPlan ReadActivation(const Json& json, IntFormat format, const std::string& where) {
  Fields f(json, where);
  ActivationPlan a;
  a.qparams.scale = f.Float("scale");
  RequireFile(a.qparams.scale >= __FLT_MIN__, where, ".scale: got ", a.qparams.scale,
              ", needs a positive normal float");
  a.qparams.zero_point = static_cast<int32_t>(f.Int("zero_point", format.qmin(), format.qmax()));
  a.lo = f.Float("lo");
  a.hi = f.Float("hi");
  a.symmetric = f.Bool("symmetric");
  a.calibration = f.String("calibration");
  f.Done();
  return a;
}

Json ToJson(const NodePlan& n) {
  Json json{{"precision", n.quantized ? "int8" : "float32"}};
  if (!n.reason.empty()) json["reason"] = n.reason;
  if (n.sensitivity != 0) json["sensitivity"] = Number(n.sensitivity);
  if (!n.weight_scales.empty()) json["weight_scales"] = Floats(n.weight_scales);
  if (n.weight_format != "int8") json["weight_format"] = n.weight_format;
  if (n.group_size) json["group_size"] = n.group_size;
  if (!n.weight_steps.empty()) json["weight_steps"] = Base64(n.weight_steps);
  if (!n.weight_codes.empty()) json["weight_codes"] = Base64(n.weight_codes);
  if (!n.bias_shift.empty()) json["bias_shift"] = Floats(n.bias_shift);
  if (n.path.a.defined())
    json["recovery"] = {{"rank", n.path.rank()},
                        {"a", Floats(n.path.a.span<float>())},
                        {"b", Floats(n.path.b.span<float>())}};
  return json;
}

// What the weights are stored as.
void ReadFormat(Fields& f, NodePlan& n, const std::string& where) {
  if (f.Has("weight_format")) n.weight_format = f.String("weight_format");
  const WeightFormat* format = FindWeightFormat(n.weight_format);
  RequireFile(format, f.Path("weight_format"), ": got '", n.weight_format, "', needs one of ",
              WeightFormatNames());
  if (f.Has("group_size")) n.group_size = f.Int("group_size", 1, INT32_MAX);
  if (f.Has("weight_steps"))
    n.weight_steps = FromBase64<uint8_t>(f.String("weight_steps"), f.Path("weight_steps"));
  RequireFile(n.group_size == 0 || format->narrow(), f.Path("group_size"), ": ", format->name,
              " weights have no groups");
  RequireFile((n.group_size > 0) == !n.weight_steps.empty(), where,
              ": group_size and weight_steps go together");
  for (const uint8_t step : n.weight_steps)
    RequireFile(step >= 1 && step <= kSteps, f.Path("weight_steps"), ": got ", int{step},
                ", needs 1 to ", kSteps);
}

LowRank ReadPath(const Json& json, const std::string& where) {
  Fields f(json, where);
  const int64_t rank = f.Int("rank", 1, INT32_MAX);
  const std::vector<float> a = f.FloatList("a", false), b = f.FloatList("b", false);
  f.Done();
  for (const auto& [name, list] : {std::pair("a", &a), std::pair("b", &b)})
    RequireFile(!list->empty() && static_cast<int64_t>(list->size()) % rank == 0, f.Path(name),
                ": got ", list->size(), " numbers, needs a multiple of the rank ", rank);
  return {Tensor::Of(a, {rank, static_cast<int64_t>(a.size()) / rank}),
          Tensor::Of(b, {static_cast<int64_t>(b.size()) / rank, rank})};
}

NodePlan ReadNode(const Json& json, const std::string& where) {
  Fields f(json, where);
  NodePlan n;
  const std::string precision = f.String("precision");
  RequireFile(precision == "int8" || precision == "float32", where, ".precision: got '", precision,
              "', needs int8 or float32");
  n.quantized = precision == "int8";
  if (f.Has("reason")) n.reason = f.String("reason");
  if (f.Has("sensitivity")) n.sensitivity = f.Double("sensitivity");
  if (f.Has("weight_scales")) n.weight_scales = f.FloatList("weight_scales", true);
  if (f.Has("weight_codes"))
    n.weight_codes = FromBase64<int8_t>(f.String("weight_codes"), f.Path("weight_codes"));
  ReadFormat(f, n, where);
  if (f.Has("bias_shift")) n.bias_shift = f.FloatList("bias_shift", false);
  if (f.Has("recovery")) n.path = ReadPath(f.Get("recovery"), f.Path("recovery"));
  f.Done();
  return n;
}

Json ToJson(const LadderStep& s) {
  return {{"tried", s.tried},
          {"metric", Number(s.metric)},
          {"loss", Number(s.loss)},
          {"regressions", Number(s.regressions)},
          {"distortion", Number(s.distortion)},
          {"int8_macs", Number(s.int8_macs)},
          {"kept", s.kept}};
}

Json Tables(const std::map<std::string, std::string>& tables) {
  Json names = Json::array();
  for (const auto& [name, format] : tables) {
    if (format != "int8") return tables;
    names.push_back(name);
  }
  return names;
}

LadderStep ReadStep(const Json& json, const std::string& where) {
  Fields f(json, where);
  LadderStep s{f.String("tried"),       f.Double("metric"),     f.Double("loss"),
               f.Double("regressions"), f.Double("distortion"), f.Double("int8_macs"),
               f.Bool("kept")};
  f.Done();
  return s;
}

// Names alone are of int8 tables.
std::map<std::string, std::string> ReadTables(Fields& f) {
  std::map<std::string, std::string> tables;
  const Json& json = f.Get("tables");
  if (!json.is_object()) {
    for (const std::string& name : f.Strings("tables")) tables[name] = "int8";
    return tables;
  }
  Fields formats(json, f.Path("tables"));
  for (const auto& [name, format] : json.items()) {
    tables[name] = formats.String(name);
    RequireFile(FindWeightFormat(tables[name]), formats.Path(name), ": got '", tables[name],
                "', needs one of ", WeightFormatNames());
  }
  return tables;
}

Plan Read(const Json& json, const std::string& where) {
  Fields f(json, where);
  Plan p;
  f.Int("mezzo_plan", kVersion, kVersion);
  p.model_hash = f.String("model_hash");
  const std::string format = f.String("activation_format");
  RequireFile(format == "int8" || format == "uint8", where, ".activation_format: got '", format,
              "', needs int8 or uint8");
  p.activation_format = format == "int8" ? IntFormat{8, true, false} : kUInt8;
  p.limit_pairs = f.Bool("limit_pairs");
  p.metric_name = f.String("metric_name");
  p.float_metric = f.Double("float_metric");
  p.tolerance = f.Double("tolerance");
  p.seed = static_cast<uint64_t>(f.Int("seed", 0, INT64_MAX));
  p.calibration_samples = f.Int("calibration_samples", 0, INT64_MAX);
  p.evaluation_samples = f.Int("evaluation_samples", 0, INT64_MAX);
  const Json& preprocess = f.Get("preprocess");
  if (!preprocess.is_null()) p.preprocess_json = preprocess.dump();
  p.notes = f.Strings("notes");
  if (f.Has("tables")) p.tables = ReadTables(f);
  if (f.Has("equalization")) {
    const Json& scales = f.Get("equalization");
    const std::string path = where + ".equalization";
    Fields list(scales, path);
    for (const auto& [name, s] : scales.items()) p.equalization[name] = list.FloatList(name, true);
  }
  const Json &ladder = f.Get("ladder"), &nodes = f.Get("nodes"),
             &activations = f.Get("activations");
  RequireFile(ladder.is_array() && nodes.is_object() && activations.is_object(), where,
              ": ladder must be a list, nodes and activations objects");
  for (const Json& step : ladder) p.ladder.push_back(ReadStep(step, where + ".ladder"));
  for (const auto& [name, node] : nodes.items())
    p.nodes[name] = ReadNode(node, where + ".nodes." + name);
  for (const auto& [name, a] : activations.items())
    p.activations[name] = ReadActivation(a, p.activation_format, where + ".activations." + name);
  f.Done();
  return p;
}

}  // namespace

std::string ToJson(const Plan& p) {
  Json json{{"mezzo_plan", kVersion},
            {"model_hash", p.model_hash},
            {"activation_format", FormatName(p.activation_format)},
            {"limit_pairs", p.limit_pairs},
            {"metric_name", p.metric_name},
            {"float_metric", Number(p.float_metric)},
            {"tolerance", p.tolerance},
            {"seed", p.seed},
            {"calibration_samples", p.calibration_samples},
            {"evaluation_samples", p.evaluation_samples}};
  json["preprocess"] = p.preprocess_json.empty() ? Json(nullptr) : Json::parse(p.preprocess_json);
  json["notes"] = p.notes;
  json["ladder"] = Json::array();
  for (const LadderStep& s : p.ladder) json["ladder"].push_back(ToJson(s));
  if (!p.equalization.empty()) json["equalization"] = Json::object();
  for (const auto& [name, scales] : p.equalization) json["equalization"][name] = Floats(scales);
  if (!p.tables.empty()) json["tables"] = Tables(p.tables);
  json["nodes"] = Json::object();
  for (const auto& [name, n] : p.nodes) json["nodes"][name] = ToJson(n);
  json["activations"] = Json::object();
  for (const auto& [name, a] : p.activations) json["activations"][name] = ToJson(a);
  return json.dump(1) + "\n";
}

Plan PlanFromJson(const std::string& text, const std::string& where) {
  try {
    return Read(Json::parse(text), where);
  } catch (const Json::exception& e) {
    throw FileError(Cat(where, ": ", e.what()));
  }
}

Plan ReadPlan(const std::filesystem::path& path) {
  return PlanFromJson(ReadFile(path, uint64_t{1} << 30), path.string());
}

void WritePlan(const Plan& plan, const std::filesystem::path& path) {
  WriteFile(path, ToJson(plan));
}

}  // namespace mezzo
