"""The venue: the market as one machine. This room's messages; the machine is `ciyuan.venue.machine.Venue`."""

from ciyuan.venue.messages import Purse, Reason, Role, VenueCommand, VenueEvent, VenueRefusal

__all__ = ["Purse", "Reason", "Role", "VenueCommand", "VenueEvent", "VenueRefusal"]
