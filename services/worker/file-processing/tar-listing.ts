// Lists a tar archive, packed by gzip or not, and what else gzip packs, while its bytes go by; nothing is kept of them. What it unpacks
// to is counted and bounded, so that a small file which unpacks to very much ends here.
import { once } from "node:events";
import { createGunzip, type Gunzip } from "node:zlib";
import { Parser, type ReadEntry } from "tar";
import { type ArchiveContent, type ArchiveFault, type ArchiveItem, ArchiveListing } from "./archive-listing.ts";

/** Most bytes that gzip may unpack to before the rest is left alone. */
const MAX_UNPACKED_BYTES = 1024 ** 3;
/** Where a tar archive says that it is one. */
const TAR_MARK = { at: 257, text: "ustar" };
const TAR_BLOCK_BYTES = 512;
/** How gzip and zstd begin. */
const PACKED_MARKS: readonly Buffer[] = [Buffer.from([0x1f, 0x8b]), Buffer.from([0x28, 0xb5, 0x2f, 0xfd])];

/** Lists an archive that comes in pieces. */
export interface StreamedListing {
  /** Takes the next piece; resolves when there is room for another. Does nothing once there is nothing more to learn. */
  add(piece: Uint8Array): Promise<void>;
  /** What it holds. Once, at the end. */
  content(): Promise<ArchiveContent>;
  /** Gives up. */
  discard(): void;
}

/** Lists a plain tar archive. */
export function listTar(maxListed: number): StreamedListing {
  const listing = new ArchiveListing(maxListed);
  const tar = new TarReader(listing);
  return {
    async add(piece) {
      tar.add(piece);
    },
    async content() {
      tar.end();
      return listing.content("tar", tar.fault);
    },
    discard: () => undefined,
  };
}

/** Lists what gzip packed, a tar archive or one file, as far as it unpacks to `maxUnpackedBytes`. */
export function listGzip(maxListed: number, maxUnpackedBytes: number = MAX_UNPACKED_BYTES): StreamedListing {
  const listing = new ArchiveListing(maxListed);
  const inner = new UnpackedContent(listing);
  const gunzip = createGunzip();
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let packedName: string | undefined;
  let isFirst = true;
  let fault: ArchiveFault | undefined;
  const stop = (why: ArchiveFault | undefined): void => {
    fault ??= why;
    resolve();
    gunzip.destroy();
  };
  gunzip.on("data", (piece: Buffer) => {
    inner.add(piece);
    if (inner.bytes > maxUnpackedBytes) stop("UNPACKS_TOO_LARGE");
    else if (inner.fault !== undefined) stop(inner.fault);
  });
  gunzip.once("end", () => stop(undefined)).once("error", () => stop("MALFORMED"));
  return {
    async add(piece) {
      if (isFirst) packedName = nameInHeader(piece);
      isFirst = false;
      if (!gunzip.destroyed && !gunzip.write(piece)) await roomIn(gunzip, ended);
    },
    async content() {
      if (!gunzip.destroyed) gunzip.end();
      await ended;
      inner.end();
      if (inner.isTar) return listing.content("tar.gz", fault ?? inner.fault);
      listing.add({ path: packedName ?? "", kind: "file", sizeBytes: inner.bytes });
      return listing.content("gz", fault);
    },
    discard: () => stop(undefined),
  };
}

async function roomIn(gunzip: Gunzip, ended: Promise<void>): Promise<void> {
  const waiting = new AbortController();
  const drained = once(gunzip, "drain", { signal: waiting.signal }).catch(() => undefined);
  await Promise.race([drained, ended]);
  waiting.abort();
}

/** What comes out of gzip: its first block tells whether it is a tar archive. */
class UnpackedContent {
  bytes = 0;
  readonly #listing: ArchiveListing;
  #start: Buffer = Buffer.alloc(0);
  #tar: TarReader | undefined;

  constructor(listing: ArchiveListing) {
    this.#listing = listing;
  }

  get isTar(): boolean {
    return this.#tar !== undefined;
  }

  get fault(): ArchiveFault | undefined {
    return this.#tar?.fault;
  }

  add(piece: Buffer): void {
    const isStart = this.bytes < TAR_BLOCK_BYTES;
    this.bytes += piece.length;
    if (!isStart) {
      this.#tar?.add(piece);
      return;
    }
    this.#start = Buffer.concat([this.#start, piece]);
    if (this.bytes < TAR_BLOCK_BYTES) return;
    if (!hasTarMark(this.#start)) return;
    this.#tar = new TarReader(this.#listing);
    this.#tar.add(this.#start);
  }

  end(): void {
    this.#tar?.end();
  }
}

class TarReader {
  fault: ArchiveFault | undefined;
  readonly #parser: Parser;

  constructor(listing: ArchiveListing) {
    this.#parser = new Parser({
      onReadEntry: (entry) => {
        if (listing.full) this.fault ??= "TOO_MANY_ENTRIES";
        else listing.add(itemOf(entry));
        entry.resume();
      },
      onwarn: () => (this.fault ??= "MALFORMED"),
    });
    this.#parser.on("error", () => (this.fault ??= "MALFORMED"));
  }

  add(piece: Uint8Array): void {
    if (this.fault === undefined) this.#parser.write(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
  }

  end(): void {
    if (this.fault === undefined) this.#parser.end();
  }
}

function itemOf({ path, type, size }: ReadEntry): ArchiveItem {
  return { path, kind: KINDS[type] ?? "other", sizeBytes: size };
}

const KINDS: Readonly<Record<string, ArchiveItem["kind"]>> = {
  File: "file",
  OldFile: "file",
  ContiguousFile: "file",
  Directory: "folder",
  GNUDumpDir: "folder",
  Link: "link",
  SymbolicLink: "link",
};

function hasTarMark(block: Buffer): boolean {
  // The library would unpack what starts like this, without a bound: a second packing in the first has room for the mark.
  if (PACKED_MARKS.some((mark) => block.subarray(0, mark.length).equals(mark))) return false;
  return block.subarray(TAR_MARK.at, TAR_MARK.at + TAR_MARK.text.length).toString("latin1") === TAR_MARK.text;
}

/** The name of the file that was packed, if the header of gzip (RFC 1952) says it. */
function nameInHeader(head: Uint8Array): string | undefined {
  const flags = head[3] ?? 0;
  const hasName = (flags & 8) !== 0;
  const hasExtra = (flags & 4) !== 0;
  if (!hasName) return undefined;
  const start = hasExtra ? 12 + (head[10] ?? 0) + (head[11] ?? 0) * 256 : 10;
  const end = head.indexOf(0, start);
  return end === -1 ? undefined : Buffer.from(head.subarray(start, end)).toString("latin1");
}
