"""The suite is a module of its own: its assertions explain themselves too."""

import pytest

pytest.register_assert_rewrite("tests.store.contract")
