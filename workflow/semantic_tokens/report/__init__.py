"""The output for readers: tables, figures, the explorer and pages."""
