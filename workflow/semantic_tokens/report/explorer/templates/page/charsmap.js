// SentencePiece's compiled normalisation.

import { fromUtf8, utf8 } from "./bytes.js";

const graphemes = Intl.Segmenter ? new Intl.Segmenter("en", { granularity: "grapheme" }) : null;

/** SentencePiece's map of characters: a double array over bytes, then the replacements. */
export class Charsmap {
  constructor(bytes) {
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    this.units = new Uint32Array(bytes.slice(4, 4 + size).buffer);
    this.replacements = bytes.subarray(4 + size);
  }

  /** The replacement of the shortest known prefix of some bytes, or null. */
  replacement(bytes) {
    const offset = (unit) => (unit >>> 10) << ((unit & 512) >>> 6);
    let place = offset(this.units[0]);
    for (const byte of bytes) {
      if (byte === 0) break;
      place ^= byte;
      const unit = this.units[place];
      if ((unit & 0x800000ff) >>> 0 !== byte) return null;
      place ^= offset(unit);
      if ((unit >>> 8) & 1) {
        const start = this.units[place] & 0x7fffffff;
        const end = this.replacements.indexOf(0, start);
        return fromUtf8.decode(this.replacements.subarray(start, end < 0 ? undefined : end));
      }
    }
    return null;
  }

  normalize(text) {
    let answer = "";
    const clusters = graphemes ? Array.from(graphemes.segment(text), (s) => s.segment) : text;
    for (const cluster of clusters) {
      const bytes = utf8.encode(cluster);
      const replaced = bytes.length < 6 ? this.replacement(bytes) : null;
      if (replaced !== null) answer += replaced;
      else for (const c of cluster) answer += this.replacement(utf8.encode(c)) ?? c;
    }
    return answer;
  }
}
