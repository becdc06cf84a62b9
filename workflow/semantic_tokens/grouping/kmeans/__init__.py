"""K-Means over word embeddings (paper, section 2.1; Appendix E).

Cosine distance means spherical K-Means: rows and centroids have length one. Euclidean distance
is the alternative of Appendix E.

**Work.** Lloyd's algorithm, exact up to rounding. The first pass compares every row with every
centroid. A later one uses what it knows. A centroid moves only if its cluster gained or lost a
member, and each row remembers how near the nearest of the others can at most be: a row that is
still nearer to its own cannot prefer a centroid that stood still, and is compared with those
that moved alone. The tail of a run, where few clusters change, then costs little.

**Near before all.** The first passes move nearly every centroid, and far: they need no precision.
Where there are many clusters their centroids are gathered in regions, and a row is compared with
the centroids of the regions nearest to it alone; where the leading principal axes hold most of
what tells rows apart, within those axes. Such a pass costs a few hundredths of a whole one. When
they gain little more, exact passes over all centroids and columns go on from their partition.
Clusters of a few rows each are exact from the start: nearly every row moves once alone then, so a
partition is no better than its first passes.

**Memory.** The N×k matrix of similarities never exists; it is made and reduced a tile at a time.
The largest case of the paper, XLM-V at 40% (901,629×768, 360,652 centroids), holds on the
device: rows 2.8 GB, centroids 1.1 GB and copies of those that moved 1.1 GB, tiles 0.5 GB, gathered
rows 0.8 GB, a few vectors of N: 6 GB in all, of the 80 GB of the paper's GPUs.

**Empty clusters.** There are none, in any iteration: an empty cluster gets the row that lies
farthest from its own centroid, out of a cluster that can spare it.

**Weights.** Rows may weigh differently. A row is assigned as before; it counts by its weight in
its cluster's mean, in the objective, in what is farthest, and in the draw of the rows to start
from. A vector of N more is all that this takes.
"""

from semantic_tokens.grouping.kmeans.nearest import Metric
from semantic_tokens.grouping.kmeans.run import KMeansResult, kmeans
from semantic_tokens.grouping.kmeans.subwords import frequency_weights, kmeans_groups

__all__ = ["KMeansResult", "Metric", "frequency_weights", "kmeans", "kmeans_groups"]
