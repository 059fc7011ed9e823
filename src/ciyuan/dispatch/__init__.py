"""Dispatch: where and when to make the tokens. Functions of frozen inputs; only messages are here."""

from ciyuan.dispatch.messages import Plan, Supply

__all__ = ["Plan", "Supply"]
