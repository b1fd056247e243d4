#!/usr/bin/env python3
"""Verifier for Sallyport evidence packages, version 1.

  verify.py FILE.zip --trust keys.json [--key recipient.jwk] [--json]
  verify.py --vectors DIR

Exit status (section 17): 0 VALID, 1 VALID-TRUNCATED, 2 INVALID, 3 no verdict.
"""
import os
import sys

NO_VERDICT = 3


def guarded(argv: list) -> int:
    """Nothing that goes wrong, not even an import, may look like a verdict."""
    try:
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        import cli
        return cli.main(argv)
    except SystemExit:              # argparse --help is no verdict either
        return NO_VERDICT
    except BaseException as error:  # pylint: disable=broad-except
        try:
            text = ascii("%s: %s" % (type(error).__name__, error))[:500]
            print("no verdict: " + text, file=sys.stderr)
            if "--json" in argv:
                print('{"verdict": "no verdict", "checks": []}', flush=True)
        except Exception:   # pylint: disable=broad-except
            pass
        return NO_VERDICT


if __name__ == "__main__":
    sys.exit(guarded(sys.argv[1:]))
