// Text as bytes, and the characters that byte-level tokenizers write bytes as.

export const utf8 = new TextEncoder();
export const fromUtf8 = new TextDecoder();

/** The character of each byte: printable bytes stand for themselves. */
const BYTE_CHARACTERS = (() => {
  const isPrintable = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : next++),
  );
})();

/** A text in the characters of byte-level tokenizers, one per byte. */
export function byteLevel(text) {
  return Array.from(utf8.encode(text), (byte) => BYTE_CHARACTERS[byte]).join("");
}

/** The text that byte-level characters stand for; any other text is returned unchanged. */
export function fromByteLevel(text) {
  const bytes = Array.from(text, (character) => BYTE_CHARACTERS.indexOf(character));
  return bytes.includes(-1) ? text : fromUtf8.decode(Uint8Array.from(bytes));
}
