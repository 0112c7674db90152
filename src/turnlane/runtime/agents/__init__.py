"""Adapters: one package per framework. Only the CLI picks one."""
