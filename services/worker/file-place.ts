// Finds where a file lies that is open, whatever its path has come to mean since it was opened. Judges nothing.
import { type FileHandle, lstat, readlink, realpath } from "node:fs/promises";

/** Where an open file lies: absolute, without links; undefined if it cannot be told. `path` is what it was opened by. */
export type FilePlace = (handle: FileHandle, path: string) => Promise<string | undefined>;

/** By what the kernel knows of the descriptor; only on Linux. */
const placeByDescriptor: FilePlace = async (handle) => {
  // Not realpath: that would walk the names once more, and they may lead elsewhere again.
  return orUndefined(readlink(`/proc/self/fd/${handle.fd}`));
};

/** By looking the path up once more: it is the place if the file there is the open one. */
export const placeByName: FilePlace = async (handle, path) => {
  const place = await orUndefined(realpath(path));
  if (place === undefined) return undefined;
  const there = await orUndefined(lstat(place, { bigint: true }));
  const opened = await handle.stat({ bigint: true });
  return there?.dev === opened.dev && there.ino === opened.ino ? place : undefined;
};

/** By the descriptor where the system tells, else by name, which somebody quick enough may still deceive. */
export const placeOfFile: FilePlace = async (handle, path) =>
  (await placeByDescriptor(handle, path)) ?? placeByName(handle, path);

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  return work.catch(() => undefined);
}
