// gzip for requests and answers, so that a few bytes cannot take all memory: a thousand requests of 17 KB each would otherwise be
// decompressed side by side, each to the largest message. Brotli is left out: it makes as much of 26 bytes.
import { compressionGzip } from "@connectrpc/connect-node";

/** A compression as Connect takes it. */
type Compression = typeof compressionGzip;

/** How many requests are decompressed at once by default: as many as Node has threads for it. */
const DEFAULT_AT_ONCE = 4;

/** Makes a gzip that decompresses at most so many messages at once; the others wait their turn, compressed. */
export function boundedGzip(atOnce: number = DEFAULT_AT_ONCE): Compression {
  if (!Number.isInteger(atOnce) || atOnce < 1) {
    throw new RangeError(`atOnce must be a whole number from 1, got ${atOnce}`);
  }
  let running = 0;
  const waiting: (() => void)[] = [];
  return {
    name: compressionGzip.name,
    compress: (bytes) => compressionGzip.compress(bytes),
    async decompress(bytes, readMaxBytes) {
      if (running >= atOnce) await new Promise<void>((turn) => waiting.push(turn));
      else running += 1;
      try {
        return await compressionGzip.decompress(bytes, readMaxBytes);
      } finally {
        const next = waiting.shift();
        // Whoever is next takes this place over.
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
