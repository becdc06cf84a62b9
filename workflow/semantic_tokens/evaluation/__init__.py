"""What scores mean: intervals, significance, chance, and the paper's claims."""
