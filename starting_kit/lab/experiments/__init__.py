"""Methods compared on traces, and what comes out of the lab: tables, plots, policies."""
