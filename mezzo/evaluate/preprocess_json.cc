// Preprocess from and to JSON, and its presets.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/evaluate/preprocess.h"

namespace mezzo {
namespace {

using nlohmann::json;

constexpr int kMaxSide = 65535;

template <class E>
using Words = std::map<std::string, E>;
const Words<ResizeMode> kModes{{"none", ResizeMode::kNone},
                               {"shorter", ResizeMode::kShorter},
                               {"exact", ResizeMode::kExact},
                               {"height", ResizeMode::kHeight}};
const Words<Filter> kFilters{{"bilinear", Filter::kBilinear}, {"bicubic", Filter::kBicubic}};
const Words<Channels> kChannels{{"rgb", Channels::kRgb},
                                {"bgr", Channels::kBgr},
                                {"luma", Channels::kLuma},
                                {"luma601", Channels::kLuma601}};
const Words<PixelLayout> kLayouts{{"nchw", PixelLayout::kNchw}, {"nhwc", PixelLayout::kNhwc}};

template <class E>
std::string WordOf(const Words<E>& words, E value) {
  for (const auto& [word, e] : words)
    if (e == value) return word;
  return "";
}

template <class Container>
std::string List(const Container& names) {
  std::string s;
  for (const auto& name : names) s += (s.empty() ? "" : ", ") + std::string(name);
  return s;
}

// An object whose fields are taken one by one; at the end, what nobody took is unknown.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    Require(object.is_object(), "preprocess: ", where_.empty() ? "the whole" : where_,
            " must be an object");
  }
  const json* Take(const std::string& key) {
    known_.insert(key);
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  template <class E>
  void Word(const std::string& key, const Words<E>& words, E* out) {
    const json* value = Take(key);
    if (!value) return;
    std::vector<std::string> names;
    for (const auto& [word, e] : words) names.push_back(word);
    const auto it = value->is_string() ? words.find(value->get<std::string>()) : words.end();
    Require(it != words.end(), "preprocess: ", Path(key), " is ", Dump(*value), ", must be one of ",
            List(names));
    *out = it->second;
  }
  void Int(const std::string& key, int low, int* out) {
    if (const json* value = Take(key)) *out = ToInt(*value, Path(key), low);
  }
  void Number(const std::string& key, double* out) {
    if (const json* value = Take(key)) *out = ToNumber(*value, Path(key));
  }
  void Numbers(const std::string& key, std::vector<double>* out) {
    const json* value = Take(key);
    if (!value) return;
    out->clear();
    if (!value->is_array()) return out->push_back(ToNumber(*value, Path(key)));
    for (const json& v : *value) out->push_back(ToNumber(v, Path(key)));
  }
  // A side or [height, width].
  bool Size(const std::string& key, bool pair_only, int* height, int* width) {
    const json* value = Take(key);
    if (!value) return false;
    if (value->is_array() && value->size() == 2) {
      *height = ToInt((*value)[0], Path(key), 1);
      *width = ToInt((*value)[1], Path(key), 1);
    } else {
      Require(!value->is_array() && !pair_only, "preprocess: ", Path(key), " is ", Dump(*value),
              ", must be [height, width]");
      *height = *width = ToInt(*value, Path(key), 1);
    }
    return true;
  }
  void End() const {
    for (const auto& [key, value] : object_.items())
      Require(known_.contains(key), "preprocess: unknown field '", Path(key), "', known are ",
              List(known_));
  }
  std::string Path(const std::string& key) const {
    return where_.empty() ? key : where_ + "." + key;
  }
  static std::string Dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 100);
  }

 private:
  static int ToInt(const json& value, const std::string& path, int low) {
    const bool fits =
        value.is_number_integer() && value.get<double>() >= low && value.get<double>() <= kMaxSide;
    Require(fits, "preprocess: ", path, " is ", Dump(value), ", must be a whole number from ", low,
            " to ", kMaxSide);
    return value.get<int>();
  }
  static double ToNumber(const json& value, const std::string& path) {
    Require(value.is_number() && std::isfinite(value.get<double>()), "preprocess: ", path, " is ",
            Dump(value), ", must be a number");
    return value.get<double>();
  }

  const json& object_;
  std::string where_;
  std::set<std::string> known_;
};

void ReadResize(const json& object, Preprocess& p) {
  Fields fields(object, "resize");
  auto& r = p.resize;
  fields.Word("mode", kModes, &r.mode);
  fields.Word("filter", kFilters, &r.filter);
  fields.Int("min_width", 1, &r.min_width);
  const bool sized = fields.Size("size", false, &r.height, &r.width);
  fields.End();
  const std::string mode = WordOf(kModes, r.mode);
  Require(sized == (r.mode != ResizeMode::kNone), "preprocess: resize.size ",
          sized ? "means nothing" : "is missing", " in mode ", mode);
  Require(!sized || r.mode == ResizeMode::kExact || r.height == r.width,
          "preprocess: resize.size must be one number", " in mode ", mode);
  Require(r.min_width == 1 || r.mode == ResizeMode::kHeight,
          "preprocess: resize.min_width means something in mode height only");
  if (r.mode == ResizeMode::kHeight) r.width = 0;
}

