// For the tests of the checkpoint readers, whose files tools/checkpoint_corpus.py writes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "mezzo/checkpoint/checkpoint.h"

namespace mezzo {

inline std::filesystem::path Corpus(const std::string& name) {
  return std::filesystem::path(MEZZO_SOURCE_DIR) / "tests" / "corpus" / name;
}

// What f() throws as a FileError, without the folder of the corpus.
template <class F>
std::string Refusal(F&& f) {
  try {
    f();
  } catch (const FileError& e) {
    std::string what = e.what();
    const std::string root = Corpus("").string();
    for (size_t at; (at = what.find(root)) != what.npos;) what.erase(at, root.size());
    return what;
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

// The same bits, except that a NaN need not have those of the other one.
inline bool SameFloats(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::equal(
             a.span<float>().begin(), a.span<float>().end(), b.span<float>().begin(),
             [](float x, float y) { return x != x ? y != y : std::memcmp(&x, &y, sizeof x) == 0; });
}

// Every tensor NAME that has a NAME.float reads as what stands there; returns how many did.
inline int ExpectReadsAsThePackage(const Checkpoint& checkpoint) {
  int compared = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const auto want = checkpoint.tensors.find(name + ".float");
    if (want == checkpoint.tensors.end()) continue;
    EXPECT_TRUE(SameFloats(tensor.Read(), want->second.Read())) << tensor.where;
    if (tensor.shape.size() == 2 && tensor.shape[0] == 2) {
      EXPECT_TRUE(SameFloats(tensor.Rows(1, 2), want->second.Rows(1, 2))) << tensor.where;
    }
    ++compared;
  }
  return compared;
}

// The tensors of one file as they lie in it.
inline std::vector<std::pair<TensorSpec, const StoredTensor*>> InFileOrder(const Checkpoint& c) {
  std::vector<std::pair<TensorSpec, const StoredTensor*>> tensors;
  for (const auto& [name, t] : c.tensors) tensors.push_back({{name, t.storage, t.shape}, &t});
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    const auto place = [](const StoredTensor* t) {
      return std::pair(t->bytes.data(), t->bytes.size());
    };
    return place(a.second) < place(b.second);
  });
  return tensors;
}

inline std::vector<TensorSpec> SpecsInFileOrder(const Checkpoint& checkpoint) {
  std::vector<TensorSpec> specs;
  for (const auto& [spec, tensor] : InFileOrder(checkpoint)) specs.push_back(spec);
  return specs;
}

inline void AddAll(CheckpointWriter& writer, const Checkpoint& from) {
  for (const auto& [spec, tensor] : InFileOrder(from))
    writer.Add(spec.name, tensor->bytes.data(), tensor->bytes.size());
}

}  // namespace mezzo
