"""The paper's tables, and additional ones."""
