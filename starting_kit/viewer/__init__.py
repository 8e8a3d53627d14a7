"""The page that steps through a finished case, drawn from the log of decisions and the trace."""
