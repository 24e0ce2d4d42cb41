// The `file-processing` task as the mesh meets it: finds its file, and says why it cannot.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type FileProcessingInput,
  FileProcessingInputSchema,
  FileProcessingOutputSchema,
} from "../../../gen/mycel/tasks/v1/file_processing_pb.ts";
import type { Payload } from "../../../gen/mycel/v1/payload_pb.ts";
import {
  AgentError,
  type BlobStream,
  type Capability,
  TerminalError,
  typedCapability,
} from "../../../sdk/agent/index.ts";
import { AnalysisRefusedError, openAllowedFile, shown } from "../confined-root.ts";
import { blobSource, type ContentSource, fileSource, memorySource } from "./content-source.ts";
import { checkFile, fileOrder } from "./file-order.ts";
import { processFile } from "./process-file.ts";

/** How much is read between two reports of progress. */
const PROGRESS_EVERY_BYTES = 4 * 1024 * 1024;

/** Finds out what a file is: of a blob, of bytes, or below the allowed folders. */
export function fileProcessingTask({ allowedRoots }: { readonly allowedRoots: readonly string[] }): Capability {
  return typedCapability({
    description:
      "Tells type, hashes, text counts, image size and archive entries of a file: { path | blob | blobId | content, operations?, hashes? }.",
    input: FileProcessingInputSchema,
    output: FileProcessingOutputSchema,
    check: checkFile,
    fromPayload: inputOf,
    async run({ input }, { openBlob, progress, signal }) {
      await using opened = await openSource(input.source, { allowedRoots, openBlob });
      const { sizeBytes } = opened.source;
      let reported = 0;
      return await processFile(opened.source, fileOrder(input), {
        signal,
        onProgress(bytes) {
          if (bytes < sizeBytes && bytes - reported < PROGRESS_EVERY_BYTES) return;
          reported = bytes;
          progress(sizeBytes === 0 ? 1 : bytes / sizeBytes, `${bytes} of ${sizeBytes} bytes`);
        },
      });
    },
  });
}

/** A file that is itself the input of the task. */
function inputOf({ kind }: Payload): MessageInitShape<typeof FileProcessingInputSchema> | undefined {
  if (kind.case === "blob") return { source: { case: "blob", value: kind.value } };
  return kind.case === "bytes" ? { source: { case: "content", value: kind.value.data } } : undefined;
}

interface OpenedSource extends AsyncDisposable {
  readonly source: ContentSource;
}

interface Places {
  readonly allowedRoots: readonly string[];
  readonly openBlob: (blobId: string) => Promise<BlobStream>;
}

async function openSource(wanted: FileProcessingInput["source"], places: Places): Promise<OpenedSource> {
  switch (wanted.case) {
    case "path":
      return await openPath(wanted.value, places.allowedRoots);
    case "blob":
      return unowned(blobSource(await openStored(wanted.value.blobId, places)));
    case "blobId":
      return unowned(blobSource(await openStored(wanted.value, places)));
    default:
      return unowned(memorySource(wanted.value ?? new Uint8Array()));
  }
}

function unowned(source: ContentSource): OpenedSource {
  return { source, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function openPath(path: string, allowedRoots: readonly string[]): Promise<OpenedSource> {
  try {
    const file = await openAllowedFile(path, allowedRoots);
    if (file.kind === "unreadable") {
      throw new TerminalError(`file ${shown(path)} cannot be read: ${file.reason}`, { reason: "FILE_UNREADABLE" });
    }
    const { handle, bytes } = file;
    return { source: fileSource(handle, bytes), [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    if (!(error instanceof AnalysisRefusedError)) throw error;
    throw new TerminalError(error.message, { reason: error.code, cause: error });
  }
}

/** A blob that is not there will not come; everything else is worth another attempt. */
async function openStored(blobId: string, { openBlob }: Places): Promise<BlobStream> {
  try {
    return await openBlob(blobId);
  } catch (error) {
    const why = error instanceof AgentError && error.cause instanceof ConnectError ? error.cause.code : undefined;
    if (why !== Code.NotFound) throw error;
    throw new TerminalError(`blob ${blobId} is not in the mesh`, { reason: "BLOB_NOT_FOUND", cause: error });
  }
}
