// The entries of an archive as they are gathered: few are kept, all are counted, within bounds that no archive can talk its way out of.

/** Most entries that are read of one archive, listed or not. */
const MAX_READ_ENTRIES = 100_000;
const MAX_PATH_LENGTH = 1_024;

/** Why an archive was not read to its end. */
export type ArchiveFault = "TOO_MANY_ENTRIES" | "UNPACKS_TOO_LARGE" | "MALFORMED";

/** One entry. */
export interface ArchiveItem {
  readonly path: string;
  readonly kind: "file" | "folder" | "link" | "other";
  readonly sizeBytes: number;
  readonly packedBytes?: number;
}

/** What an archive holds. */
export interface ArchiveContent {
  readonly format: string;
  readonly entries: ArchiveItem[];
  readonly entryCount: number;
  readonly unpackedBytes: number;
  readonly incomplete?: ArchiveFault;
}

/** Gathers what one archive holds. */
export class ArchiveListing {
  readonly #maxListed: number;
  readonly #entries: ArchiveItem[] = [];
  #count = 0;
  #unpackedBytes = 0;

  constructor(maxListed: number) {
    this.#maxListed = maxListed;
  }

  /** Whether no further entry is taken. */
  get full(): boolean {
    return this.#count >= MAX_READ_ENTRIES;
  }

  add(item: ArchiveItem): void {
    this.#count += 1;
    this.#unpackedBytes += item.sizeBytes;
    if (this.#entries.length >= this.#maxListed) return;
    this.#entries.push({ ...item, path: item.path.slice(0, MAX_PATH_LENGTH).toWellFormed() });
  }

  /** What was gathered. */
  content(format: string, incomplete: ArchiveFault | undefined): ArchiveContent {
    return {
      format,
      entries: this.#entries,
      entryCount: this.#count,
      unpackedBytes: this.#unpackedBytes,
      ...(incomplete === undefined ? {} : { incomplete }),
    };
  }
}
