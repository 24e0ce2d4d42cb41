// A file without a name for what must be read twice and comes only once. It is gone when it is closed, or when the process ends.
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A nameless file. */
export interface SpoolFile extends AsyncDisposable {
  /** Its descriptor, for reading. */
  readonly fd: number;
  /** Adds to its end. */
  add(piece: Uint8Array): Promise<void>;
}

/** Makes one in the system's folder for such files. */
export async function openSpoolFile(): Promise<SpoolFile> {
  const folder = await mkdtemp(join(tmpdir(), "mycel-spool-"));
  try {
    const handle = await open(join(folder, "content"), "wx+", 0o600);
    return {
      fd: handle.fd,
      add: (piece) => handle.appendFile(piece),
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } finally {
    // An open file outlives its name.
    await rm(folder, { recursive: true, force: true });
  }
}
