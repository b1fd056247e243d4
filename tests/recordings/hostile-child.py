"""The Python verifier over many packages: see hostile-child.ts. argv[1] is the verifier's folder."""
import contextlib
import io
import json
import sys

sys.path.insert(0, sys.argv[1])
import verify  # noqa: E402

for line in sys.stdin:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        code = verify.guarded(json.loads(line))
    with open("/proc/self/status") as file:
        kib = next(int(row.split()[1]) for row in file if row.startswith("VmHWM:"))
    answer = {"exit": code, "printed": printed.getvalue(), "errors": errors.getvalue(), "memoryMib": kib // 1024}
    print(json.dumps(answer), flush=True)
