// Lists a zip archive by its directory, which stands at its end; nothing is unpacked.
import { type Entry, fromBufferPromise, fromFdPromise, getFileNameLowLevel } from "yauzl";
import { type ArchiveContent, type ArchiveFault, ArchiveListing } from "./archive-listing.ts";

/** Lists the archive in a file that is open, or in memory. `signal` ends it between two entries. */
export async function listZip(
  source: number | Uint8Array,
  maxListed: number,
  signal: AbortSignal,
): Promise<ArchiveContent> {
  const listing = new ArchiveListing(maxListed);
  let fault: ArchiveFault | undefined;
  try {
    // Names are decoded below: the library refuses an archive with an unsafe name, and here it is what people want to see.
    const options = { decodeStrings: false, autoClose: false };
    const zip = await (typeof source === "number"
      ? fromFdPromise(source, options)
      : fromBufferPromise(Buffer.from(source.buffer, source.byteOffset, source.byteLength), options));
    for await (const entry of zip.eachEntry()) {
      signal.throwIfAborted();
      if (listing.full) {
        fault = "TOO_MANY_ENTRIES";
        break;
      }
      listing.add(itemOf(entry));
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    fault = "MALFORMED";
  }
  return listing.content("zip", fault);
}

function itemOf(entry: Entry): Parameters<ArchiveListing["add"]>[0] {
  const { generalPurposeBitFlag, fileNameRaw, extraFields, uncompressedSize, compressedSize } = entry;
  const path = getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, false);
  // Of an archive made on Unix, the file's mode; 0 of others.
  const type = (entry.externalFileAttributes >>> 28) & 0xf;
  const kind = path.endsWith("/") ? "folder" : type === 0xa ? "link" : "file";
  return { path, kind, sizeBytes: uncompressedSize, packedBytes: compressedSize };
}
