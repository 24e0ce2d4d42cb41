// Reads secrets that are given as files, as container platforms do: `NAME_FILE` holds the path of a file that holds `NAME`.
import { readFile } from "node:fs/promises";
import { systemErrorCode } from "../confined-root.ts";

/** Environment variables as `process.env` holds them. */
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * `env` with each of `names` taken from its file, where one is named. Throws RangeError with the variable if the file cannot be read, or
 * if both are given.
 */
export async function withKeyFiles(env: Environment, names: readonly string[]): Promise<Environment> {
  const read: Record<string, string> = {};
  for (const name of names) {
    const path = env[`${name}_FILE`] ?? "";
    if (path === "") continue;
    if ((env[name] ?? "") !== "") throw new RangeError(`${name} and ${name}_FILE are both set: unset one`);
    read[name] = await contentOf(`${name}_FILE`, path);
  }
  return { ...env, ...read };
}

async function contentOf(variable: string, path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    throw new RangeError(`${variable}: file ${path} cannot be read: ${systemErrorCode(error)}`, { cause: error });
  }
}