void Check(const Preprocess& p) {
  const auto n = static_cast<size_t>(p.channel_count());
  for (const auto& [name, values] : {std::pair{"mean", &p.mean}, std::pair{"std", &p.std}})
    Require(values->size() == 1 || values->size() == n, "preprocess: ", name, " has ",
            values->size(), " numbers, needs 1 or ", n);
  for (const double s : p.std) Require(s != 0, "preprocess: std must not be 0");
  Require(p.scale != 0, "preprocess: scale must not be 0");
  Require(p.fixed_width == 0 || p.resize.mode == ResizeMode::kHeight,
          "preprocess: fixed_width needs resize.mode height");
  Require(p.fixed_width == 0 || p.width_multiple == 1,
          "preprocess: fixed_width and width_multiple exclude each other");
  Require(p.crop_height == 0 || p.resize.mode != ResizeMode::kHeight,
          "preprocess: crop cannot follow resize.mode height, whose width is free");
}

}  // namespace

Preprocess PreprocessFromJson(const json& object) {
  Preprocess p;
  Fields fields(object, "");
  if (const json* resize = fields.Take("resize")) ReadResize(*resize, p);
  fields.Size("crop", false, &p.crop_height, &p.crop_width);
  fields.Word("channels", kChannels, &p.channels);
  fields.Number("scale", &p.scale);
  fields.Numbers("mean", &p.mean);
  fields.Numbers("std", &p.std);
  fields.Word("layout", kLayouts, &p.layout);
  fields.Int("width_multiple", 1, &p.width_multiple);
  fields.Int("fixed_width", 1, &p.fixed_width);
  fields.Number("pad_value", &p.pad_value);
  fields.End();
  Check(p);
  return p;
}

json ToJson(const Preprocess& p) {
  json out;
  if (p.resize.mode != ResizeMode::kNone) {
    json& r = out["resize"];
    r["mode"] = WordOf(kModes, p.resize.mode);
    if (p.resize.mode == ResizeMode::kExact)
      r["size"] = {p.resize.height, p.resize.width};
    else
      r["size"] = p.resize.height;
    if (p.resize.min_width != 1) r["min_width"] = p.resize.min_width;
    r["filter"] = WordOf(kFilters, p.resize.filter);
  }
  if (p.crop_height > 0) out["crop"] = {p.crop_height, p.crop_width};
  out["channels"] = WordOf(kChannels, p.channels);
  out["scale"] = p.scale;
  out["mean"] = p.mean;
  out["std"] = p.std;
  out["layout"] = WordOf(kLayouts, p.layout);
  if (p.width_multiple != 1) out["width_multiple"] = p.width_multiple;
  if (p.fixed_width != 0) out["fixed_width"] = p.fixed_width;
  if (p.pad_value != 0) out["pad_value"] = p.pad_value;
  return out;
}

bool operator==(const Preprocess& a, const Preprocess& b) { return ToJson(a) == ToJson(b); }

namespace {

const std::vector<double> kImagenetMean{0.485, 0.456, 0.406}, kImagenetStd{0.229, 0.224, 0.225};

Preprocess Imagenet(Filter filter) {
  Preprocess p;
  p.resize = {ResizeMode::kShorter, 256, 256, 1, filter};
  p.crop_height = p.crop_width = 224;
  p.mean = kImagenetMean;
  p.std = kImagenetStd;
  return p;
}

Preprocess ImagenetLite() {
  Preprocess p = Imagenet(Filter::kBicubic);
  p.scale = 1;
  p.mean = {127};
  p.std = {128};
  return p;
}

Preprocess Cifar10() {
  Preprocess p;
  p.resize = {ResizeMode::kExact, 32, 32, 1, Filter::kBilinear};
  p.mean = kImagenetMean;
  p.std = kImagenetStd;
  return p;
}

Preprocess Ocr() {
  Preprocess p;
  p.resize = {ResizeMode::kHeight, 48, 0, 16, Filter::kBilinear};
  p.channels = Channels::kBgr;
  p.mean = {0.5};
  p.std = {0.5};
  return p;
}

Preprocess OnlyLuma() {
  Preprocess p;
  p.channels = Channels::kLuma;
  return p;
}

struct Preset {
  std::string_view name;
  Preprocess (*make)();
};
constexpr Preset kPresets[] = {{"imagenet", [] { return Imagenet(Filter::kBilinear); }},
                               {"imagenet-lite", ImagenetLite},
                               {"cifar10", Cifar10},
                               {"ocr", Ocr},
                               {"luma", OnlyLuma}};

}  // namespace

std::vector<std::string> PreprocessPresets() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

Preprocess LoadPreprocess(const std::string& preset_or_path) {
  for (const Preset& preset : kPresets)
    if (preset_or_path == preset.name) return preset.make();
  Require(preset_or_path.find_first_of("./") != std::string::npos, "unknown preprocessing '",
          preset_or_path, "': give a JSON file or one of ", List(PreprocessPresets()));
  const std::string text = ReadFile(preset_or_path, 1 << 20);
  try {
    return PreprocessFromJson(json::parse(text));
  } catch (const json::exception& e) {
    throw FileError(Cat(preset_or_path, ": is no JSON: ", e.what()));
  } catch (const UsageError& e) {
    throw FileError(Cat(preset_or_path, ": ", e.what()));
  }
}

}  // namespace mezzo
