"""A report as JSON, HTML, PNG, CSV and words."""
