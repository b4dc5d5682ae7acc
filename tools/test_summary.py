"""Prints 'N passed, N failed[, N skipped]' over GoogleTest's JSON results.

    python tools/test_summary.py build/tests.json [MORE.json]

Skipped tests are named with their reason. Exit status 1 if a test failed, none ran, or a file is
missing (the program died before it wrote it; that counts as a failure).
"""

import json
import sys


def main() -> None:
    passed = failed = 0
    skipped = []
    for path in sys.argv[1:]:
        try:
            with open(path, encoding="utf-8") as f:
                suites = json.load(f)["testsuites"]
        except (OSError, ValueError) as error:
            print(f"no test results: {error}")
            failed += 1
            continue
        for test in (t for suite in suites for t in suite["testsuite"] if t["status"] == "RUN"):
            if test["result"] == "SKIPPED":
                skipped.append(f"{test['classname']}.{test['name']} ({path})")
            elif "failures" in test:
                failed += 1
                print(f"FAILED {test['classname']}.{test['name']} ({path})")
            else:
                passed += 1
    for name in skipped:
        print(f"skipped {name}")
    print(f"{passed} passed, {failed} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
