// Owns which value of a key holds: the variable's, else the file's, else the default; and tells where each is from.
// All mistakes are found at once. Reads no process state: the environment is handed in.
import { ConfigError } from "./config-error.ts";
import { type FileValues, readConfigFile } from "./config-file.ts";
import { BadValueError, type Given, type Key, type Source, shownSource } from "./key.ts";

/** Environment variables as `process.env` holds them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What {@link readSettings} needs. */
export interface SettingsOptions {
  /** The keys of this process: values given to others in the file are left to whom they are for. */
  readonly keys: readonly Key[];
  /** Every key that a file may hold. Default: `keys`. */
  readonly known?: readonly Key[];
  readonly env: Environment;
  /** What the configuration file says; nothing if undefined. */
  readonly file?: FileValues | undefined;
}

/** The settings of a process. */
export interface Settings {
  /** What holds for `key`. */
  get<T>(key: Key<T>): T;
  /** Where that is from; undefined for the default. */
  sourceOf(key: Key): Source | undefined;
}

/** Reads the file, if one is named, and the settings. Throws ConfigError with all mistakes. */
export async function loadSettings(
  options: Omit<SettingsOptions, "file"> & { readonly path: string | undefined },
): Promise<Settings> {
  const { path, keys, known = keys } = options;
  const file = path === undefined ? undefined : await readConfigFile(path, known);
  return readSettings({ ...options, file });
}

/** Decides which values hold. Throws ConfigError with all mistakes, those of the file included. */
export function readSettings({ keys, env, file }: SettingsOptions): Settings {
  const mistakes = [...(file?.mistakes ?? [])];
  const chosen = new Map<string, Given>();
  for (const key of keys) {
    try {
      const given = givenIn(env, key) ?? file?.values.get(key.path);
      if (given === undefined) continue;
      chosen.set(key.path, given);
      judge(key, given);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      mistakes.push(...error.mistakes);
    }
  }
  const [first, ...rest] = mistakes;
  if (first !== undefined) throw new ConfigError([first, ...rest]);
  return {
    get(key) {
      const given = chosen.get(key.path);
      return given === undefined ? key.fallback : key.parse(given);
    },
    sourceOf: (key) => chosen.get(key.path)?.source,
  };
}

/** Says what is wrong with each value of the file, whatever the variables say. */
export function mistakesIn(file: FileValues, keys: readonly Key[]): readonly string[] {
  return [...file.mistakes, ...readMistakes(file, keys)];
}

function readMistakes({ values }: FileValues, keys: readonly Key[]): readonly string[] {
  return keys.flatMap((key) => {
    const given = values.get(key.path);
    try {
      if (given !== undefined) judge(key, given);
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.mistakes;
      throw error;
    }
  });
}

/** What the environment says of a key. An empty variable is one that is not set. */
function givenIn(env: Environment, { variable, kind }: Key): Given | undefined {
  const folder = ".";
  const value = env[variable]?.trim() ?? "";
  const fileVariable = `${variable}_FILE`;
  const file = kind === "secret" ? (env[fileVariable]?.trim() ?? "") : "";
  if (value !== "" && file !== "") throw new ConfigError(`${variable} and ${fileVariable} are both set: unset one`);
  if (file !== "") return { value: `file:${file}`, folder, source: { kind: "variable", name: fileVariable } };
  return value === "" ? undefined : { value, folder, source: { kind: "variable", name: variable } };
}

function judge(key: Key, given: Given): void {
  try {
    key.parse(given);
  } catch (error) {
    if (!(error instanceof BadValueError)) throw error;
    const { source } = given;
    const where = source.kind === "variable" ? `${source.name} (${key.path})` : `${shownSource(source)}: ${key.path}`;
    throw new ConfigError(`${where} ${error.message}`);
  }
}
