#include "mezzo/base/files.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mezzo/base/error.h"
#include "mezzo/base/progress.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

size_t CountFiles(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

// The message of the FileError that f must throw.
template <class F>
std::string Refusal(F&& f) {
  try {
    f();
  } catch (const FileError& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Files, MapsAndReads) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a";
  WriteFile(path, "hello");
  const MappedFile mapped(path);
  EXPECT_EQ(std::string(mapped.bytes().begin(), mapped.bytes().end()), "hello");
  EXPECT_EQ(ReadFile(path), "hello");
  EXPECT_NE(Refusal([&] { ReadFile(path, 4); }).find("over the limit of 4"), std::string::npos);
  WriteFile(path, "");
  EXPECT_TRUE(MappedFile(path).bytes().empty());
}

TEST(Files, NamesWhatCannotBeRead) {
  const TemporaryFolder folder;
  const std::string missing = (folder.path() / "none").string();
  EXPECT_EQ(Refusal([&] { ReadFile(missing); }),
            missing + ": cannot be opened: No such file or directory");
  EXPECT_EQ(Refusal([&] { MappedFile m(folder.path()); }),
            folder.path().string() + ": cannot be read: Is a directory");
}

TEST(Files, SourceReadsPartsAndNoFurther) {
  const ByteSource whole({1, 2, 3, 4, 5}, "memory");
  const ByteSource part = whole.Slice(1, 3, "part");
  uint8_t got[3];
  part.Read(0, got, 3);
  EXPECT_EQ(got[2], 4);
  Refusal([&] { part.Read(1, got, 3); });
  Refusal([&] { part.Read(UINT64_MAX, got, 3); });
  Refusal([&] { whole.Slice(3, 3, "beyond"); });
}

TEST(Files, TemporarySourceHoldsWhatIsWritten) {
  const ByteSource source =
      ByteSource::Temporary("spill", [](int fd) { WriteAll(fd, "abc", 3, "spill"); });
  char got[3];
  ASSERT_EQ(source.size(), 3u);
  source.Read(0, got, 3);
  EXPECT_EQ(std::string(got, 3), "abc");
}

TEST(AtomicWriter, LeavesNothingUncommitted) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "out";
  WriteFile(path, "old");
  {
    AtomicWriter writer(path);
    writer.Write("new");
    EXPECT_EQ(CountFiles(folder.path()), 2u);
  }
  EXPECT_EQ(CountFiles(folder.path()), 1u);
  EXPECT_EQ(ReadFile(path), "old");
  WriteFile(path, std::string(3 << 20, 'x'));
  EXPECT_EQ(ReadFile(path).size(), size_t{3 << 20});
  EXPECT_EQ(CountFiles(folder.path()), 1u);
}

TEST(AtomicWriter, KeepsPermissionsAndLinks) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "out", link = folder.path() / "link";
  WriteFile(path, "old");
  fs::permissions(path, fs::perms(0640));
  fs::create_symlink("out", link);
  WriteFile(link, "new");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(ReadFile(path), "new");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms(0640));
}

TEST(AtomicWriter, NamesPathAndReason) {
  EXPECT_EQ(Refusal([] { WriteFile("/nonexistent/out", "x"); }),
            "/nonexistent/out: cannot be written: No such file or directory");
  EXPECT_EQ(Refusal([] { WriteFile("/dev/full", "x"); }),
            "/dev/full: cannot be written: No space left on device");
  const TemporaryFolder folder;
  EXPECT_EQ(Refusal([&] { WriteFile(folder.path(), "x"); }),
            folder.path().string() + ": cannot be written: Is a directory");
}

TEST(AtomicWriter, SignalRemovesTheTemporary) {
  const TemporaryFolder folder;
  for (const int signal : {SIGINT, SIGTERM}) {
    const pid_t child = ::fork();
    if (child == 0) {
      AtomicWriter writer(folder.path() / "out");
      writer.Write(std::string(2 << 20, 'x'));
      ::raise(signal);
      ::_exit(99);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    EXPECT_EQ(CountFiles(folder.path()), 0u);
  }
}

TEST(Progress, LineTellsTheTimeLeft) {
  EXPECT_EQ(Progress::Line("reading", 0, 10, 0), "reading  0/10  0%");
  EXPECT_EQ(Progress::Line("reading", 5, 10, 42), "reading  5/10  50%  0:42 left");
  EXPECT_EQ(Progress::Line("reading", 1, 3, 3600), "reading  1/3  33%  2:00:00 left");
  EXPECT_EQ(Progress::Line("reading", 12, 10, 1), "reading  10/10  100%");
}

}  // namespace
}  // namespace mezzo
