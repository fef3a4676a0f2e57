"""The one table of the dashboard: rows, columns, sorting, drawing."""
