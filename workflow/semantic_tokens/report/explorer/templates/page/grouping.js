// One grouping: which subwords share a semantic token, and how similar they are.

export class Grouping {
  /**
   * @param described the grouping's `alignment`, `grouping` (its name) and number of `groups`.
   * @param tokenToGroup the group of every subword.
   * @param toMean int8 per subword: its cosine to the mean of its group.
   * @param pairs int8: the cosines between members of each group, as packed by Python.
   * @param scale `largestCompared`, the largest group with cosines between members, and
   *   `cosineScale`, the byte of a cosine of 1.
   */
  constructor(described, tokenToGroup, toMean, pairs, { largestCompared, cosineScale }) {
    Object.assign(this, described);
    this.name = `${this.alignment}, ${this.grouping}`;
    this.tokenToGroup = tokenToGroup;
    this.toMean = toMean;
    this.pairs = pairs;
    this.largestCompared = largestCompared;
    this.cosineScale = cosineScale;
    this.starts = new Uint32Array(this.groups + 1);
    for (const group of tokenToGroup) this.starts[group + 1]++;
    this.pairStarts = new Float64Array(this.groups + 1);
    for (let group = 0; group < this.groups; group++) {
      const size = this.starts[group + 1];
      const compared = size <= largestCompared ? (size * (size - 1)) / 2 : 0;
      this.pairStarts[group + 1] = this.pairStarts[group] + compared;
      this.starts[group + 1] += this.starts[group];
    }
    this.members = new Uint32Array(tokenToGroup.length);
    const next = this.starts.slice();
    tokenToGroup.forEach((group, id) => {
      this.members[next[group]++] = id;
    });
  }

  /** The ids of a group's subwords, ascending. */
  membersOf(group) {
    return this.members.subarray(this.starts[group], this.starts[group + 1]);
  }

  /**
   * The other members of a subword's group, the most similar first.
   *
   * @returns the `group`, its `size`, the `others` (`id` and `cosine`), and `toMean`, the subword's
   *   own cosine to the mean of the group. If `isCompared`, cosines of the others are to the
   *   subword; else the group is too large, and they are to the mean.
   */
  neighbours(id) {
    const group = this.tokenToGroup[id];
    const members = this.membersOf(group);
    const size = members.length;
    const isCompared = size <= this.largestCompared;
    const own = members.indexOf(id);
    const others = [];
    for (let place = 0; place < size; place++) {
      if (place === own) continue;
      const [row, column] = place < own ? [place, own] : [own, place];
      const at = this.pairStarts[group] + (row * (2 * size - row - 1)) / 2 + column - row - 1;
      const byte = isCompared ? this.pairs[at] : this.toMean[members[place]];
      others.push({ id: members[place], cosine: byte / this.cosineScale });
    }
    others.sort((a, b) => b.cosine - a.cosine || a.id - b.id);
    return { group, size, isCompared, others, toMean: this.toMean[id] / this.cosineScale };
  }
}
