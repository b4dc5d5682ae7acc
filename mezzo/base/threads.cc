#include "mezzo/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace mezzo {
namespace {

thread_local bool inside_body = false;

// A clock that is cheap to read, and what makes reading it in a loop cheaper for others.
#if defined(__x86_64__)
constexpr uint64_t kBriefly = 200'000;  // cycles
uint64_t Clock() { return __builtin_ia32_rdtsc(); }
void Relax() { __builtin_ia32_pause(); }
#else
constexpr uint64_t kBriefly = 70'000;  // nanoseconds
uint64_t Clock() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                               std::chrono::nanoseconds(1));
}
void Relax() { asm volatile("yield"); }
#endif

size_t UsableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

struct Threads::Pool {
  std::vector<std::thread> workers;
  std::mutex job_mutex;  // one job at a time
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<uint64_t> generation{0};
  bool open = false;            // the present job still takes workers
  std::atomic<size_t> busy{0};  // workers that are in it
  bool stop = false;

  const std::function<void(size_t, size_t)>* body = nullptr;  // (part, worker)
  size_t parts = 0;
  std::atomic<size_t> next{0};
  std::exception_ptr error;

  explicit Pool(size_t count) {
    for (size_t w = 1; w < count; ++w) workers.emplace_back([this, w] { Work(w); });
  }

  ~Pool() {
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    wake.notify_all();
    for (std::thread& t : workers) t.join();
  }

  // Jobs of one inference follow each other within microseconds, and their parts end together:
  // worth a look before going to sleep, which costs both sides some 50 microseconds. The time is
  // bounded, so that a crowded machine does not spin.
  template <class F>
  static void AwaitBriefly(const F& over) {
    const uint64_t start = Clock();
    while (!over() && Clock() - start < kBriefly) Relax();
  }

  void Work(size_t worker) {
    uint64_t seen = 0;
    for (;;) {
      AwaitBriefly([&] { return generation.load(std::memory_order_relaxed) != seen; });
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return stop || generation != seen; });
      if (stop) return;
      seen = generation;
      if (!open) continue;  // too late for this one
      ++busy;
      lock.unlock();
      Drain(worker);
      lock.lock();
      if (--busy == 0) done.notify_one();
    }
  }

  void Drain(size_t worker) {
    inside_body = true;
    for (size_t i; (i = next.fetch_add(1)) < parts;) {
      try {
        (*body)(i, worker);
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next = parts;
      }
    }
    inside_body = false;
  }

  void Run(size_t n, const std::function<void(size_t, size_t)>& job) {
    std::lock_guard one(job_mutex);
    {
      std::lock_guard lock(mutex);
      body = &job;
      parts = n;
      next = 0;
      error = nullptr;
      open = true;
      ++generation;
    }
    wake.notify_all();
    Drain(0);
    AwaitBriefly([&] { return busy.load(std::memory_order_relaxed) == 0; });
    std::unique_lock lock(mutex);
    open = false;
    done.wait(lock, [&] { return busy == 0; });
    if (error) std::rethrow_exception(error);
  }
};

Threads::Threads(size_t count) {
  if (count == 0) count = UsableCores();
  if (count > 1) pool_ = std::make_shared<Pool>(count);
}

size_t Threads::count() const { return pool_ ? pool_->workers.size() + 1 : 1; }

void Threads::Each(size_t n, const std::function<void(size_t, size_t)>& body) const {
  if (!pool_ || n <= 1 || inside_body) {
    for (size_t i = 0; i < n; ++i) body(i, 0);
    return;
  }
  pool_->Run(n, body);
}

void Threads::For(size_t n, size_t grain, const std::function<void(size_t, size_t)>& body) const {
  if (n == 0) return;
  const size_t parts = std::min((n + grain - 1) / std::max<size_t>(grain, 1), count());
  if (parts <= 1 || !pool_ || inside_body) return body(0, n);
  Each(parts, [&](size_t i, size_t) { body(n * i / parts, n * (i + 1) / parts); });
}

}  // namespace mezzo
