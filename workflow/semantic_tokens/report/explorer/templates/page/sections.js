// Sections of the page: arrays and JSON values, deflated and written in base64.

/**
 * Unpack a section.
 *
 * @param {string} text base64 of the deflated bytes.
 * @param {string} type "JSON", or the name of a typed array such as "Uint16Array".
 * @returns the parsed value, or the typed array.
 */
export async function unpack(text, type) {
  const packed = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  if (type === "JSON") return new Response(stream).json();
  return new globalThis[type](await new Response(stream).arrayBuffer());
}
