// Finds out about one file in one pass over its bytes, of which only the first are kept. Every piece is waited for, which gives the event
// loop its turns.
import { type ArchiveContent } from "./archive-listing.ts";
import { ContentHashes } from "./content-hashes.ts";
import type { ContentSource } from "./content-source.ts";
import type { FileOrder } from "./file-order.ts";
import { archiveKindOf, type ContentType, contentTypeOf, type ImageSize, imageSizeOf } from "./file-type.ts";
import { openSpoolFile } from "./spool-file.ts";
import { listGzip, listTar, type StreamedListing } from "./tar-listing.ts";
import { TextCount, type TextCounts } from "./text-count.ts";
import { encodingOf, type TextEncoding } from "./text-encoding.ts";
import { listZip } from "./zip-listing.ts";

/** What is kept of a content's start: enough for the size of an image behind its metadata. */
const HEAD_BYTES = 512 * 1024;
/** What of it tells type and encoding. */
const PROBE_BYTES = 64 * 1024;

/** What was found out. */
export interface FileFacts {
  readonly sizeBytes: number;
  readonly type: ContentType;
  readonly hashes: Record<string, string>;
  readonly text?: TextCounts;
  readonly image?: ImageSize;
  readonly archive?: ArchiveContent;
}

/** How a file is processed. */
export interface ProcessOptions {
  /** Ends the work between two pieces by throwing its reason. */
  readonly signal: AbortSignal;
  /** Called after each piece with the bytes that are done. */
  readonly onProgress: (bytes: number) => void;
}

/** Finds out what `order` asks for. */
export async function processFile(
  source: ContentSource,
  order: FileOrder,
  options: ProcessOptions,
): Promise<FileFacts> {
  const { signal, onProgress } = options;
  const pieces = source.pieces()[Symbol.asyncIterator]();
  const head = await readHead(pieces);
  const probe = head.subarray(0, PROBE_BYTES);
  const encoding = encodingOf(probe);
  const type = await contentTypeOf(probe, encoding);
  const kind = order.operations.has("archive") ? archiveKindOf(head, type) : undefined;

  const hashes = new ContentHashes(order.hashes);
  const text = order.operations.has("text") ? textCount(type, encoding) : undefined;
  const listing = kind === undefined || kind === "zip" ? undefined : streamedListing(kind, order.maxEntries);
  await using spool = kind === "zip" && source.again === undefined ? await openSpoolFile() : undefined;
  let sizeBytes = 0;
  const take = async (piece: Uint8Array): Promise<void> => {
    signal.throwIfAborted();
    hashes.add(piece);
    text?.add(piece);
    await listing?.add(piece);
    await spool?.add(piece);
    sizeBytes += piece.length;
    onProgress(sizeBytes);
  };
  try {
    await take(head);
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) await take(next.value);
    const archive =
      kind === "zip"
        ? await listZip(source.again ?? spool?.fd ?? head, order.maxEntries, signal)
        : await listing?.content();
    const image = order.operations.has("image") ? imageSizeOf(head, type) : undefined;
    return {
      sizeBytes,
      type,
      hashes: hashes.digests(),
      ...(text === undefined ? {} : { text: text.counts() }),
      ...(image === undefined ? {} : { image }),
      ...(archive === undefined ? {} : { archive }),
    };
  } finally {
    listing?.discard();
    await pieces.return?.();
  }
}

/** The first pieces in one, at least as long as the head if there is as much. */
async function readHead(pieces: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length < HEAD_BYTES) {
    const next = await pieces.next();
    if (next.done === true) break;
    // Copied: the source may use its memory again for the next piece.
    parts.push(Uint8Array.from(next.value));
    length += next.value.length;
  }
  // Memory of its own, not of Node's pool: image-size reads on where a view ends, into what others have there.
  const head = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    head.set(part, at);
    at += part.length;
  }
  return head;
}

/** Of documents and pictures that happen to start like a text, nothing is counted. */
function textCount({ mediaType }: ContentType, encoding: TextEncoding | undefined): TextCount | undefined {
  const isTextual = /^text\/|[/+](?:xml|json|javascript|rtf|x-sh|x-ndjson|x-subrip|toml|yaml)$/.test(mediaType);
  return encoding === undefined || !isTextual ? undefined : new TextCount(encoding);
}

function streamedListing(kind: "tar" | "gz", maxEntries: number): StreamedListing {
  return kind === "tar" ? listTar(maxEntries) : listGzip(maxEntries);
}
