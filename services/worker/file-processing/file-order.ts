// The input of a `file-processing` task: its bounds and defaults. Pure: looks at no file.
import { isAbsolute } from "node:path";
import type { FileProcessingInput } from "../../../gen/mycel/tasks/v1/file_processing_pb.ts";
import { isName, NAME_ALPHABET } from "../../../lib/core/names.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { InputViolations } from "../input-violations.ts";
import { HASH_NAMES, type HashName } from "./content-hashes.ts";

/** What can be found out beside size and type. */
export type FileOperation = "hashes" | "text" | "image" | "archive";

const OPERATIONS: readonly FileOperation[] = ["hashes", "text", "image", "archive"];
const MAX_PATH_LENGTH = 4_096;
const MAX_BLOB_ID_LENGTH = 100;
const MAX_ENTRIES = 10_000;
const DEFAULT_ENTRIES = 100;

/** What is to be found out, with its defaults. */
export interface FileOrder {
  readonly operations: ReadonlySet<FileOperation>;
  /** Empty unless hashes are asked for. */
  readonly hashes: readonly HashName[];
  readonly maxEntries: number;
}

/** What is wrong with an input. */
export function checkFile({ source, operations, hashes, maxEntries }: FileProcessingInput): readonly FieldViolation[] {
  const violations = new InputViolations();
  switch (source.case) {
    case undefined:
      violations.add("path", "must be given, or blob, blobId or content");
      break;
    case "path":
      violations.maxLength("path", source.value, MAX_PATH_LENGTH);
      if (!isAbsolute(source.value)) violations.add("path", "must be an absolute path");
      else if (source.value.includes("\0")) violations.add("path", "must not contain a NUL character");
      break;
    case "blob":
      checkBlobId("blob.blobId", source.value.blobId, violations);
      break;
    case "blobId":
      checkBlobId("blobId", source.value, violations);
      break;
    default:
  }
  for (const [i, operation] of operations.entries()) violations.oneOf(`operations[${i}]`, operation, OPERATIONS);
  for (const [i, hash] of hashes.entries()) violations.oneOf(`hashes[${i}]`, hash, HASH_NAMES);
  violations.wholeNumber("maxEntries", maxEntries, 0, MAX_ENTRIES);
  return violations.found;
}

function checkBlobId(field: string, blobId: string, violations: InputViolations): void {
  if (isName(blobId, MAX_BLOB_ID_LENGTH)) return;
  violations.add(field, `must be 1 to ${MAX_BLOB_ID_LENGTH} characters of ${NAME_ALPHABET}`);
}

/** Fills in the defaults. */
export function fileOrder({ operations, hashes, maxEntries = DEFAULT_ENTRIES }: FileProcessingInput): FileOrder {
  const asked = new Set(OPERATIONS.filter((name) => operations.length === 0 || operations.includes(name)));
  const names = hashes.length === 0 ? ["sha256"] : hashes;
  return {
    operations: asked,
    hashes: asked.has("hashes") ? HASH_NAMES.filter((name) => names.includes(name)) : [],
    maxEntries,
  };
}
