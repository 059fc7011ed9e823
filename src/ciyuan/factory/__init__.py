"""The factory: electricity and chips in, tokens and their cost out. Functions of frozen inputs; only messages are here."""

from ciyuan.factory.messages import Chip, CostPerMTok, Provenance, ServingPoint, Site, Tier, TokenRates

__all__ = ["Chip", "CostPerMTok", "Provenance", "ServingPoint", "Site", "Tier", "TokenRates"]
