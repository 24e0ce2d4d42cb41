// Owns how lengths of time and numbers of bytes are written. Pure.

const TIMES: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
];

const AMOUNTS: readonly (readonly [string, number])[] = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["KB", 1e3],
  ["B", 1],
];

/** Milliseconds of `500ms`, `30s`, `1.5m`, `2h`, `7d`, or of a number alone; undefined for anything else. */
export function readDuration(text: string): number | undefined {
  return readWithUnit(text, TIMES, "ms");
}

/** Bytes of `512KiB`, `10GB`, or of a number alone; undefined for anything else, and for what is no whole number of them. */
export function readAmount(text: string): number | undefined {
  const value = readWithUnit(text, AMOUNTS, "B");
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

/** In the largest unit of which it is a whole number, e.g. `90s`. */
export function shownDuration(ms: number): string {
  return shownWithUnit(ms, TIMES);
}

/** In the largest unit of which it is a whole number, e.g. `64MiB`. */
export function shownAmount(bytes: number): string {
  return shownWithUnit(bytes, AMOUNTS);
}

function readWithUnit(text: string, units: typeof TIMES, bare: string): number | undefined {
  const match = /^(\d{1,18}(?:\.\d{1,9})?) ?([a-z]{0,3})$/i.exec(text);
  if (match === null) return undefined;
  const wanted = (match[2] || bare).toLowerCase();
  const unit = units.find(([name]) => name.toLowerCase() === wanted);
  return unit === undefined ? undefined : Number(match[1]) * unit[1];
}

function shownWithUnit(value: number, units: typeof TIMES): string {
  const [name, size] = units.find(([, size]) => value >= size && value % size === 0) ?? ["", 1];
  return value === 0 ? `0${units.at(-1)?.[0] ?? ""}` : `${value / size}${name}`;
}
