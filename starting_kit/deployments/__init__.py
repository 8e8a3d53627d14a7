"""Files that engines read a placement from: written and read, each form in a module of its own."""
