"""A class where an instance of it belongs: its hook would be called without self."""

import pima_toolkit as pima


class Plugin:
    @pima.hookimpl
    def pima_experts(self):
        return []
