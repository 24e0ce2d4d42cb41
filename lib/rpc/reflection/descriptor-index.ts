// Answers what gRPC reflection asks about a set of Protobuf descriptors: which file declares a name, which file
// declares an extension, and a file's bytes. Pure: no RPC here, and nothing outside the given set is ever shown.
import { toBinary } from "@bufbuild/protobuf";
import type { DescEnum, DescExtension, DescFile, DescMessage, DescService, Registry } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { nestedTypes } from "@bufbuild/protobuf/reflect";

/** What is shown to clients. */
export interface DescriptorSource {
  /** Services to list. Their files and everything these import is shown. */
  readonly services: readonly DescService[];
  /**
   * More types to show, with their files and imports: extensions, messages that travel in `google.protobuf.Any`, error
   * details. They are not listed as services.
   */
  readonly registry?: Registry;
}

/** Look-ups over one fixed set of descriptors. All names are fully qualified, without a leading dot. */
export interface DescriptorIndex {
  /** Names of the listed services, sorted. */
  readonly serviceNames: readonly string[];
  /** The file of this name, e.g. `google/protobuf/any.proto`. */
  file(fileName: string): DescFile | undefined;
  /** The file that declares a message, enum, enum value, field, oneof, extension, service or method of this name. */
  fileOfSymbol(symbol: string): DescFile | undefined;
  /** The file that declares the extension of a message with this field number. */
  fileOfExtension(extendee: string, fieldNumber: number): DescFile | undefined;
  /** Field numbers of all known extensions of a message, ascending; undefined when there is no such message. */
  extensionNumbers(extendee: string): readonly number[] | undefined;
  /** The serialized FileDescriptorProto of a file of this set. */
  bytes(file: DescFile): Uint8Array;
}

/** Indexes the given descriptors. The look-up tables are built once, here. */
export function createDescriptorIndex(source: DescriptorSource): DescriptorIndex {
  const files = collectFiles(source);
  const symbols = new Map<string, DescFile>();
  const messages = new Set<string>();
  const extensions = new Map<string, Map<number, DescFile>>();
  const serialized = new Map<DescFile, Uint8Array>();

  for (const file of files.values()) {
    for (const type of nestedTypes(file)) {
      for (const symbol of symbolsOf(type)) {
        symbols.set(symbol, file);
      }
      if (type.kind === "message") {
        messages.add(type.typeName);
      } else if (type.kind === "extension") {
        const numbers = extensions.get(type.extendee.typeName) ?? new Map<number, DescFile>();
        numbers.set(type.number, file);
        extensions.set(type.extendee.typeName, numbers);
      }
    }
  }

  return {
    serviceNames: [...new Set(source.services.map((service) => service.typeName))].sort(),
    file: (fileName) => files.get(fileName),
    fileOfSymbol: (symbol) => symbols.get(symbol),
    fileOfExtension: (extendee, fieldNumber) => extensions.get(extendee)?.get(fieldNumber),
    extensionNumbers: (extendee) =>
      messages.has(extendee) ? [...(extensions.get(extendee)?.keys() ?? [])].sort((a, b) => a - b) : undefined,
    bytes(file) {
      let bytes = serialized.get(file);
      if (bytes === undefined) {
        bytes = toBinary(FileDescriptorProtoSchema, file.proto);
        serialized.set(file, bytes);
      }
      return bytes;
    },
  };
}

/** A file and everything it imports, directly or not; the file itself comes first, each file once. */
export function withImports(file: DescFile): DescFile[] {
  const seen = new Map<string, DescFile>([[file.proto.name, file]]);
  // A Map is iterated in insertion order and sees what is added meanwhile: a breadth-first walk.
  for (const current of seen.values()) {
    for (const dependency of current.dependencies) {
      if (!seen.has(dependency.proto.name)) {
        seen.set(dependency.proto.name, dependency);
      }
    }
  }
  return [...seen.values()];
}

function collectFiles({ services, registry }: DescriptorSource): Map<string, DescFile> {
  const files = new Map<string, DescFile>();
  for (const root of [...services, ...(registry ?? [])]) {
    if (files.has(root.file.proto.name)) {
      continue;
    }
    for (const file of withImports(root.file)) {
      if (!files.has(file.proto.name)) {
        files.set(file.proto.name, file);
      }
    }
  }
  return files;
}

function symbolsOf(type: DescMessage | DescEnum | DescExtension | DescService): string[] {
  switch (type.kind) {
    case "message":
      return [
        type.typeName,
        ...type.fields.map((field) => `${type.typeName}.${field.name}`),
        // From the descriptor itself: protobuf-es hides the synthetic oneofs of `optional` fields.
        ...type.proto.oneofDecl.map((oneof) => `${type.typeName}.${oneof.name}`),
      ];
    case "enum": {
      // Protobuf scopes an enum's values like the enum itself, not inside it.
      const scope = type.parent?.typeName ?? type.file.proto.package;
      return [type.typeName, ...type.values.map((value) => (scope === "" ? value.name : `${scope}.${value.name}`))];
    }
    case "extension":
      return [type.typeName];
    case "service":
      return [type.typeName, ...type.methods.map((method) => `${type.typeName}.${method.name}`)];
  }
}
