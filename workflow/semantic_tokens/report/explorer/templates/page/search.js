// Binary search in sorted data.

/** The first position in 0..`length` for which `isBelow` is false; `isBelow` must be sorted. */
export function lowerBound(length, isBelow) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
