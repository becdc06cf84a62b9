"""Word embeddings: files, cross-lingual alignment, and dimension reduction."""
