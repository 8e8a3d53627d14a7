"""What `kit.py statistics` is made of: functions of hotness arrays, and the page and tables that show them."""
