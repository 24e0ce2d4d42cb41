// The services of the mesh: what every test that goes over all of them goes over. A new one is added here.
import type { DescService } from "@bufbuild/protobuf";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { AuditService } from "../../gen/mycel/v1/audit_service_pb.ts";
import { BlobService } from "../../gen/mycel/v1/blob_service_pb.ts";
import { KeyService } from "../../gen/mycel/v1/key_service_pb.ts";
import { MetricsService } from "../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueService } from "../../gen/mycel/v1/queue_service_pb.ts";
import { WebhookService } from "../../gen/mycel/v1/webhook_service_pb.ts";

/** The services, ordered by name. */
export const SERVICES: readonly DescService[] = [
  AgentService,
  AuditService,
  BlobService,
  KeyService,
  MetricsService,
  QueueService,
  WebhookService,
];
