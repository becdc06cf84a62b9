"""What a study shows: tables, figures, the explorer and pages."""
