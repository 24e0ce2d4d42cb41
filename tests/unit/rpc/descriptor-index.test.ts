// Which file reflection finds for which name.
import { create, createFileRegistry, createRegistry, fromBinary } from "@bufbuild/protobuf";
import {
  FeatureSetSchema,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_descriptor,
  file_google_protobuf_go_features,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { createDescriptorIndex, withImports } from "../../../lib/rpc/reflection/descriptor-index.ts";

const index = createDescriptorIndex({
  services: [Health],
  registry: createRegistry(file_google_rpc_error_details, file_google_protobuf_go_features),
});

test.for([
  ["grpc.health.v1.Health", "health/v1/health.proto"],
  ["grpc.health.v1.Health.Check", "health/v1/health.proto"],
  ["grpc.health.v1.HealthCheckRequest", "health/v1/health.proto"],
  ["grpc.health.v1.HealthCheckRequest.service", "health/v1/health.proto"],
  ["grpc.health.v1.HealthCheckResponse.ServingStatus", "health/v1/health.proto"],
  ["grpc.health.v1.HealthCheckResponse.SERVICE_UNKNOWN", "health/v1/health.proto"],
  ["google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto"],
  ["google.protobuf.Duration", "google/protobuf/duration.proto"],
  ["pb.go", "google/protobuf/go_features.proto"],
])("finds the file of %s", ([symbol, file]) => {
  expect(index.fileOfSymbol(symbol!)?.proto.name).toBe(file);
});

test.for(["", ".", "grpc.health.v1", "grpc.health.v1.Health.check", ".grpc.health.v1.Health", "google.protobuf.Any"])(
  "knows no symbol %j",
  (symbol) => {
    expect(index.fileOfSymbol(symbol)).toBeUndefined();
  },
);

test("finds a oneof, a top-level enum value, and an extension nested in a message", () => {
  const label = FieldDescriptorProto_Label.OPTIONAL;
  const type = FieldDescriptorProto_Type.INT32;
  const proto = create(FileDescriptorProtoSchema, {
    name: "example.proto",
    syntax: "proto2",
    messageType: [
      {
        name: "Box",
        field: [{ name: "number", number: 1, label, type, oneofIndex: 0 }],
        oneofDecl: [{ name: "content" }],
        extensionRange: [{ start: 100, end: 200 }],
        extension: [
          { name: "second", number: 102, label, type, extendee: ".Box" },
          { name: "first", number: 101, label, type, extendee: ".Box" },
        ],
      },
    ],
    enumType: [{ name: "Color", value: [{ name: "RED", number: 0 }] }],
    service: [{ name: "Boxes" }],
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [proto] }));
  const boxes = createDescriptorIndex({ services: [registry.getService("Boxes")!] });
  for (const symbol of ["Box.content", "Box.number", "RED", "Color", "Box.first", "Boxes"]) {
    expect(boxes.fileOfSymbol(symbol)?.proto.name, symbol).toBe("example.proto");
  }
  expect(boxes.extensionNumbers("Box")).toEqual([101, 102]);
  expect(boxes.fileOfExtension("Box", 101)?.proto.name).toBe("example.proto");
  expect(boxes.fileOfExtension("Box", 103)).toBeUndefined();
});

test("tells a message without extensions from one that does not exist", () => {
  expect(index.extensionNumbers("google.protobuf.FeatureSet")).toEqual([1002]);
  expect(index.extensionNumbers("grpc.health.v1.HealthCheckRequest")).toEqual([]);
  expect(index.extensionNumbers("grpc.health.v1.Nothing")).toBeUndefined();
  expect(index.fileOfExtension(FeatureSetSchema.typeName, 1002)?.proto.name).toBe("google/protobuf/go_features.proto");
});

test("serves imports by file name, well-known types included, and nothing else", () => {
  expect(index.file("google/protobuf/duration.proto")).toBeDefined();
  expect(index.file("google/protobuf/any.proto")).toBeUndefined();
});

test("lists each service once, sorted, and no service that is only in the registry", () => {
  const sorted = createDescriptorIndex({ services: [Health, Health], registry: createRegistry(Health) });
  expect(sorted.serviceNames).toEqual(["grpc.health.v1.Health"]);
  expect(createDescriptorIndex({ services: [], registry: createRegistry(Health) }).serviceNames).toEqual([]);
});

test("a file's bytes name its imports and read back as the same descriptor", () => {
  const proto = fromBinary(FileDescriptorProtoSchema, index.bytes(file_google_rpc_error_details));
  expect(proto.dependency).toEqual(["google/protobuf/duration.proto"]);
  expect(proto.messageType.map(({ name }) => name)).toContain("RetryInfo");
});

test("a file comes before what it imports, each file once", () => {
  expect(withImports(file_google_protobuf_go_features)).toEqual([
    file_google_protobuf_go_features,
    file_google_protobuf_descriptor,
  ]);
});
