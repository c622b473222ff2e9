"""Counts the answers of each operation, and keeps the key alive with which schemathesis asks."""

import atexit
import collections
import json
import os

import schemathesis

COUNTS = collections.defaultdict(collections.Counter)
OWN_KEY = os.environ["CODEMINT_KEY_ID"]


@schemathesis.hook
def before_call(context, case, kwargs):
    # Without its key, every later answer would be 401.
    if case.operation.label == "DELETE /v1/keys/{id}" and case.path_parameters.get("id") == OWN_KEY:
        case.path_parameters["id"] = "00000000-0000-7000-8000-000000000000"


@schemathesis.hook
def after_call(context, case, response):
    COUNTS[case.operation.label][str(response.status_code)] += 1


@atexit.register
def write():
    with open("counts.json", "w") as file:
        json.dump(COUNTS, file)
