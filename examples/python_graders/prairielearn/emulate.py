"""Stands in for PrairieLearn's image grader-python, which cannot be installed as a package:

    python emulate.py QUESTION USER_CODE.py

prints the results as JSON. It keeps the part of the documented contract that this question uses: `setup_code.py`, `ans.py` and
`test.py`, the names for and from the student, `self.st` and `self.ref`, `Feedback`, `points` and `name`, and the timeout of
`info.json`, after which nothing is graded. It isolates nothing: run code of students in the real image.
"""

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
import traceback
import types
import unittest
from collections import namedtuple
from copy import deepcopy
from pathlib import Path


class GradingComplete(Exception):
    """Ends all tests."""


class Feedback:
    """What the tests say to the student."""

    test = None

    @classmethod
    def add_feedback(cls, text):
        cls.test.feedback.append(text)

    @classmethod
    def set_score(cls, score):
        cls.test.points = score

    @classmethod
    def call_user(cls, function, *arguments):
        try:
            return function(*arguments)
        except Exception:
            cls.add_feedback(f"Your code raised an exception:\n{traceback.format_exc()}")
            raise GradingComplete from None


class PLTestCase(unittest.TestCase):
    """A test suite with the variables of the student and of the reference."""

    def setUp(self):
        self.points = 0
        self.feedback = []
        Feedback.test = self


def marked(**options):
    """A decorator that notes options of a test."""

    def mark(test):
        test.__dict__.update(options)
        return test

    return mark


def stand_in(module_name, **members):
    module = types.ModuleType(module_name)
    module.__dict__.update(members)
    sys.modules[module_name] = module


def execute(question, user_code):
    """The variables of the reference and of the student."""
    data = {"params": {}, "variant_seed": 1}
    server = {}
    exec((question / "server.py").read_text(), server)
    server["generate"](data)
    setup = {"data": data, "test_iter_num": 0}
    exec((question / "tests/setup_code.py").read_text(), setup)
    student = {entry["name"]: deepcopy(setup[entry["name"]]) for entry in data["params"]["names_for_user"]}
    exec((question / "tests/ans.py").read_text(), setup)
    exec(compile(user_code.read_text(), "user_code.py", "exec"), student)
    reference = {name: value for name, value in setup.items() if not name.startswith("_") and not isinstance(value, types.ModuleType)}
    from_student = {entry["name"]: student.get(entry["name"]) for entry in data["params"]["names_from_user"]}
    return tuple(namedtuple("Variables", names)(**names) for names in (reference, from_student))


def grade(question, user_code):
    """Runs the tests of a question."""
    stand_in("code_feedback", Feedback=Feedback)
    stand_in("pl_helpers", points=lambda points: marked(points=points), name=lambda name: marked(title=name))
    stand_in("pl_unit_test", PLTestCase=PLTestCase)
    try:
        PLTestCase.ref, PLTestCase.st = execute(question, user_code)
    except Exception:
        return {"gradable": False, "score": 0, "message": traceback.format_exc()}
    spec = importlib.util.spec_from_file_location("question_tests", question / "tests/test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests, is_over = [], False
    for test in unittest.defaultTestLoader.loadTestsFromTestCase(module.Test):
        options = getattr(test, test._testMethodName).__func__.__dict__
        test.setUp()
        if not is_over:
            try:
                getattr(test, test._testMethodName)()
            except GradingComplete:
                is_over = True
        else:
            test.feedback.append("Grading was skipped, because an earlier test failed.")
        earned = test.points * options["points"]
        tests.append(
            {"name": options["title"], "points": earned, "max_points": options["points"], "message": "\n".join(test.feedback)}
        )
    score = sum(test["points"] for test in tests) / sum(test["max_points"] for test in tests)
    return {"gradable": True, "score": score, "tests": tests}


def main(question, user_code):
    """Grades in a process that ends with the time limit of the question."""
    options = json.loads((Path(question) / "info.json").read_text())["externalGradingOptions"]
    command = [sys.executable, __file__, "--inside", question, user_code]
    try:
        print(subprocess.run(command, check=True, capture_output=True, text=True, timeout=options["timeout"]).stdout, end="")
    except subprocess.TimeoutExpired:
        print(json.dumps({"gradable": False, "score": 0, "message": f"Your code took more than {options['timeout']} s."}))


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        with contextlib.redirect_stdout(io.StringIO()):
            result = grade(Path(sys.argv[2]), Path(sys.argv[3]))
        print(json.dumps(result, ensure_ascii=False, indent=2))
    else:
        main(*sys.argv[1:])
