"""K-Means over word embeddings (paper, section 2.1; Appendix E).

Cosine distance means spherical K-Means: rows and centroids are normalised to length one. Euclidean
distance is the alternative of Appendix E.

**Exact passes.** Lloyd's algorithm, exact up to rounding. The first exact pass compares every row
with every centroid. Later passes skip most comparisons. A centroid moves only if its cluster gained
or lost a member. Each row stores a bound on its score with all other centroids. If a row's own
centroid is better than this bound, no unmoved centroid can be better, so the row is compared only
with the centroids that moved. The last passes, in which few clusters change, are therefore cheap.

**Near passes.** The first passes move nearly every centroid by a large distance, so they need no
precision. With many clusters, centroids are clustered into regions, and a row is compared only with
the centroids of its nearest regions. If a few leading principal axes hold most of the squared
lengths, distances use only these axes. Such a pass costs a few hundredths of an exact pass. When
near passes improve little, exact passes over all centroids and columns continue from their
partition. With only a few rows per cluster, all passes are exact: nearly every row moves only once
then, so the first passes decide the result.

**Memory.** The N×k matrix of similarities is never stored. It is computed and reduced in tiles. The
largest case of the paper is XLM-V at 40% (901,629×768, 360,652 centroids). It needs on the device:
rows 2.8 GB, centroids 1.1 GB, copies of moved centroids 1.1 GB, tiles 0.5 GB, gathered rows 0.8 GB,
and a few vectors of length N. The total is 6 GB; the paper's GPUs have 80 GB.

**Empty clusters.** No iteration leaves an empty cluster: it gets the row that is farthest from its
centroid, among rows whose cluster has other members.

**Weights.** Rows may have weights. They do not affect the assignment. They are used in the means,
in the objective, in the choice of the farthest row, and in the draw of the initial rows. They need
one more vector of length N.
"""

from semantic_tokens.grouping.kmeans.nearest import Metric
from semantic_tokens.grouping.kmeans.run import KMeansResult, kmeans
from semantic_tokens.grouping.kmeans.subwords import frequency_weights, kmeans_groups

__all__ = ["KMeansResult", "Metric", "frequency_weights", "kmeans", "kmeans_groups"]
