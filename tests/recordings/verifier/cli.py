"""Arguments and output of the verifier; exit status as in section 17."""
import argparse
import sys

import jwe
import report
import run
import trust
import vectors

MAX_KEY = 65536


class Parser(argparse.ArgumentParser):
    """Wrong arguments are no verdict."""

    def error(self, message: str) -> None:
        raise ValueError(message)


def _read(path: str, most: int) -> bytes:
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(path + " is too large")
    return data


def _arguments(argv: list) -> argparse.Namespace:
    parser = Parser(description="Verify a Sallyport evidence package.", allow_abbrev=False)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--trust")
    parser.add_argument("--key")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--vectors")
    found = parser.parse_args(argv)
    if found.vectors is not None:
        if found.file or found.trust or found.key:
            raise ValueError("--vectors stands alone")
    elif found.file is None or found.trust is None:
        raise ValueError("a package and --trust are needed")
    return found


def main(argv: list) -> int:
    """Run; the exit status."""
    arguments = _arguments(argv)
    if arguments.vectors is not None:
        return 0 if vectors.run_all(arguments.vectors) else report.NO_VERDICT
    trusted = trust.load(_read(arguments.trust, trust.MAX_TRUST))
    key = jwe.load_private(_read(arguments.key, MAX_KEY)) if arguments.key else None
    result = run.verify(arguments.file, trusted, key)
    print(result.as_json() if arguments.json else result.as_text())
    sys.stdout.flush()
    return result.exit_status
