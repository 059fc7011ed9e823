"""The only door to files, sockets, clocks and chance: the command line, the store, the catalogue, tables and reports."""
