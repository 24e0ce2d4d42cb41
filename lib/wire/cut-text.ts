// Cutting a text to a bound of the contract that counts bytes.

/** A text of at most so many bytes in UTF-8; what is longer is cut between two characters. */
export function cutToBytes(text: string, maxBytes: number): string {
  // A unit of length takes three bytes at most: short texts, which are nearly all, need not be encoded.
  if (text.length * 3 <= maxBytes) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  // Streaming leaves out a character that the cut would split.
  return new TextDecoder().decode(bytes.subarray(0, maxBytes), { stream: true });
}
