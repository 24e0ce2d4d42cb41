// Owns taking over what a server stored before it trusted anybody, or while it trusted others: JetStream keeps each account's streams in a
// folder of the account's name, and looks for them nowhere else.
import { readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";

import { TASKS_STREAM } from "../../wire/subjects.ts";

/** Gives the mesh's streams to this account, if another one has them and this one has none. For a store that no server uses. */
export async function adoptStore(storeDir: string, account: string): Promise<void> {
  const accounts = join(storeDir, "jetstream");
  const own = join(accounts, account);
  if (await isFolder(own)) return;
  const names = await readdir(accounts).catch(() => []);
  for (const name of names) {
    if (await isFolder(join(accounts, name, "streams", TASKS_STREAM))) return await rename(join(accounts, name), own);
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
