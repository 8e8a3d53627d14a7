print("OPEN: a stranger's module ran")
