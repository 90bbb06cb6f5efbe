"""What the programs of this folder share: a client, comparisons, and a line for each verdict."""

import os
import pathlib
import sys
import traceback

import hvac
from hvac import exceptions as errors

MATERIAL = pathlib.Path(os.environ.get("CONFORMANCE_MATERIAL", pathlib.Path(__file__).parent.parent / "cases/material"))
IS_OPENBAO = os.environ.get("CONFORMANCE_AGAINST") == "openbao"
# A mistake of the client; OpenBao takes some for faults of its own.
MISTAKE = (errors.InvalidRequest, errors.InternalServerError) if IS_OPENBAO else errors.InvalidRequest
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def client(token=None):
    made = hvac.Client(url=os.environ["VAULT_ADDR"])
    made.token = os.environ["VAULT_TOKEN"] if token is None else token
    return made


def raises(kind, call, *arguments, text=None, **named):
    try:
        answer = call(*arguments, **named)
    except kind as error:
        assert text is None or text in str(error), f"{text!r} is not in {error}"
        return
    raise AssertionError(f"no {kind} but {answer!r}")


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def has(got, **wanted):
    """`got` may have more fields: OpenBao adds some."""
    equal({name: got.get(name) for name in wanted}, wanted)


class method:
    """An auth method mounted under its own name."""

    def __init__(self, c, kind):
        self.c, self.kind = c, kind

    def __enter__(self):
        self.c.sys.enable_auth_method(self.kind)

    def __exit__(self, *_):
        self.c.sys.disable_auth_method(self.kind)


def run():
    """Makes every check; one that gives a text is skipped for that reason."""
    failed = False
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            reason = function(client())
            print(f"skipped {name}: {reason}" if reason else f"ok {name}")
        except Exception as error:  # pylint: disable=broad-except
            failed = True
            frames = traceback.extract_tb(error.__traceback__)
            file = function.__code__.co_filename
            place = next(frame for frame in reversed(frames) if frame.filename == file)
            print(f"FAILED {name}, line {place.lineno}: {type(error).__name__}: {error}".replace("\n", " "))
    sys.exit(failed)
