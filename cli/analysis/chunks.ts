// Splits files into chunks of about equal work, one task each. Pure.
import type { SourceFile } from "./source-listing.ts";

/** Bounds of a chunk. */
export interface ChunkOptions {
  /** Most files in a chunk, at least 1; default 25. */
  readonly maxFiles?: number | undefined;
  /** Most bytes in a chunk; a larger file is a chunk of its own. Default 1 MiB. */
  readonly maxBytes?: number | undefined;
}

/** Files for one task, all below one root, sorted by path. */
export interface FileChunk {
  readonly root: string;
  readonly files: readonly string[];
  readonly bytes: number;
}

/** Splits `files`: each is in exactly one chunk. Chunks come largest first, so that no long one is left for the end. */
export function chunkFiles(files: readonly SourceFile[], options: ChunkOptions = {}): FileChunk[] {
  const { maxFiles = 25, maxBytes = 1024 * 1024 } = options;
  if (!Number.isInteger(maxFiles) || maxFiles < 1) {
    throw new RangeError(`maxFiles must be a whole number from 1, is ${maxFiles}`);
  }
  if (!(maxBytes >= 1)) throw new RangeError(`maxBytes must be at least 1, is ${maxBytes}`);
  const roots = new Map<string, SourceFile[]>();
  for (const file of files) {
    const group = roots.get(file.root);
    if (group === undefined) roots.set(file.root, [file]);
    else group.push(file);
  }
  return [...roots]
    .flatMap(([root, group]) => packRoot(root, group, { maxFiles, maxBytes }))
    .sort((a, b) => b.bytes - a.bytes);
}

interface OpenChunk {
  readonly files: string[];
  bytes: number;
}

/** Longest-processing-time first: the largest file goes to the emptiest of just as many chunks as are needed. */
function packRoot(root: string, files: readonly SourceFile[], bounds: Required<ChunkOptions>): FileChunk[] {
  const { maxFiles = 1, maxBytes = 1 } = bounds;
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const count = Math.max(Math.ceil(files.length / maxFiles), Math.ceil(totalBytes / maxBytes));
  const chunks = Array.from({ length: count }, (): OpenChunk => ({ files: [], bytes: 0 }));
  for (const file of files.toSorted((a, b) => b.bytes - a.bytes)) {
    let emptiest: OpenChunk | undefined;
    for (const chunk of chunks) {
      const fits = chunk.files.length < maxFiles && (chunk.files.length === 0 || chunk.bytes + file.bytes <= maxBytes);
      if (fits && (emptiest === undefined || chunk.bytes < emptiest.bytes)) emptiest = chunk;
    }
    if (emptiest === undefined) chunks.push({ files: [file.path], bytes: file.bytes });
    else {
      emptiest.files.push(file.path);
      emptiest.bytes += file.bytes;
    }
  }
  return chunks
    .filter((chunk) => chunk.files.length > 0)
    .map((chunk) => ({ root, files: chunk.files.toSorted(), bytes: chunk.bytes }));
}
