// Owns how much a server that Mycel runs itself may store: chosen when its data folder is new, and kept. nats-server would choose anew at each
// start, and refuse every change of its streams once the disk has become fuller than they were promised.
import { readFile, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../../files/make-folder.ts";

/** The share of the free space that is promised. Files with gaps take up to twice what they hold before they are compacted. */
const SHARE = 0.5;

/** Bytes that a server in this folder may store, for `maxFileBytes`. Makes the folder if it is missing. */
export async function storeBound(dataDir: string): Promise<number> {
  await makeFolder(dataDir);
  const file = join(dataDir, "max-file-bytes");
  const chosen = Number(await readFile(file, "utf8").catch(() => ""));
  if (Number.isSafeInteger(chosen) && chosen > 0) return chosen;
  const { bavail, bsize } = await statfs(dataDir);
  const bytes = Math.max(1, Math.floor(bavail * bsize * SHARE));
  await writeFile(file, `${bytes}\n`);
  return bytes;
}
