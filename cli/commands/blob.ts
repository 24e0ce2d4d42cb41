// `mycel blob`: stores content and gets it back.
import { createReadStream, createWriteStream } from "node:fs";
import { access, rename, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { Command } from "commander";
import { BlobRefSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { MycelError } from "../../sdk/client/index.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { UsageError } from "../failure.ts";
import { reasonOf } from "../input.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";

/** The command. */
export function blobCommand(context: CliContext): Command {
  return new Command("blob")
    .summary("store and get large content")
    .helpCommand("help [command]", "print help for a command")
    .description("Store content that is too large for a task's input, and get it back.")
    .addCommand(putCommand(context))
    .addCommand(getCommand(context));
}

function putCommand(context: CliContext): Command {
  return new Command("put")
    .description("Store a file, or stdin. Prints the blob's id.")
    .argument("<file>", "the file, or - for stdin")
    .option("--content-type <media-type>", "what it is", "application/octet-stream")
    .option("--json", "print the whole reference as JSON")
    .addHelpText(
      "after",
      examples("mycel blob put report.pdf --content-type application/pdf", "tar c src | mycel blob put -"),
    )
    .action(
      async (file: string, flags: { readonly contentType: string; readonly json?: boolean }, command: Command) => {
        const source = file === "-" ? bytesOf(context.stdin) : await openFile(file);
        await using client = openClient(command);
        const blob = await client.uploadBlob(source, { contentType: flags.contentType, signal: context.interrupted });
        await context.out.line(flags.json === true ? jsonDocument(jsonOf(BlobRefSchema, blob)) : blob.blobId);
      },
    );
}

function getCommand(context: CliContext): Command {
  return new Command("get")
    .description("Write a blob's content to stdout, or to a file once its checksum is right.")
    .argument("<blob>", "the blob's id")
    .option("-o, --output <file>", "write to this file")
    .addHelpText("after", examples("mycel blob get blob-1 -o report.pdf"))
    .action(async (blobId: string, flags: { readonly output?: string }, command: Command) => {
      await using client = openClient(command);
      const download = client.downloadBlob(blobId, { signal: context.interrupted });
      if (flags.output === undefined) {
        for await (const piece of download) await context.out.bytes(piece);
        return;
      }
      await save(download, flags.output);
    });
}

// Under another name until it is complete and right, so that nobody takes half a file for a whole one.
async function save(download: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const partial = `${path}.part`;
  try {
    await pipeline(download, createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    if (error instanceof MycelError) throw error;
    throw new UsageError(`cannot write ${path}: ${reasonOf(error)}`);
  }
}

async function openFile(path: string): Promise<AsyncIterable<Uint8Array>> {
  try {
    await access(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${reasonOf(error)}`);
  }
  return createReadStream(path);
}

async function* bytesOf(stream: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) yield typeof piece === "string" ? Buffer.from(piece) : piece;
}
