"""Rules for all tests: where the shared data are promised, a test that skips for want of them has failed."""

import os

# Before anything imports torch or numba: the tests run beside each other, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import pytest

#: A skip counts as "for want of data" when the test is marked ``data`` or its reason names the variable.
VARIABLE = "PIMA_DATA"


def _wants_data(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return report.skipped and ("data" in getattr(report, "keywords", ()) or VARIABLE in str(report.longrepr))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if os.environ.get("PIMA_REQUIRE_DATA") == "1" and _wants_data(report):
        report.longrepr = f"{item.nodeid} was skipped although PIMA_REQUIRE_DATA=1: {report.longrepr}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if os.environ.get("PIMA_REQUIRE_DATA") == "1" and _wants_data(report):
        report.longrepr = f"{collector.nodeid} was skipped although PIMA_REQUIRE_DATA=1: {report.longrepr}"
        report.outcome = "failed"
    return report
