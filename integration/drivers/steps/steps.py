"""What the driver programs in Python have in common; see doc.go."""
import os
import traceback

TAG = os.environ["PGSEAL_TEST_TAG"]
ASIDE = os.environ["PGSEAL_TEST_ASIDE"]
UNICODE = "naïve Δοκιμή 試験 🐘"
DATA = bytes([0, 1, 92, 39, 255])


def said(name, error):
    where = traceback.extract_tb(error.__traceback__)
    lines = ",".join(str(f.lineno) for f in where[1:])
    text = " ".join(f"{type(error).__name__} {error}".split())
    print(f"FAIL {name}: {text} (lines {lines})", flush=True)


def run(name, step, *args):
    """Do a step and print what came of it."""
    try:
        step(*args)
        print("ok", name, flush=True)
    except Exception as error:
        said(name, error)


async def arun(name, step, *args):
    """Do a step that is a coroutine."""
    try:
        await step(*args)
        print("ok", name, flush=True)
    except Exception as error:
        said(name, error)


def missing(name, why):
    print(f"n/a {name}: {why}", flush=True)


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def raises(kind, call, *args):
    """Check that the call raises an error of that class."""
    try:
        call(*args)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")
