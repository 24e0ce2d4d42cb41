// Owns the traces on disk: one JSON line a span, in a file that is rotated once, so that the folder stays bounded.
// Must not fail the caller: a full disk costs the history, not the traces in memory.
import { appendFile, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../../lib/core/logger.ts";
import type { SpanRecord } from "./span-record.ts";
import { makeFolder } from "../../lib/files/make-folder.ts";

/** Where spans are kept between runs. */
export interface SpanFile {
  /** Spans of earlier runs, oldest first. Damaged lines (a crash while writing) are left out. */
  readonly past: readonly SpanRecord[];
  /** Appends spans, in order of the calls. Resolves when written, or when writing failed and was logged. */
  append(spans: readonly SpanRecord[]): Promise<void>;
}

/** Opens `dir/traces.jsonl`, creating the folder. The folder holds at most twice `maxBytes`. */
export async function openSpanFile(dir: string, maxBytes: number, logger: Logger): Promise<SpanFile> {
  const current = join(dir, "traces.jsonl");
  const previous = join(dir, "traces.1.jsonl");
  await makeFolder(dir);
  const past = [...(await readSpans(previous)), ...(await readSpans(current))];
  let bytes = await sizeOf(current);
  // A run that was killed may have left half a line; what follows must not become part of it.
  let separator = bytes > 0 ? "\n" : "";

  const write = async (lines: string): Promise<void> => {
    const text = separator + lines;
    separator = "";
    const size = Buffer.byteLength(text);
    if (bytes > 0 && bytes + size > maxBytes) {
      await rename(current, previous);
      bytes = 0;
    }
    // Spans can hold what users sent; nobody else on the machine needs to read them.
    await appendFile(current, text, { mode: 0o600 });
    bytes += size;
  };

  let last: Promise<void> = Promise.resolve();
  return {
    past,
    append(spans) {
      if (spans.length === 0) return last;
      const text = spans.map((span) => `${JSON.stringify(span)}\n`).join("");
      last = last
        .then(() => write(text))
        .catch((error: unknown) => logger.warn({ err: error, file: current }, "traces could not be written to disk"));
      return last;
    },
  };
}

async function readSpans(path: string): Promise<SpanRecord[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      const span: unknown = JSON.parse(line);
      return isSpanRecord(span) ? [span] : [];
    } catch {
      return [];
    }
  });
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    (entry) => entry.size,
    () => 0,
  );
}

// The file is this module's own, so only a cut or foreign line has to be told apart.
function isSpanRecord(value: unknown): value is SpanRecord {
  if (typeof value !== "object" || value === null) return false;
  const span = value as Partial<Record<keyof SpanRecord, unknown>>;
  return (
    typeof span.traceId === "string" &&
    typeof span.spanId === "string" &&
    typeof span.name === "string" &&
    typeof span.service === "string" &&
    typeof span.startUs === "number" &&
    typeof span.endUs === "number" &&
    Array.isArray(span.attributes) &&
    Array.isArray(span.events) &&
    Array.isArray(span.links)
  );
}
