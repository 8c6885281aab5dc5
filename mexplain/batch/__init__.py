"""Archives: thousands of clips explained on one machine or a cluster, into tables and an index page."""
